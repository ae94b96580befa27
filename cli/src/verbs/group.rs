//! `sov group create|add|remove|leave|rename|reset`.

use serde::{Deserialize, Serialize};
use sovereign_client::{Client, Policy};

use crate::{client, event::Event, exit::Exit, output::Output};

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) change: Change,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Subcommand)]
pub(crate) enum Change {
    /// Make a group
    Create {
        /// What its members call it; the server never learns it
        #[arg(long)]
        name: String,
        /// Who is in it from the start, beside you
        #[arg(long, value_name = "NAME[,NAME...]", value_delimiter = ',')]
        with: Vec<String>,
        /// Only you, and who you make an administrator, may remove people
        #[arg(long)]
        administered: bool,
    },
    /// Add people; they read what is written from then on
    Add {
        /// The group: its id, the beginning of its id, or its name
        group: String,
        /// Whom to add
        #[arg(required = true, value_name = "NAME", value_delimiter = ',')]
        names: Vec<String>,
    },
    /// Remove people
    Remove {
        /// The group: its id, the beginning of its id, or its name
        group: String,
        /// Whom to remove
        #[arg(required = true, value_name = "NAME", value_delimiter = ',')]
        names: Vec<String>,
    },
    /// Leave a group
    Leave {
        /// The group: its id, the beginning of its id, or its name
        group: String,
    },
    /// Give a group another name
    Rename {
        /// The group: its id, the beginning of its id, or its name
        group: String,
        /// The new name
        name: String,
    },
    /// Replace a frozen group by a new one with everybody who was in it
    Reset {
        /// The group: its id, the beginning of its id, or its name
        group: String,
    },
}

impl Args {
    /// Returns when the server has accepted the change.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        let (verb, group) = client::telling(client, output, self.changed(client)).await?;
        Ok(output.emit(vec![Event::done_in(verb, client::hex(&group))]).await?)
    }

    async fn changed(&self, client: &Client) -> Result<(&'static str, [u8; 32]), Exit> {
        Ok(match &self.change {
            Change::Create { name, with, administered } => {
                let policy = if *administered { Policy::Administered } else { Policy::Equal };
                ("group create", client::persistently(client, || client.create_group(name, with, policy)).await?)
            }
            Change::Add { group, names } => {
                let group = client::find_group(client, group).await?;
                client::persistently(client, || client.add(group, names)).await?;
                ("group add", group)
            }
            Change::Remove { group, names } => {
                let group = client::find_group(client, group).await?;
                client::persistently(client, || client.remove(group, names)).await?;
                ("group remove", group)
            }
            Change::Leave { group } => {
                let group = client::find_group(client, group).await?;
                client::persistently(client, || client.leave(group)).await?;
                ("group leave", group)
            }
            Change::Rename { group, name } => {
                let group = client::find_group(client, group).await?;
                client::persistently(client, || client.rename(group, name)).await?;
                ("group rename", group)
            }
            Change::Reset { group } => {
                let group = client::find_group(client, group).await?;
                ("group reset", client::persistently(client, || client.reset(group)).await?)
            }
        })
    }
}
