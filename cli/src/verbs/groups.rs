//! `sov groups`: all groups of the account.

use serde::{Deserialize, Serialize};
use sovereign_client::Client;

use crate::{client, exit::Exit, output::Output};

/// The arguments: none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {}

impl Args {
    /// Shows what is known here, after catching up if the server can be reached.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        client::catch_up(client, output).await?;
        let own = client.account().username;
        let groups = client.groups().await.map_err(|error| client::exit(&error))?;
        Ok(output.emit(groups.iter().map(|group| client::group(group, &own)).collect()).await?)
    }
}
