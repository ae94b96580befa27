//! The sync engine: the durable state ([`core`]), and the tasks that carry it to the server and back.
//!
//! Every change is one vault transaction ([`Work`]); what follows from it for the outside is told afterwards. One task
//! takes what the connection brings ([`receiver`]); one task for each group with something to do sends, commits and
//! joins ([`worker`]). Any of them may be dropped between two steps: the next start goes on from the vault.

mod apply;
mod catch_up;
mod commits;
mod content;
mod core;
mod devices;
mod direct;
mod ephemeral;
mod intents;
mod joins;
mod outbox;
mod people;
mod presence;
mod reading;
mod receipts;
mod receiver;
mod records;
mod relations;
mod remote;
mod reset;
mod restores;
mod submit;
#[cfg(test)]
mod tests;
mod trust;
mod typing;
mod upkeep;
mod waiters;
mod worker;

use std::{
    collections::HashSet,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sovereign_proto::{Call, v1};
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
};

pub use self::content::is_content;
#[cfg(test)]
pub(crate) use self::records::LogRecord;
pub(crate) use self::{
    core::{Core, Effects, Work},
    outbox::TEXT_MAX,
    receiver::receive,
    records::{AccountRecord, GroupRecord, IntentKind, Said, Stage},
    remote::Remote,
};
use self::{presence::Attendance, typing::Typing, waiters::Waiters, worker::Workers};
use crate::{
    clock::Clock,
    connection::{Cause, ConnectionState},
    device_key::DeviceKey,
    entropy,
    error::Error,
    event::Event,
};

/// First bound of the wait after a failure, in milliseconds.
const BACKOFF_MS: u64 = 250;
/// Events that a slow subscriber may fall behind; what it misses is in the vault.
const EVENTS_MAX: usize = 1024;

/// The engine of one open vault.
pub(crate) struct Engine {
    core: Mutex<Core>,
    remote: Arc<dyn Remote>,
    pub(crate) key: Arc<DeviceKey>,
    pub(crate) clock: Clock,
    events: broadcast::Sender<Event>,
    state: watch::Sender<(ConnectionState, Cause)>,
    waiters: Waiters,
    workers: Mutex<Workers>,
    typing: Typing,
    /// Whose device this is.
    account: [u8; 16],
    /// `None`: the engine has ended, and nothing is begun any more.
    tasks: Mutex<Option<JoinSet<()>>>,
    /// Accounts that the server would not show: their messages are taken under their id.
    strangers: Mutex<HashSet<[u8; 16]>>,
    /// Two sends to the same people do not make two groups.
    pub(crate) creating: tokio::sync::Mutex<()>,
    /// Manifests are verified one chain at a time.
    learning: tokio::sync::Mutex<()>,
    stock: tokio::sync::Mutex<()>,
    attendance: Mutex<Attendance>,
    /// Watch lists are sent one at a time: the last one counts.
    watching: tokio::sync::Mutex<()>,
    /// Groups whose read marker is on its way.
    marking: Mutex<HashSet<[u8; 32]>>,
    /// How the last look after the stock of key packages ended; `None`: it has not ended yet.
    stocked: watch::Sender<Option<Result<(), Error>>>,
}

