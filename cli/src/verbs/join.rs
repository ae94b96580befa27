//! `sov join LINK --username NAME`: a new account.

use std::path::{Path, PathBuf};

use sovereign_client::{Client, Options};

use crate::{client, event::Event, exit::Exit, output::Output, secret};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The invite link, in quotes
    link: String,
    /// The name others will know you by: a-z, 0-9, dot, underscore, hyphen; 2 to 32 characters
    #[arg(long, value_name = "NAME")]
    username: String,
    /// Read the password for further devices from the first line of FILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Args {
    /// Makes the account and its vault in `home`.
    pub(crate) async fn run(self, home: &Path, options: Options, output: &mut impl Output) -> Result<Client, Exit> {
        let password = secret::new_password(self.password_file.as_deref())?;
        let client = Client::join(home, &self.link, &self.username, password, options)
            .await
            .map_err(|error| client::exit_creating(&error))?;
        output.emit(vec![account(&client, false)]).await?;
        Ok(client)
    }
}

/// The account of a client as an event.
pub(super) fn account(client: &Client, pending: bool) -> Event {
    let account = client.account();
    Event::Account {
        username: account.username,
        account_id: client::hex(&account.account_id),
        device_id: client::hex(&account.device_id),
        pending,
    }
}
