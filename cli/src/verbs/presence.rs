//! `sov presence [online|away|hidden]`: who is there, and what this account shows of itself.

use serde::{Deserialize, Serialize};
use sovereign_client::{Availability, Client};

use crate::{client, event::Event, exit::Exit, output::Output};

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    /// What to show from now on; left out: list the people you share a group with
    #[arg(value_enum)]
    pub(crate) show: Option<Show>,
}

/// What the account shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Show {
    /// There, while a sov runs on this device
    Online,
    /// Connected and not looking
    Away,
    /// Nothing to anybody, on all devices of the account
    Hidden,
}

impl Args {
    /// Lists or sets.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        let Some(show) = self.show else {
            let people = client::persistently(client, || client.presence()).await?;
            let rows = people.into_iter().map(|(username, _, presence)| client::presence(username, presence));
            return Ok(output.emit(rows.collect()).await?);
        };
        let (verb, availability) = match show {
            Show::Online => ("presence online", Availability::Online),
            Show::Away => ("presence away", Availability::Away),
            Show::Hidden => ("presence hidden", Availability::Hidden),
        };
        client::persistently(client, || client.set_availability(availability)).await?;
        Ok(output.emit(vec![Event::Done { verb: verb.to_owned(), group: None, device: None }]).await?)
    }
}
