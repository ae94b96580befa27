//! What the screen asks of the home beside the ordinary commands. Travels to the owner of the home like those.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sovereign_client::Client;

use super::follow;
use crate::{
    agent::Stopping,
    client,
    event::Event,
    exit::{self, Exit},
    output::Output,
};

/// Messages of one page of the history.
pub(super) const PAGE: usize = 60;
/// What `Event::Done` says at the end of a snapshot.
pub(super) const FOLLOWED: &str = "follow";

/// A command of the screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Everything that is known, and whatever happens from then on. Without end.
    Follow,
    /// The newest messages before a place in the log of a group, or the newest of all.
    Page { group: String, before: Option<u64> },
    /// Put words into the outbox. Answers when they are durable here, not when the server has them.
    Say { group: String, text: String },
    /// The group was on the screen up to this place.
    Shown { group: String, seq: u64 },
    /// Somebody types there, or has stopped.
    Typing { group: String, active: bool },
    /// How far everybody has got in a group.
    Receipts { group: String },
}

impl Ask {
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output, stopping: Stopping) -> Result<(), Exit> {
        let failed = |error| client::exit(&error);
        match self {
            Self::Follow => follow::follow(client, output, stopping).await,
            Self::Page { group, before } => page(client, output, group_of(group)?, *before).await,
            Self::Say { group, text } => {
                let client_id = client.queue(group_of(group)?, text).await.map_err(failed)?;
                let client_id = client::hex(&client_id);
                Ok(output.emit(vec![Event::Queued { group: group.clone(), client_id, text: text.clone() }]).await?)
            }
            Self::Shown { group, seq } => client.mark_shown(group_of(group)?, *seq).await.map_err(failed),
            Self::Typing { group, active } => client.typing(group_of(group)?, *active).await.map_err(failed),
            Self::Receipts { group } => {
                let receipts = client.receipts(group_of(group)?).await.map_err(failed)?;
                let event = |receipt: sovereign_client::Receipt| Event::Receipt {
                    group: group.clone(),
                    username: receipt.username,
                    delivered: receipt.delivered,
                    read: receipt.read,
                };
                Ok(output.emit(receipts.into_iter().map(event).collect()).await?)
            }
        }
    }
}

async fn page(client: &Client, output: &mut impl Output, group: [u8; 32], before: Option<u64>) -> Result<(), Exit> {
    let failed = |error| client::exit(&error);
    let messages = client.history_before(group, before.unwrap_or(u64::MAX), PAGE).await.map_err(failed)?;
    let events = messages.iter().map(|message| client::message(message, "")).collect();
    Ok(output.emit(events).await?)
}

fn group_of(hex: &str) -> Result<[u8; 32], Exit> {
    let bytes = HEXLOWER.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Exit::failed(exit::USAGE, "a group has 64 hex digits"))
}
