//! Brings notices of the server into the logs they are for, a batch at a time, so that nobody waits behind a notice to
//! everybody. What was interrupted goes on at the next start.

use std::{sync::Arc, time::Duration};

use crate::{
    ids::LogId,
    limits::NOTICE_BATCH,
    server::Server,
    store::{NoticeStep, StoreError},
};

/// Before the store is asked again that had no room.
const PAUSE: Duration = Duration::from_secs(1);

/// Brings a notice to everybody it is for; how many devices got it here. An error: the store has failed, and the rest
/// follows after the restart.
pub async fn deliver(server: Arc<Server>, number: i64, mut told: impl FnMut(u64)) -> Result<(), StoreError> {
    loop {
        match server.store.advance_notice(number, NOTICE_BATCH).await {
            Ok(NoticeStep { reached, done }) => {
                told(reached.len() as u64);
                reached.into_iter().for_each(|device| server.hub.wake(LogId::Device(device)));
                if done {
                    return Ok(());
                }
            }
            Err(StoreError::Failed) => return Err(StoreError::Failed),
            Err(StoreError::Busy | StoreError::LogLong | StoreError::DiskLow | StoreError::Unread) => {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Everything that is on its way, oldest first.
pub async fn deliver_all(server: Arc<Server>) {
    let Ok(open) = server.store.open_notices().await else { return };
    for number in open {
        if deliver(Arc::clone(&server), number, |_| {}).await.is_err() {
            return;
        }
    }
}
