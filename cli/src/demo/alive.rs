//! What people see of each other while they talk: who types, who is there. Nothing of it is stored in a log.

use std::time::Duration;

use sovereign_client::{Client, Event, Presence};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{interval, timeout},
};

use super::people::PATIENCE;

/// How often a key is pressed. The library sends a start every few seconds at most.
const KEY_PRESS: Duration = Duration::from_millis(200);

/// Presses keys for as long as it takes.
pub(super) async fn press_keys(client: &Client, group: [u8; 32]) {
    let mut keys = interval(KEY_PRESS);
    loop {
        keys.tick().await;
        if client.typing(group, true).await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Whether it is told in time that this person types there, or has stopped.
pub(super) async fn sees_typing(events: &mut Receiver<Event>, group: [u8; 32], name: &str, active: bool) -> bool {
    told(events, |event| {
        matches!(event, Event::Typing { group: place, from, active: now } if *place == group && from == name && *now == active)
    })
    .await
}

/// Whether it is told in time that this person is there, or has gone.
pub(super) async fn sees_presence(events: &mut Receiver<Event>, name: &str, there: bool) -> bool {
    told(
        events,
        |event| matches!(event, Event::Presence { username, presence, .. } if username == name && is_there(*presence) == there),
    )
    .await
}

/// Connected, as far as it is shown.
pub(super) fn is_there(presence: Presence) -> bool {
    matches!(presence, Presence::Online | Presence::Away)
}

async fn told(events: &mut Receiver<Event>, wanted: impl Fn(&Event) -> bool) -> bool {
    let heard = async {
        loop {
            match events.recv().await {
                Ok(event) if wanted(&event) => return true,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return false,
            }
        }
    };
    timeout(PATIENCE, heard).await.unwrap_or(false)
}
