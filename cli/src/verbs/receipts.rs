//! `sov receipts on|off`: whether delivered and read marks are shown, to others and here.

use serde::{Deserialize, Serialize};
use sovereign_client::Client;

use crate::{client, event::Event, exit::Exit, output::Output};

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    /// On all devices of the account; who is off sees no marks of others either
    #[arg(value_enum)]
    pub(crate) set: Switch,
}

/// One or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Switch {
    /// Show them
    On,
    /// Neither show nor see them
    Off,
}

impl Args {
    /// Sets it.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        let on = self.set == Switch::On;
        client::persistently(client, || client.set_receipts(on)).await?;
        let verb = if on { "receipts on" } else { "receipts off" };
        Ok(output.emit(vec![Event::Done { verb: verb.to_owned(), group: None, device: None }]).await?)
    }
}
