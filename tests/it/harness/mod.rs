//! Real parts for the tests: the server's own binary, raw connections, MLS members made of openmls alone.

pub mod attendance;
pub mod carrier;
pub mod control;
pub mod desk;
pub mod dice;
pub mod faulty_disk;
pub mod member;
pub mod middlebox;
pub mod raw;
pub mod scene;
pub mod search;
pub mod server;
pub mod sov;
pub mod tls;
pub mod watchdog;

use std::{future::Future, time::Duration};

pub use self::{carrier::Carrier, member::Member, raw::Raw, server::TestServer, sov::Home};

/// Longest wait for something that should happen at once; generous, because machines are slow and noisy.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Waits for `what`, or fails with its name.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(PATIENCE, future).await;
    ended.unwrap_or_else(|_elapsed| panic!("waited {PATIENCE:?} for {what}"))
}

/// Asks again until the answer is there, or fails with the name of what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(25));
    within(what, async {
        loop {
            ticks.tick().await;
            if let Some(value) = ask().await {
                return value;
            }
        }
    })
    .await
}
