//! The client as its callers see it: a cheap handle to the engine of one open vault.

mod groups;
mod people;

use std::{path::Path, sync::Arc};

use sovereign_proto::{log::direct_key, mls, v1};
use tokio::sync::{broadcast, mpsc, watch};
use zeroize::Zeroizing;

use crate::{
    connection::{Cause, Connection, ConnectionEvent, ConnectionState},
    device_key::DeviceKey,
    engine::{self, AccountRecord, Core, Engine, Remote, Said, TEXT_MAX},
    enrolment,
    error::Error,
    event::Event,
    mls::{DeviceRef, Mls},
    model::{AccountInfo, GroupInfo, InboxItem, Message, Options, Queued, SendOptions, Sent},
    vault::{Space, Vault},
};

/// A running client. Clones share it; when the last one is dropped, it stops between two steps.
#[derive(Clone)]
pub struct Client {
    engine: Arc<Engine>,
    account: Arc<AccountInfo>,
    _guard: Arc<Guard>,
}

#[expect(clippy::unused_async, reason = "all methods are awaited, whether they meet the network today or not")]
impl Client {
    /// Makes an account with this device as its first, from an invite link, in `home`.
    pub async fn join(
        home: &Path,
        link: &str,
        username: &str,
        password: Option<Zeroizing<String>>,
        options: Options,
    ) -> Result<Self, Error> {
        let (vault, record) = enrolment::sign_up(home, link.parse()?, username, password, &options).await?;
        Ok(Self::start(vault, &record, options))
    }

    /// Enrols this device into an existing account. It is pending until one of the account's devices approves it.
    pub async fn login(
        home: &Path,
        link: &str,
        username: &str,
        password: Zeroizing<String>,
        options: Options,
    ) -> Result<Self, Error> {
        let (vault, record) = enrolment::log_in(home, link.parse()?, username, password, &options).await?;
        Ok(Self::start(vault, &record, options))
    }

    /// Opens the account in `home`. [`Error::VaultOwned`] if another process has it, [`Error::NoAccount`] if there is none.
    pub async fn open(home: &Path, options: Options) -> Result<Self, Error> {
        let mut vault = Vault::open(home, options.passphrase.as_ref())?;
        let record: Option<AccountRecord> = vault.transaction(|tx| tx.get(Space::Account, b""))?;
        Ok(Self::start(vault, &record.ok_or(Error::NoAccount)?, options))
    }

    /// Who this client is.
    #[must_use]
    pub fn account(&self) -> AccountInfo {
        AccountInfo::clone(&self.account)
    }

    /// Waits until everything that waited at the server has come. Fails when the connection has stopped for good.
    pub async fn wait_live(&self) -> Result<(), Error> {
        self.engine.until_live().await
    }

    /// Waits until others can add this device to groups: the server has its key packages. A pending device waits for
    /// its approval. Fails when the server will not take them, or when the connection has stopped for good.
    pub async fn wait_reachable(&self) -> Result<(), Error> {
        self.engine.until_stocked().await
    }

