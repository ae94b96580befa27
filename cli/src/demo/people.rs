//! The people of the demonstration: each a client of its own with a home of its own, in this process.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sovereign_client::{Client, Error, Options};
use tokio::time::{interval, timeout};

use crate::{client, exit::Exit};

/// Longest wait for something that should happen at once; machines are slow and busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Somebody with one device.
pub(super) struct Person {
    pub(super) name: &'static str,
    home: PathBuf,
    client: Option<Client>,
}

impl Person {
    /// Makes an account by an invite link, and waits until others can reach it.
    pub(super) async fn join(name: &'static str, directory: &Path, link: &str) -> Result<Self, Exit> {
        let home = directory.join(name);
        let client = Client::join(&home, link, name, None, Options::default()).await.map_err(|error| client::exit(&error))?;
        let person = Self { name, home, client: Some(client) };
        in_time(person.client().wait_live()).await?;
        in_time(person.client().wait_reachable()).await?;
        Ok(person)
    }

    /// The running client.
    pub(super) fn client(&self) -> &Client {
        self.client.as_ref().expect("the story asks only those who are there")
    }

    /// Goes offline, as if the program were closed.
    pub(super) async fn leave(&mut self) {
        if let Some(client) = self.client.take() {
            client.close().await;
        }
    }

    /// Comes back, from what its home holds.
    pub(super) async fn come_back(&mut self) -> Result<(), Exit> {
        let client = Client::open(&self.home, Options::default()).await.map_err(|error| client::exit(&error))?;
        let client = self.client.insert(client);
        in_time(client.wait_live()).await
    }
}

/// What the library does, unless it takes too long.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Exit> {
    let done = timeout(PATIENCE, work).await.unwrap_or(Err(Error::Timeout));
    done.map_err(|error| client::exit(&error))
}

/// Looks until it is there; `None` if that takes too long.
pub(super) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let mut ticks = interval(LOOK_EVERY);
    let found = async {
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    timeout(PATIENCE, found).await.ok()
}
