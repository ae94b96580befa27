//! Who waits for a message to be accepted or for a commit to be made. In memory only: those who do not wait any more
//! find the outcome in the vault.

use std::{collections::HashMap, future::Future, sync::Mutex};

use tokio::sync::oneshot;

use super::lock;
use crate::{error::Error, model::Sent};

type Waiting<T> = Mutex<HashMap<[u8; 16], oneshot::Sender<Result<T, Error>>>>;

/// By client id and by intent.
#[derive(Default)]
pub(super) struct Waiters {
    messages: Waiting<Sent>,
    intents: Waiting<()>,
}

impl Waiters {
    pub(super) fn message(&self, client_id: [u8; 16]) -> impl Future<Output = Result<Sent, Error>> + use<> {
        wait(&self.messages, client_id)
    }

    pub(super) fn intent(&self, intent: [u8; 16]) -> impl Future<Output = Result<(), Error>> + use<> {
        wait(&self.intents, intent)
    }

    pub(super) fn sent(&self, client_id: [u8; 16], result: Result<Sent, Error>) {
        end(&self.messages, client_id, result);
    }

    pub(super) fn ended(&self, intent: [u8; 16], result: Result<(), Error>) {
        end(&self.intents, intent, result);
    }

    /// Everybody hears that the client was closed.
    pub(super) fn close(&self) {
        lock(&self.messages).clear();
        lock(&self.intents).clear();
    }
}

fn wait<T>(waiting: &Waiting<T>, id: [u8; 16]) -> impl Future<Output = Result<T, Error>> + use<T> {
    let (sender, receiver) = oneshot::channel();
    let mut waiting = lock(waiting);
    // Those who gave up leave nothing behind.
    waiting.retain(|_, other| !other.is_closed());
    waiting.insert(id, sender);
    async move { receiver.await.unwrap_or(Err(Error::Closed)) }
}

fn end<T>(waiting: &Waiting<T>, id: [u8; 16], result: Result<T, Error>) {
    if let Some(sender) = lock(waiting).remove(&id) {
        let _ = sender.send(result);
    }
}