    /// The connection's state and why it is so.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<(ConnectionState, Cause)> {
        self.engine.state()
    }

    /// What happens from now on. A slow subscriber misses events, never messages: those are in [`Client::unlistened`].
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.engine.events()
    }

    /// Sends to the one group of exactly these people and oneself, which is made where there is none. Resolves when the
    /// server has the message durably. Dropped before that, the message stays in the outbox. To answer people's
    /// requests is to accept them. Who has blocked this account is not found.
    pub async fn send_to(&self, names: &[String], text: &str) -> Result<Sent, Error> {
        self.send_to_with(names, text, SendOptions::default()).await
    }

    /// The same with a life, or urgently.
    pub async fn send_to_with(&self, names: &[String], text: &str, options: SendOptions) -> Result<Sent, Error> {
        check_text(text)?;
        let engine = &self.engine;
        let mut accounts = engine.resolve_anew(names).await?;
        let me = self.account.account_id;
        accounts.retain(|account| *account != me);
        let accepts = engine.run(|work| work.accept_people(&accounts))?;
        let key = direct_key(&[accounts.as_slice(), &[me]].concat());
        let guard = engine.creating.lock().await;
        let known = engine.run(|work| work.direct_group(&key, &accounts))?;
        let group = match known {
            Some(group) => group,
            None => self.make_group(None, Some(key), mls::Policy::Equal, accounts).await?.0,
        };
        drop(guard);
        self.speak(group, text, options, accepts).await
    }

    /// Sends to a group. Resolves when the server has the message durably. Dropped before that, the message stays in
    /// the outbox. To answer a request is to accept it.
    pub async fn send(&self, group: [u8; 32], text: &str) -> Result<Sent, Error> {
        self.send_with(group, text, SendOptions::default()).await
    }

    /// The same with a life, or urgently. A life that the server refuses fails the message.
    pub async fn send_with(&self, group: [u8; 32], text: &str, options: SendOptions) -> Result<Sent, Error> {
        check_text(text)?;
        self.speak(group, text, options, false).await
    }

    /// Tells the group that this person types, or has stopped. To be called with each key press: a start is sent every
    /// three seconds at most, and others take it to have ended six seconds after the last one. It is sent now or never,
    /// so while there is no connection nothing happens.
    pub async fn typing(&self, group: [u8; 32], active: bool) -> Result<(), Error> {
        self.engine.type_in(group, active)
    }

    /// Says something to the other members who are live, which is stored nowhere and may be lost. `kind` is the
    /// application's name for it, 1 to 64 bytes; `payload` has at most 512. It is signed by this device. Sent now or
    /// never, as [`Client::typing`].
    pub async fn signal(&self, group: [u8; 32], kind: &str, payload: &[u8]) -> Result<(), Error> {
        self.engine.say_ephemeral(group, kind, payload)
    }

    /// Puts a message into the outbox, durably, and tells its id at once. [`Event::Accepted`] or [`Event::SendFailed`]
    /// tells what became of it. To answer a request is to accept it.
    pub async fn queue(&self, group: [u8; 32], text: &str) -> Result<[u8; 16], Error> {
        check_text(text)?;
        let (client_id, accepts) = self.engine.run(|work| {
            let record = work.known_group(&work.current(&group)?)?;
            let client_id = work.enqueue(&record, Said::Text(text.to_owned()), SendOptions::default())?;
            Ok((client_id, work.accept_group(&record)?))
        })?;
        self.engine.has_spoken(&group);
        if accepts {
            let engine = Arc::clone(&self.engine);
            self.engine.spawn(async move { engine.accept_soon().await });
        }
        Ok(client_id)
    }

    /// At most `limit` texts of a group that the server has not accepted yet, in their order.
    pub async fn outbox(&self, group: [u8; 32], limit: usize) -> Result<Vec<Queued>, Error> {
        self.engine.run(|work| work.queued_texts(&group, limit))
    }

    /// Every group this device knows, the ones it left included.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the path of the method would bind one lifetime, not every one"
    )]
    pub async fn groups(&self) -> Result<Vec<GroupInfo>, Error> {
        self.engine.run(|work| work.group_infos())
    }

    /// What an account is called. Asks the server about one that is not known yet; its id in hex where it does not say.
    pub async fn username(&self, account: [u8; 16]) -> Result<String, Error> {
        self.engine.username(account).await
    }

    /// The last `limit` messages of a group and of those that it replaces after a reset, ascending.
    pub async fn history(&self, group: [u8; 32], limit: usize) -> Result<Vec<Message>, Error> {
        self.engine.run(|work| work.history(&group, limit))
    }

    /// The last `limit` messages of a group before place `before` in its log, ascending.
    pub async fn history_before(&self, group: [u8; 32], before: u64, limit: usize) -> Result<Vec<Message>, Error> {
        self.engine.run(|work| work.history_before(&group, before, limit))
    }

    /// A person has been shown the group up to this place of its log: [`Client::mark_read`], and what was read everywhere
    /// leaves the head of the inbox of [`Client::unlistened`], as if it had been listened to.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the path of the method would bind one lifetime, not every one"
    )]
    pub async fn mark_shown(&self, group: [u8; 32], seq: u64) -> Result<(), Error> {
        self.engine.mark_read(group, seq)?;
        self.engine.run(|work| work.pass_read())
    }

    /// How many messages of others are neither listened to nor read, by group; groups without any are left out. Counts
    /// at most 10,000 in all.
    pub async fn unread(&self) -> Result<Vec<([u8; 32], u64)>, Error> {
        self.engine.run(|work| work.unread())
    }

    /// At most `limit` messages that no listener has marked yet, in the order they came. Own messages of this device
    /// are not among them.
    pub async fn unlistened(&self, limit: usize) -> Result<Vec<Message>, Error> {
        self.engine.run(|work| work.unlistened(limit))
    }

    /// At most `limit` messages and notices of the server that no listener has marked yet, in the order they came.
    pub async fn inbox(&self, limit: usize) -> Result<Vec<InboxItem>, Error> {
        self.engine.run(|work| work.inbox(limit))
    }

    /// What stands in the inbox up to this local number has been shown, and will not come again.
    pub async fn mark_listened(&self, local_no: u64) -> Result<(), Error> {
        self.engine.run(|work| work.mark_listened(local_no))
    }

    /// The group's epoch and its MLS epoch authenticator: equal on all members whose states are equal.
    pub async fn epoch_authenticator(&self, group: [u8; 32]) -> Result<(u64, Vec<u8>), Error> {
        self.engine.run(|work| work.look(&group, |group| (group.epoch(), group.authenticator())))
    }

    /// Stops, and releases the vault.
    pub async fn close(self) {
        self.engine.close().await;
    }

    /// Starts on a connection that stands already: the real one, or one of a test.
    pub(crate) fn start_on(
        core: Core,
        record: &AccountRecord,
        key: Arc<DeviceKey>,
        remote: Arc<dyn Remote>,
        events: mpsc::Receiver<ConnectionEvent>,
        options: Options,
    ) -> Self {
        let engine = Engine::new(core, remote, key, options.clock);
        engine.spawn(engine::receive(Arc::clone(&engine), events));
        let account =
            AccountInfo { username: record.username.clone(), account_id: record.account_id, device_id: record.device_id };
        Self { _guard: Arc::new(Guard(Arc::clone(&engine))), engine, account: Arc::new(account) }
    }

    fn start(vault: Vault, record: &AccountRecord, options: Options) -> Self {
        let credentials = enrolment::credentials(record, vault.incarnation());
        let key = Arc::clone(&credentials.signing_key);
        let core = open_core(vault, record, &key, &options);
        // The server's cursors may only lag behind; what it sends again is recognised.
        let (connection, events) =
            Connection::start(record.endpoint.clone(), options.pipes.clone(), credentials, Box::new(Vec::new));
        Self::start_on(core, record, key, Arc::new(connection), events, options)
    }

    async fn say(&self, group: [u8; 32], said: Said, options: SendOptions) -> Result<Sent, Error> {
        let waiter = self.engine.run(|work| {
            let record = work.known_group(&work.current(&group)?)?;
            let client_id = work.enqueue(&record, said, options)?;
            Ok(self.engine.message_waiter(client_id))
        })?;
        self.engine.has_spoken(&group);
        self.engine.outcome(waiter).await
    }

    /// What a person says, and with it the acceptance of what they answer; `accepts`: something is noted already.
    async fn speak(&self, group: [u8; 32], text: &str, options: SendOptions, accepts: bool) -> Result<Sent, Error> {
        let (waiter, accepts) = self.engine.run(|work| {
            let record = work.known_group(&work.current(&group)?)?;
            let client_id = work.enqueue(&record, Said::Text(text.to_owned()), options)?;
            let accepts = work.accept_group(&record)? || accepts;
            Ok((self.engine.message_waiter(client_id), accepts))
        })?;
        self.engine.has_spoken(&group);
        let accepted = async {
            if accepts {
                self.engine.accept_soon().await;
            }
        };
        let (sent, ()) = futures_util::future::join(self.engine.outcome(waiter), accepted).await;
        if accepts {
            // There may have been no connection before.
            self.engine.accept_soon().await;
        }
        sent
    }

    async fn make_group(
        &self,
        name: Option<String>,
        direct_key: Option<[u8; 32]>,
        policy: mls::Policy,
        others: Vec<[u8; 16]>,
    ) -> Result<([u8; 32], impl Future<Output = Result<(), Error>> + use<>), Error> {
        let reserved = self.engine.patiently(|| self.engine.call(v1::ReserveGroupRequest {})).await?;
        let malformed = |_| Error::Network("the server reserved no group of 32 bytes".to_owned());
        let id: [u8; 32] = reserved.group_id.as_ref().try_into().map_err(malformed)?;
        let waiter = self.engine.run(|work| {
            let intent = work.begin_group(id, name, direct_key, policy, others)?;
            Ok(self.engine.intent_waiter(intent))
        })?;
        Ok((id, waiter))
    }
}

