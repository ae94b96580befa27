//! `sov history GROUP`: what was said, as far as this device knows.

use serde::{Deserialize, Serialize};
use sovereign_client::{Client, Message};

use crate::{client, event::Event, exit::Exit, output::Output};

/// Messages handed over at once: a bound for the lines between two processes.
const PAGE: usize = 64;

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    /// The group: its id, the beginning of its id, or its name
    pub(crate) group: String,
    /// The newest so many messages
    #[arg(long, value_name = "MESSAGES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

impl Args {
    /// Oldest first.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        client::catch_up(client, output).await?;
        let group = client::find_group(client, &self.group).await?;
        let title = client::title_of(client, &group).await?;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let messages = client.history(group, limit).await.map_err(|error| client::exit(&error))?;
        let own = client.account().username;
        let receipts = client.receipts(group).await.map_err(|error| client::exit(&error))?;
        let event = |message: &Message| {
            if message.from == own { client::own_message(message, &title, &receipts) } else { client::message(message, &title) }
        };
        let mut lines = Vec::with_capacity(messages.len());
        let mut before = messages.first().map(|message| message.group);
        for message in &messages {
            lines.extend(before.filter(|before| *before != message.group).map(|before| broken(&before, &message.group)));
            before = Some(message.group);
            lines.push(event(message));
        }
        lines.extend(before.filter(|before| *before != group).map(|before| broken(&before, &group)));
        for page in lines.chunks(PAGE) {
            output.emit(page.to_vec()).await?;
        }
        Ok(())
    }
}

/// Where one group's messages end and those of the group in its place begin.
fn broken(group: &[u8; 32], successor: &[u8; 32]) -> Event {
    Event::Reset { group: client::hex(group), successor: client::hex(successor) }
}
