//! `sov usage`: how much room is left on the server for messages that wait for others.

use serde::{Deserialize, Serialize};
use sovereign_client::{Client, Room};

use crate::{client, event::Event, exit::Exit, output::Output};

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    /// Also in this group: its id, the beginning of its id, or its name
    #[arg(long, value_name = "ID")]
    pub(crate) group: Option<String>,
}

impl Args {
    /// Asks the server.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        let group = match &self.group {
            Some(group) => Some(client::find_group(client, group).await?),
            None => None,
        };
        let usage = client::persistently(client, || client.usage(group)).await?;
        let event = |group: Option<[u8; 32]>, room: Room| Event::Usage {
            group: group.map(|group| client::hex(&group)),
            used_bytes: room.used_bytes,
            limit_bytes: room.limit_bytes,
        };
        let mut events = vec![event(None, usage.account)];
        events.extend(usage.group.map(|room| event(group, room)));
        Ok(output.emit(events).await?)
    }
}
