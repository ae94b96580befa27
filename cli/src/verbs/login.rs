//! `sov login LINK --username NAME`: a further device of an account.

use std::path::{Path, PathBuf};

use sovereign_client::{Client, Options};

use super::join::account;
use crate::{client, exit::Exit, output::Output, secret};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The link of the server, in quotes (any invite link of it; its code is not used up)
    link: String,
    /// Your name on that server
    #[arg(long, value_name = "NAME")]
    username: String,
    /// Read the password from the first line of FILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Args {
    /// Enrols this device; it waits until another one approves it.
    pub(crate) async fn run(self, home: &Path, options: Options, output: &mut impl Output) -> Result<Client, Exit> {
        let password = secret::password(self.password_file.as_deref())?;
        let client = Client::login(home, &self.link, &self.username, password, options)
            .await
            .map_err(|error| client::exit_creating(&error))?;
        output.emit(vec![account(&client, true)]).await?;
        Ok(client)
    }
}
