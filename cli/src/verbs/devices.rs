//! `sov devices [approve|revoke ID]`: the devices of the account.

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
    /// Vouch for a device that logged in: it may read and send from then on
    Approve {
        /// The device's id as `sov devices` shows it, or its beginning
        #[arg(value_name = "ID")]
        device: String,
    },
    /// Shut a device out, at once and for good
    Revoke {
        /// The device's id as `sov devices` shows it, or its beginning
        #[arg(value_name = "ID")]
        device: String,
    },
}

impl Args {
    /// Lists, approves or revokes.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        let (verb, device) = match &self.change {
            None => {
                let devices = client::persistently(client, || client.devices()).await?;
                return Ok(output.emit(devices.iter().map(client::device).collect()).await?);
            }
            Some(Change::Approve { device }) => {
                ("devices approve", client::persistently(client, || client.approve_device(device)).await?)
            }
            Some(Change::Revoke { device }) => {
                ("devices revoke", client::persistently(client, || client.revoke_device(device)).await?)
            }
        };
        Ok(output.emit(vec![Event::Done { verb: verb.to_owned(), group: None, device: Some(client::hex(&device)) }]).await?)
    }
}