/// Stops the tasks when the last handle is gone.
struct Guard(Arc<Engine>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The state of an open vault.
pub(crate) fn open_core(vault: Vault, record: &AccountRecord, key: &Arc<DeviceKey>, options: &Options) -> Core {
    let me = DeviceRef { account: record.account_id, device: record.device_id };
    Core::new(vault, Mls::new(Arc::clone(key), me), options.clock.clone())
}

fn check_text(text: &str) -> Result<(), Error> {
    match text.len() {
        0 => Err(Error::Usage("there is nothing to send".to_owned())),
        length if length > TEXT_MAX => {
            Err(Error::Usage(format!("the text has {length} bytes, at most {TEXT_MAX} fit a message")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
impl Client {
    pub(crate) fn engine_run<T>(&self, work: impl FnOnce(&mut engine::Work<'_>) -> Result<T, Error>) -> T {
        self.engine.run(work).expect("a transaction of a test")
    }

    pub(crate) fn engine_log(&self, group: [u8; 32]) -> engine::LogRecord {
        self.engine_run(|work| work.log(&group)).unwrap_or_default()
    }

    pub(crate) fn engine_key(&self) -> Arc<DeviceKey> {
        Arc::clone(&self.engine.key)
    }

    pub(crate) async fn engine_publish(&self, manifest: v1::Manifest) {
        self.engine.call(v1::PublishManifestRequest { manifest: Some(manifest) }).await.expect("published");
    }

    pub(crate) async fn learn(&self, account: [u8; 16]) {
        self.engine.learn(account).await.expect("the server answers");
    }

    pub(crate) async fn learn_anyway(&self, account: [u8; 16]) {
        drop(self.engine.learn(account).await);
    }

    pub(crate) fn queued(&self, group: [u8; 32]) -> usize {
        self.engine_run(|work| work.queued(&group))
    }
}