impl Engine {
    pub(crate) fn new(core: Core, remote: Arc<dyn Remote>, key: Arc<DeviceKey>, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            account: core.me().account,
            core: Mutex::new(core),
            remote,
            key,
            clock,
            events: broadcast::channel(EVENTS_MAX).0,
            state: watch::channel((ConnectionState::Connecting { attempt: 1 }, Cause::Requested)).0,
            waiters: Waiters::default(),
            workers: Mutex::default(),
            typing: Typing::default(),
            tasks: Mutex::new(Some(JoinSet::new())),
            strangers: Mutex::default(),
            creating: tokio::sync::Mutex::default(),
            learning: tokio::sync::Mutex::default(),
            stock: tokio::sync::Mutex::default(),
            attendance: Mutex::default(),
            watching: tokio::sync::Mutex::default(),
            marking: Mutex::default(),
            stocked: watch::channel(None).0,
        })
    }

    /// One transaction; when it is durable, the outside hears what follows.
    pub(crate) fn run<T>(self: &Arc<Self>, work: impl FnOnce(&mut Work<'_>) -> Result<T, Error>) -> Result<T, Error> {
        // Told under the lock, so that events come in the order of the transactions.
        let mut core = lock(&self.core);
        let (value, effects) = core.run(work)?;
        self.tell(effects);
        Ok(value)
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call<C: Call>(&self, request: C) -> Result<C::Response, Error> {
        Ok(remote::call(&*self.remote, request).await?)
    }

    /// Tries again what fails only for now, when there is a connection. Not for the receiver, who makes it live.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T, Error>>>(&self, attempt: impl Fn() -> F) -> Result<T, Error> {
        const TRIES_MAX: u32 = 10;
        let mut tries = 0;
        loop {
            self.until_live().await?;
            match attempt().await {
                Err(error) if error.passes() && tries < TRIES_MAX => {
                    pause(BACKOFF_MS, tries, error.retry_after_ms()).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(crate) fn state(&self) -> watch::Receiver<(ConnectionState, Cause)> {
        self.state.subscribe()
    }

    /// Waits until commits may be made. Fails when the connection has stopped for good.
    pub(crate) async fn until_live(&self) -> Result<(), Error> {
        let mut state = self.state.subscribe();
        let reached = state.wait_for(|(state, _)| matches!(state, ConnectionState::Live | ConnectionState::Stopped)).await;
        let (state, cause) = reached.map_err(|_| Error::Closed)?.clone();
        if state == ConnectionState::Live { Ok(()) } else { Err(stopped(&cause)) }
    }

    /// Waits until the server has the key packages that it wants of this device. Fails when it will not take them, or
    /// when the connection has stopped for good.
    pub(crate) async fn until_stocked(&self) -> Result<(), Error> {
        let mut stocked = self.stocked.subscribe();
        self.outcome(async move {
            let ended = stocked.wait_for(Option::is_some).await.map_err(|_| Error::Closed)?;
            ended.clone().unwrap_or(Err(Error::Closed))
        })
        .await
    }

    /// Waits for the outcome of something that the worker does; fails when the connection has stopped for good.
    pub(crate) async fn outcome<T>(&self, waiter: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut state = self.state.subscribe();
        tokio::select! {
            biased;
            result = waiter => result,
            stopped_now = state.wait_for(|(state, _)| *state == ConnectionState::Stopped) => {
                Err(stopped_now.map_or(Error::Closed, |state| stopped(&state.1)))
            }
        }
    }

    /// Waits for the answer to a message of this client id, which must be in an outbox already.
    pub(crate) fn message_waiter(&self, client_id: [u8; 16]) -> impl Future<Output = Result<crate::model::Sent, Error>> + use<> {
        self.waiters.message(client_id)
    }

    /// Waits for the end of an intent.
    pub(crate) fn intent_waiter(&self, intent: [u8; 16]) -> impl Future<Output = Result<(), Error>> + use<> {
        self.waiters.intent(intent)
    }

    /// Runs a task that ends with the engine; none, once it has ended.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *lock(&self.tasks) {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    /// Ends all tasks and the connection, and releases the vault.
    pub(crate) async fn close(&self) {
        // Taken out first: what a task begins in its last step would never end.
        let mut tasks = lock(&self.tasks).take().unwrap_or_default();
        tasks.abort_all();
        self.remote.stop().await;
        tasks.shutdown().await;
        lock(&self.core).close();
        self.waiters.close();
        self.state.send_replace((ConnectionState::Stopped, Cause::Requested));
    }

    /// Ends all tasks at their next step.
    pub(crate) fn abort(&self) {
        drop(lock(&self.tasks).take());
    }

    fn tell(self: &Arc<Self>, effects: Effects) {
        if !effects.acknowledge.is_empty() {
            let positions = effects.acknowledge.into_iter().map(|(id, seq)| v1::Position { group_id: id.into(), seq }).collect();
            let body = v1::notice::Body::Acknowledge(v1::Acknowledge { positions });
            self.remote.notify(v1::Notice { body: Some(body) });
        }
        for (group, account) in effects.heard_from {
            self.stopped_typing(group, account);
        }
        let changed: Vec<[u8; 32]> = effects.events.iter().filter_map(Event::group_with_other_members).collect();
        if !changed.is_empty() {
            self.members_changed(&changed);
        }
        for event in effects.events {
            // Nobody needs to listen.
            let _ = self.events.send(event);
        }
        effects.sent.into_iter().for_each(|(client_id, result)| self.waiters.sent(client_id, result));
        effects.intents.into_iter().for_each(|(intent, result)| self.waiters.ended(intent, result));
        effects.wake.into_iter().for_each(|group| self.wake(group));
        for account in effects.refresh {
            let engine = Arc::clone(self);
            self.spawn(async move {
                if let Err(error) = engine.learn(account).await {
                    tracing::debug!(%error, "manifests not refreshed");
                }
            });
        }
        if effects.list {
            let engine = Arc::clone(self);
            self.spawn(async move {
                if let Err(error) = engine.list_groups().await {
                    tracing::debug!(%error, "groups were not listed");
                }
            });
        }
        for confirmation in effects.confirm {
            let engine = Arc::clone(self);
            self.spawn(async move {
                let _ = engine.confirm(confirmation).await;
            });
        }
    }

    /// Sends an epoch's tag, or that its commit cannot be processed.
    async fn confirm(self: &Arc<Self>, request: v1::ConfirmEpochRequest) -> Result<bool, Error> {
        let id: [u8; 32] = request.group_id.as_ref().try_into().map_err(|_| Error::Closed)?;
        let frozen = self.call(request).await?.frozen;
        if frozen {
            self.run(|work| work.freeze(&id))?;
            // It may have been reset already.
            self.list_groups().await?;
        }
        Ok(frozen)
    }
}

/// Waits a random time up to `bound_ms` doubled `attempt` times, at most half a minute, and at least `floor_ms`.
async fn pause(bound_ms: u64, attempt: u32, floor_ms: u64) {
    const WAIT_MAX_MS: u64 = 30_000;
    let bound = bound_ms.saturating_mul(1 << attempt.min(16)).min(WAIT_MAX_MS);
    tokio::time::sleep(Duration::from_millis(floor_ms.saturating_add(entropy::below(bound + 1)))).await;
}

/// Why there is no connection any more.
fn stopped(cause: &Cause) -> Error {
    match cause {
        Cause::Requested => Error::Closed,
        Cause::ServerUntrusted(text) => Error::Untrusted(text.clone()),
        Cause::Refused { code, message } => Error::Refused { code: *code, message: message.clone(), retry_after_ms: 0 },
        other => Error::Network(other.to_string()),
    }
}

/// A poisoned lock means that a thread panicked inside a transaction, which was rolled back: the state is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
