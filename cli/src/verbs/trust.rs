//! `sov trust NAME`: the fingerprints of somebody's identity, and accepting another one than before.

use std::io::{self, IsTerminal as _, Write as _};

use serde::{Deserialize, Serialize};
use sovereign_client::Client;

use crate::{
    client,
    event::Event,
    exit::{self, Exit},
    output::Output,
};

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    /// Whose identity
    pub(crate) name: String,
    /// Accept a changed identity without asking
    #[arg(long)]
    pub(crate) yes: bool,
    /// The fingerprint that was shown and is accepted.
    #[arg(skip)]
    pub(crate) accepted: Option<[u8; 32]>,
}

impl Args {
    /// The same, accepting what was shown.
    pub(crate) fn accepting(self, fingerprint: [u8; 32]) -> Self {
        Self { accepted: Some(fingerprint), ..self }
    }

    /// Shows the identity, or accepts the one that was shown.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        let Some(fingerprint) = self.accepted else {
            let identity = client::persistently(client, || client.identity(&self.name)).await?;
            return Ok(output.emit(vec![client::identity(&identity)]).await?);
        };
        client::persistently(client, || client.trust(&self.name, fingerprint)).await?;
        Ok(output.emit(vec![Event::Done { verb: "trust".to_owned(), group: None, device: None }]).await?)
    }
}

/// Asks the person at the terminal whether what was shown is to be accepted. Without a terminal it is not.
pub(crate) fn confirmed() -> Result<(), Exit> {
    let refused = |text: &str| Err(Exit::failed(exit::NOT_PERMITTED, text));
    if !io::stdin().is_terminal() {
        return refused("not accepted: there is no terminal to ask; compare the fingerprints, then use --yes");
    }
    eprint!("Compare with the fingerprint that they see, over another way. Type yes to accept: ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { refused("not accepted") }
}
