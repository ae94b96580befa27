//! `sov contacts [accept|block|remove NAME]`: whom this account hears from.

use serde::{Deserialize, Serialize};
use sovereign_client::Client;

use crate::{client, event::Event, exit::Exit, output::Output};

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) change: Option<Change>,
}

/// What to change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Subcommand)]
pub(crate) enum Change {
    /// Hear from somebody: their messages and groups are requests no more
    Accept {
        /// The username
        name: String,
    },
    /// Look unknown to somebody from now on; they are not told
    Block {
        /// The username
        name: String,
    },
    /// Be strangers again: decline a request, forget a contact, take back a block; they are not told
    Remove {
        /// The username
        name: String,
    },
}

impl Args {
    /// Lists, or changes one and tells what it is now.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        let name = match &self.change {
            None => {
                client::catch_up(client, output).await?;
                let contacts = client.contacts().await.map_err(|error| client::exit(&error))?;
                return Ok(output.emit(contacts.iter().map(client::contact).collect()).await?);
            }
            Some(Change::Accept { name }) => {
                client::persistently(client, || client.accept(name)).await?;
                name
            }
            Some(Change::Block { name }) => {
                client::persistently(client, || client.block(name)).await?;
                name
            }
            Some(Change::Remove { name }) => {
                client::persistently(client, || client.remove_contact(name)).await?;
                name
            }
        };
        let contacts = client.contacts().await.map_err(|error| client::exit(&error))?;
        let wanted = name.trim().to_lowercase();
        let contact = contacts.iter().find(|contact| contact.username == wanted).map(client::contact);
        let done = Event::Done { verb: format!("contacts {}", self.verb()), group: None, device: None };
        Ok(output.emit(vec![contact.map_or(done, client::changed)]).await?)
    }

    fn verb(&self) -> &'static str {
        match &self.change {
            None => "list",
            Some(Change::Accept { .. }) => "accept",
            Some(Change::Block { .. }) => "block",
            Some(Change::Remove { .. }) => "remove",
        }
    }
}
