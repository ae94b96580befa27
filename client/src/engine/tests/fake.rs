//! A server in memory: logs, windows, key packages and commits as the protocol has them, and faults on demand. It
//! trusts its clients; what the real one refuses is tested there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use openmls::prelude::{
    MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, ProposalStore, PublicGroup, tls_codec::Deserialize as _,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use sovereign_proto::{
    Call, credential,
    log::{Kind, START, entry_hash, running_hash},
    v1::{self, entry::Body, find_account_request::By, own::What, push, request, response, submit_commit_response::Outcome},
};
use tokio::sync::mpsc;

use crate::{
    connection::{CallError, Cause, ConnectionEvent, ConnectionState},
    engine::{Remote, apply::hash_of, remote::Answer},
    mls::{DeviceRef, Mls},
};

/// Changes an entry.
type Tamper = fn(&mut v1::Entry);

/// Puts in its place that an entry has expired, with the running hash there.
type Expire = fn(&mut v1::Entry, [u8; 32]);

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Done, and the answer lost with the connection.
    AnswerLost,
    /// Lost on the way.
    RequestLost,
    /// Done, and never answered.
    SilentAfter,
    /// Never done and never answered.
    SilentBefore,
    /// Not done: too many of late, and to come back after so many milliseconds.
    Limited(u64),
    /// Never done: not as it is.
    Refused,
}

#[derive(Clone, Default)]
pub(super) struct FakeServer(Arc<Mutex<World>>);

#[derive(Default)]
pub(super) struct World {
    accounts: Vec<Account>,
    devices: BTreeMap<DeviceRef, Device>,
    pub(super) groups: HashMap<[u8; 32], Group>,
    direct: HashMap<[u8; 32], [u8; 32]>,
    /// Of the next request of this name.
    pub(super) faults: Vec<(&'static str, Fault)>,
    /// Of this device's request with this number from now, whatever it is.
    pub(super) fault_at: Option<(DeviceRef, usize, Fault)>,
    /// How many requests of each name came.
    pub(super) counts: HashMap<&'static str, usize>,
    claims: HashMap<Vec<u8>, v1::ClaimKeyPackagesResponse>,
    /// Every signal that was relayed.
    pub(super) signals: Vec<v1::Signal>,
    /// Gets no signals.
    pub(super) deaf: Option<DeviceRef>,
    /// One side of each relation: in whose eyes, and to whom.
    relations: BTreeMap<([u8; 16], [u8; 16]), v1::Contact>,
    /// Whoever is added is told that it is a request.
    pub(super) welcome_requests: bool,
    /// Claims made before are over.
    pub(super) forgets_claims: bool,
    /// So many bundles with a Welcome are refused for their key packages.
    pub(super) refuses_adds: usize,
    /// Changes an entry on its way to this device.
    pub(super) tamper: Option<(DeviceRef, Tamper)>,
    /// What is sent to this group now has expired for everybody but its sender.
    pub(super) expires: Option<([u8; 32], Expire)>,
    /// Also where the device fetches it.
    pub(super) tampers_always: bool,
    /// Who has sent what was refused to which group: what comes behind it is, too.
    held: BTreeSet<(DeviceRef, Bytes)>,
}

struct Account {
    id: [u8; 16],
    username: String,
    identity: [u8; 32],
    manifests: Vec<v1::Manifest>,
}

#[derive(Default)]
struct Device {
    packages: Vec<Bytes>,
    last_resort: Option<Bytes>,
    log: Vec<v1::Entry>,
    cursors: HashMap<Vec<u8>, u64>,
    session: Option<Session>,
    /// The last watch list.
    watched: Vec<Vec<u8>>,
}

struct Session {
    events: mpsc::Sender<ConnectionEvent>,
    sent: HashMap<Vec<u8>, u64>,
}

#[derive(Default)]
pub(super) struct Group {
    pub(super) epoch: u64,
    info: Bytes,
    pub(super) log: Vec<Stored>,
    running: Vec<[u8; 32]>,
    /// Per device: behind this seq, up to this one.
    windows: BTreeMap<DeviceRef, (u64, Option<u64>)>,
    /// Messages of older epochs than this are stale.
    oldest: u64,
    bundles: HashMap<Vec<u8>, v1::CommitAccepted>,
    /// Accounts that cannot process the last commit.
    nacks: BTreeSet<[u8; 16]>,
    pub(super) frozen: bool,
    pub(super) successor: Option<[u8; 32]>,
}

pub(super) struct Stored {
    by: DeviceRef,
    pub(super) client_id: Vec<u8>,
    pub(super) entry: v1::Entry,
}

struct Line {
    server: FakeServer,
    device: DeviceRef,
    events: mpsc::Sender<ConnectionEvent>,
}

impl FakeServer {
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("no test panics while holding it")
    }

    pub(super) fn add_account(&self, id: [u8; 16], username: &str, identity: [u8; 32], manifest: v1::Manifest) {
        self.world().accounts.push(Account { id, username: username.to_owned(), identity, manifests: vec![manifest] });
    }

    /// Connects a device. What it has not acknowledged comes again.
    pub(super) fn connect(&self, device: DeviceRef) -> (Arc<dyn Remote>, mpsc::Receiver<ConnectionEvent>) {
        let (events, taken) = mpsc::channel(4096);
        self.sign_in(device, &events);
        (Arc::new(Line { server: self.clone(), device, events }), taken)
    }

    fn sign_in(&self, device: DeviceRef, events: &mpsc::Sender<ConnectionEvent>) {
        let mut world = self.world();
        let manifest_version = world.account(&device.account).map_or(0, |account| account.manifests.len() as u64);
        let listed = world.account(&device.account).is_some_and(|account| lists(account, &device));
        let state = if listed { v1::DeviceState::Active } else { v1::DeviceState::Pending };
        let entry = world.devices.entry(device).or_default();
        let stock = stock(entry);
        entry.session = Some(Session { events: events.clone(), sent: entry.cursors.clone() });
        let session = v1::Session {
            device_state: state.into(),
            key_package_stock: Some(stock),
            manifest_version,
            ..v1::Session::default()
        };
        let _ = events.try_send(ConnectionEvent::State(ConnectionState::Syncing, Cause::Requested));
        let _ = events.try_send(ConnectionEvent::SignedIn { session, generation: 1 });
        world.pump();
        let _ = events.try_send(ConnectionEvent::State(ConnectionState::Live, Cause::Requested));
    }

    /// Breaks the connection and restores it at once.
    fn reconnect(&self, device: DeviceRef, events: &mpsc::Sender<ConnectionEvent>) {
        let _ = events.try_send(ConnectionEvent::State(ConnectionState::Backoff { wait_ms: 0 }, Cause::Requested));
        self.sign_in(device, events);
    }

    /// The device hears nothing until it connects again.
    pub(super) fn disconnect(&self, device: DeviceRef) {
        self.world().devices.entry(device).or_default().session = None;
    }

    /// Breaks the connection until `resume`.
    pub(super) fn interrupt(&self, device: DeviceRef) -> mpsc::Sender<ConnectionEvent> {
        let session = self.world().devices.entry(device).or_default().session.take();
        let events = session.expect("the device is connected").events;
        let _ = events.try_send(ConnectionEvent::State(ConnectionState::Backoff { wait_ms: 0 }, Cause::Requested));
        events
    }

    pub(super) fn resume(&self, device: DeviceRef, events: &mpsc::Sender<ConnectionEvent>) {
        self.sign_in(device, events);
    }

    pub(super) fn push(&self, device: DeviceRef, body: push::Body) {
        if let Some(session) = &self.world().devices.entry(device).or_default().session {
            let _ = session.events.try_send(ConnectionEvent::Push(body));
        }
    }

    /// To the other members who are connected, and kept for the test.
    fn relay(&self, from: DeviceRef, signal: v1::Signal) {
        let mut guard = self.world();
        let world = &mut *guard;
        let group = &world.groups[signal.group_id.as_ref()];
        let others: Vec<DeviceRef> = group
            .windows
            .iter()
            .filter(|(device, window)| **device != from && window.1.is_none())
            .map(|(device, _)| *device)
            .collect();
        for other in others.into_iter().filter(|other| Some(*other) != world.deaf) {
            if let Some(session) = &world.devices.entry(other).or_default().session {
                let _ = session.events.try_send(ConnectionEvent::Push(push::Body::Signal(signal.clone())));
            }
        }
        world.signals.push(signal);
    }

    /// Changes a side of a relation and tells it.
    pub(super) fn relate(&self, own: DeviceRef, other: DeviceRef, name: &str, relation: v1::Relation) {
        let account_id = other.account.to_vec().into();
        let contact = v1::Contact { account_id, username: name.to_owned(), relation: relation.into(), since_ms: 7 };
        self.world().relations.insert((own.account, other.account), contact.clone());
        let changed = v1::RelationChanged { contacts: vec![contact], more: false };
        self.push(own, push::Body::RelationChanged(changed));
    }

    /// Every message of the group's log by its client id, in order.
    pub(super) fn message_ids(&self, group: &[u8; 32]) -> Vec<Vec<u8>> {
        let world = self.world();
        let log = &world.groups[group].log;
        log.iter()
            .filter(|stored| matches!(stored.entry.body, Some(Body::Message(_))))
            .map(|stored| stored.client_id.clone())
            .collect()
    }

    /// The group's first message comes again, as one does that was under way while the group went on.
    pub(super) fn say_late(&self, id: &[u8; 32]) {
        let mut world = self.world();
        let group = world.groups.get_mut(id).expect("the test made it");
        let early = group.log.iter().find(|stored| matches!(stored.entry.body, Some(Body::Message(_)))).expect("a message");
        let (by, body) = (early.by, early.entry.body.clone().expect("a message"));
        group.append(by, vec![7; 16], body);
        world.pump();
    }

    /// Messages of the current epoch only are taken from here on.
    pub(super) fn forbid_old_epochs(&self, group: &[u8; 32]) {
        let mut world = self.world();
        let group = world.groups.get_mut(group).expect("the test made it");
        group.oldest = group.epoch;
    }
}

impl Remote for Line {
    fn begin(&self, request: request::Body) -> Answer {
        let name = name_of(&request);
        let behind = self.server.world().is_behind(self.device, &request);
        let fault = if behind { None } else { self.server.world().fault(self.device, name) };
        let done = match fault {
            _ if behind => Some(Err(failure(v1::FailureCode::Unavailable))),
            Some(Fault::RequestLost | Fault::SilentBefore) => None,
            Some(Fault::Refused) => {
                self.server.world().hold(self.device, &request);
                Some(Err(failure(v1::FailureCode::InvalidArgument)))
            }
            Some(Fault::Limited(retry_after_ms)) => {
                Some(Err(v1::Failure { retry_after_ms, ..failure(v1::FailureCode::RateLimited) }))
            }
            _ => Some(self.server.world().handle(self.device, request)),
        };
        let (server, device, events) = (self.server.clone(), self.device, self.events.clone());
        Box::pin(async move {
            tokio::task::yield_now().await;
            match (fault, done) {
                (Some(Fault::SilentAfter | Fault::SilentBefore), _) => std::future::pending().await,
                (Some(Fault::AnswerLost | Fault::RequestLost), _) | (_, None) => {
                    server.reconnect(device, &events);
                    Err(CallError::Disconnected)
                }
                (None | Some(Fault::Limited(_) | Fault::Refused), Some(answer)) => answer.map_err(CallError::Refused),
            }
        })
    }

    fn notify(&self, notice: v1::Notice) {
        let acknowledge = match notice.body {
            Some(v1::notice::Body::Acknowledge(acknowledge)) => acknowledge,
            Some(v1::notice::Body::Signal(signal)) => return self.server.relay(self.device, signal),
            None => return,
        };
        let mut world = self.server.world();
        let device = world.devices.entry(self.device).or_default();
        for position in acknowledge.positions {
            let cursor = device.cursors.entry(position.group_id.to_vec()).or_default();
            *cursor = position.seq.max(*cursor);
        }
        world.pump();
    }

    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.server.disconnect(self.device);
        Box::pin(async {})
    }
}

type Handled = Result<response::Body, v1::Failure>;

impl World {
    /// The server names another identity key for an account.
    pub(super) fn change_identity(&mut self, username: &str, identity: [u8; 32]) {
        for account in self.accounts.iter_mut().filter(|account| account.username == username) {
            account.identity = identity;
        }
    }

    /// Whom a device watches.
    pub(super) fn watched(&self, device: DeviceRef) -> Vec<Vec<u8>> {
        self.devices.get(&device).map(|device| device.watched.clone()).unwrap_or_default()
    }

    /// The server shows another identity with a chain of its own.
    pub(super) fn replace_identity(&mut self, username: &str, identity: [u8; 32], manifests: &[v1::Manifest]) {
        self.change_identity(username, identity);
        for account in self.accounts.iter_mut().filter(|account| account.username == username) {
            account.manifests = manifests.to_vec();
        }
    }

    pub(super) fn manifests(&self, username: &str) -> Vec<v1::Manifest> {
        self.accounts
            .iter()
            .find(|account| account.username == username)
            .map(|account| account.manifests.clone())
            .unwrap_or_default()
    }

    /// The account has another name from now on.
    pub(super) fn rename(&mut self, username: &str, to: &str) {
        for account in self.accounts.iter_mut().filter(|account| account.username == username) {
            to.clone_into(&mut account.username);
        }
    }

    /// The device has no key packages left.
    pub(super) fn take_packages(&mut self, device: DeviceRef) {
        self.devices.entry(device).or_default().packages.clear();
    }

    fn account(&self, id: &[u8]) -> Option<&Account> {
        self.accounts.iter().find(|account| account.id == id)
    }

    fn fault(&mut self, by: DeviceRef, name: &'static str) -> Option<Fault> {
        *self.counts.entry(name).or_default() += 1;
        if let Some((_, left, fault)) = self.fault_at.as_mut().filter(|(whose, ..)| *whose == by) {
            *left -= 1;
            if *left == 0 {
                let fault = *fault;
                self.fault_at = None;
                return Some(fault);
            }
        }
        let at = self.faults.iter().position(|(wanted, _)| *wanted == name)?;
        Some(self.faults.remove(at).1)
    }

    fn hold(&mut self, by: DeviceRef, request: &request::Body) {
        if let request::Body::SendMessage(send) = request {
            self.held.insert((by, send.group_id.clone()));
        }
    }

    fn is_behind(&mut self, by: DeviceRef, request: &request::Body) -> bool {
        let request::Body::SendMessage(send) = request else { return false };
        let held = (by, send.group_id.clone());
        if send.anew {
            self.held.remove(&held);
        }
        send.in_order && self.held.contains(&held)
    }

    fn handle(&mut self, by: DeviceRef, request: request::Body) -> Handled {
        use request::Body as R;
        let answer = match request {
            R::FindAccount(request) => response::Body::FindAccount(self.find(&request)?),
            R::ListManifests(request) => {
                let account = self.account(&request.account_id).ok_or_else(not_found)?;
                let after = usize::try_from(request.after_version).unwrap_or(usize::MAX);
                let manifests = account.manifests.iter().skip(after).cloned().collect();
                response::Body::ListManifests(v1::ListManifestsResponse { manifests, more: false })
            }
            R::PublishManifest(request) => {
                let account = self.accounts.iter_mut().find(|account| account.id == by.account).ok_or_else(not_found)?;
                account.manifests.extend(request.manifest);
                response::Body::PublishManifest(v1::PublishManifestResponse { version: account.manifests.len() as u64 })
            }
            R::PublishKeyPackages(request) => {
                let device = self.devices.entry(by).or_default();
                device.packages.extend(request.key_packages);
                if !request.last_resort.is_empty() {
                    device.last_resort = Some(request.last_resort);
                }
                response::Body::PublishKeyPackages(v1::PublishKeyPackagesResponse { stock: Some(stock(device)) })
            }
            R::CountKeyPackages(_) => {
                let stock = Some(stock(self.devices.entry(by).or_default()));
                response::Body::CountKeyPackages(v1::CountKeyPackagesResponse { stock })
            }
            R::ClaimKeyPackages(request) => response::Body::ClaimKeyPackages(self.claim(by, &request)?),
            R::ReserveGroup(_) => response::Body::ReserveGroup(v1::ReserveGroupResponse {
                group_id: crate::entropy::random::<32>().to_vec().into(),
            }),
            R::CreateGroup(request) => response::Body::CreateGroup(self.create(by, &request)),
            R::SubmitCommit(request) => {
                let outcome = self.submit(by, request)?;
                self.pump();
                response::Body::SubmitCommit(v1::SubmitCommitResponse { outcome: Some(outcome) })
            }
            R::Propose(request) => {
                let group = self.groups.get_mut(request.group_id.as_ref()).ok_or_else(not_found)?;
                let seq = group.append(by, Vec::new(), Body::Proposal(request.proposal));
                self.pump();
                response::Body::Propose(v1::ProposeResponse { seq })
            }
            R::GetGroupInfo(request) => {
                let group = self.groups.get(request.group_id.as_ref()).ok_or_else(not_found)?;
                if !group.windows.iter().any(|(device, window)| device.account == by.account && window.1.is_none()) {
                    return Err(not_found());
                }
                let (epoch, seq) = (group.epoch, group.log.len() as u64);
                response::Body::GetGroupInfo(v1::GetGroupInfoResponse { group_info: group.info.clone(), epoch, seq })
            }
            R::ListGroups(_) => response::Body::ListGroups(self.list(by)),
            R::LeaveGroup(_) => response::Body::LeaveGroup(v1::LeaveGroupResponse {}),
            R::ConfirmEpoch(request) => {
                let group = self.groups.get_mut(request.group_id.as_ref()).ok_or_else(not_found)?;
                response::Body::ConfirmEpoch(v1::ConfirmEpochResponse { frozen: group.confirm(by, &request) })
            }
            R::ResetGroup(request) => response::Body::ResetGroup(self.reset(by, &request)?),
            R::SendMessage(request) => {
                let answer = self.send(by, &request)?;
                self.pump();
                response::Body::SendMessage(answer)
            }
            R::WatchPresence(request) => {
                self.devices.entry(by).or_default().watched = request.account_ids.iter().map(|id| id.to_vec()).collect();
                response::Body::WatchPresence(v1::WatchPresenceResponse { accounts: Vec::new(), number: 1 })
            }
            R::ListRelations(_) => {
                let own = self.relations.iter().filter(|((of, _), _)| *of == by.account);
                let known = own.filter(|(_, contact)| contact.relation() != v1::Relation::Unspecified);
                let contacts = known.map(|(_, contact)| contact.clone()).collect();
                response::Body::ListRelations(v1::ListRelationsResponse { contacts, more: false })
            }
            // Whatever is asked for is an acceptance of somebody here.
            R::SetRelation(request) => {
                let relation = v1::Relation::Accepted.into();
                if let Some(v1::set_relation_request::Target::AccountId(id)) = request.target {
                    let own = self.relations.iter_mut().filter(|((of, other), _)| *of == by.account && other == id.as_ref());
                    own.for_each(|(_, contact)| contact.relation = relation);
                }
                response::Body::SetRelation(v1::SetRelationResponse { relation })
            }
            R::FetchEntries(request) => {
                let mut answer = self.fetch(by, &request);
                if let Some((_, tamper)) = self.tamper.filter(|(whose, _)| self.tampers_always && *whose == by) {
                    answer.entries.iter_mut().for_each(tamper);
                }
                response::Body::FetchEntries(answer)
            }
            _ => return Err(failure(v1::FailureCode::Unimplemented)),
        };
        Ok(answer)
    }

    fn find(&self, request: &v1::FindAccountRequest) -> Result<v1::FindAccountResponse, v1::Failure> {
        let account = self.accounts.iter().find(|account| match &request.by {
            Some(By::Username(name)) => account.username == *name,
            Some(By::AccountId(id)) => account.id == id.as_ref(),
            None => false,
        });
        let account = account.ok_or_else(not_found)?;
        Ok(v1::FindAccountResponse {
            account_id: account.id.to_vec().into(),
            username: account.username.clone(),
            identity_key: account.identity.to_vec().into(),
            manifest_version: account.manifests.len() as u64,
        })
    }

    fn claim(
        &mut self,
        by: DeviceRef,
        request: &v1::ClaimKeyPackagesRequest,
    ) -> Result<v1::ClaimKeyPackagesResponse, v1::Failure> {
        if let Some(known) = self.claims.get(request.claim_id.as_ref()) {
            return if self.forgets_claims { Err(failure(v1::FailureCode::Conflict)) } else { Ok(known.clone()) };
        }
        let mut answer = v1::ClaimKeyPackagesResponse::default();
        for (of, device) in &mut self.devices {
            let wanted = request.account_ids.iter().any(|account| account.as_ref() == of.account)
                && (request.device_ids.is_empty() || request.device_ids.iter().any(|id| id.as_ref() == of.device));
            if *of == by || !wanted || device.packages.is_empty() {
                continue;
            }
            let reference = v1::DeviceRef { account_id: of.account.to_vec().into(), device_id: of.device.to_vec().into() };
            answer.key_packages.push(v1::ClaimedKeyPackage { device: Some(reference), key_package: device.packages.remove(0) });
        }
        self.claims.insert(request.claim_id.to_vec(), answer.clone());
        Ok(answer)
    }

    fn create(&mut self, by: DeviceRef, request: &v1::CreateGroupRequest) -> v1::CreateGroupResponse {
        let id: [u8; 32] = request.group_id.as_ref().try_into().expect("32 bytes");
        if let Ok(key) = <[u8; 32]>::try_from(request.direct_key.as_ref()) {
            let winner = *self.direct.entry(key).or_insert(id);
            if winner != id {
                return v1::CreateGroupResponse { existing_group_id: winner.to_vec().into() };
            }
        }
        let group = self.groups.entry(id).or_default();
        group.info = request.group_info.clone();
        group.windows.insert(by, (0, None));
        v1::CreateGroupResponse::default()
    }

    /// In place of a frozen group, once.
    fn reset(&mut self, by: DeviceRef, request: &v1::ResetGroupRequest) -> Result<v1::ResetGroupResponse, v1::Failure> {
        let id: [u8; 32] = request.new_group_id.as_ref().try_into().expect("32 bytes");
        let old = self.groups.get_mut(request.group_id.as_ref()).ok_or_else(not_found)?;
        if old.successor.is_none() && (!old.frozen || old.epoch != request.epoch) {
            return Err(failure(v1::FailureCode::Conflict));
        }
        let successor = *old.successor.get_or_insert(id);
        if successor == id {
            let group = self.groups.entry(id).or_default();
            group.info = request.group_info.clone();
            group.windows.insert(by, (0, None));
        }
        Ok(v1::ResetGroupResponse { successor: successor.to_vec().into() })
    }

    fn submit(&mut self, by: DeviceRef, request: v1::SubmitCommitRequest) -> Result<Outcome, v1::Failure> {
        let id: [u8; 32] = request.group_id.as_ref().try_into().map_err(|_| not_found())?;
        let group = self.groups.get_mut(&id).ok_or_else(not_found)?;
        if let Some(accepted) = group.bundles.get(request.commit.as_ref()) {
            return Ok(Outcome::Accepted(v1::CommitAccepted { duplicate: true, ..accepted.clone() }));
        }
        if group.frozen {
            return Err(failure(v1::FailureCode::Forbidden));
        }
        if self.refuses_adds > 0 && !request.welcome.is_empty() {
            self.refuses_adds -= 1;
            return Err(failure(v1::FailureCode::InvalidArgument));
        }
        if Mls::epoch_of(&request.commit).expect("a commit") != group.epoch {
            let stale = Some(group.stale(by));
            return Ok(Outcome::Rejected(v1::CommitRejected { stale }));
        }
        let before: Vec<DeviceRef> =
            group.windows.iter().filter(|(_, window)| window.1.is_none()).map(|(device, _)| *device).collect();
        let after = members(&request.group_info);
        let seq = group.append(by, Vec::new(), Body::Commit(request.commit.clone()));
        group.epoch += 1;
        group.nacks.clear();
        group.info = request.group_info;
        group.oldest = group.oldest.max(group.epoch.saturating_sub(3));
        if before.contains(&by) && is_external(&request.commit) {
            // The old leaf went.
            group.oldest = group.epoch;
        }
        for message in request.messages {
            group.append(by, message.client_id.to_vec(), Body::Message(message.ciphertext));
        }
        let accepted = v1::CommitAccepted { seq, epoch: group.epoch, duplicate: false, running_hash: Bytes::new() };
        group.bundles.insert(request.commit.to_vec(), accepted.clone());
        let running = group.running[usize::try_from(seq).expect("small") - 1];
        for device in before.iter().filter(|device| !after.contains(device)) {
            group.windows.entry(*device).and_modify(|window| window.1 = Some(seq));
            group.oldest = group.epoch;
            let removed = v1::RemovedEntry { group_id: id.to_vec().into(), leave_seq: seq };
            append_device(self.devices.entry(*device).or_default(), Body::Removed(removed));
        }
        for device in after.iter().filter(|device| !before.contains(device)) {
            group.windows.insert(*device, (seq, None));
            let log = self.devices.entry(*device).or_default();
            if let Some(session) = &mut log.session {
                session.sent.insert(id.to_vec(), seq);
            }
            log.cursors.insert(id.to_vec(), seq);
            if *device != by {
                let welcome = v1::WelcomeEntry {
                    group_id: id.to_vec().into(),
                    welcome: request.welcome.clone(),
                    join_seq: seq,
                    running_hash: running.to_vec().into(),
                    added_by: by.account.to_vec().into(),
                    request: self.welcome_requests,
                };
                append_device(log, Body::Welcome(welcome));
            }
        }
        Ok(Outcome::Accepted(accepted))
    }

    /// Words of the operator on the own log of every device.
    pub(super) fn notice(&mut self, text: &str) {
        let notice = v1::ServerNotice { text: text.to_owned(), time_ms: 7 };
        self.devices.values_mut().for_each(|log| append_device(log, Body::ServerNotice(notice.clone())));
        self.pump();
    }

    fn send(&mut self, by: DeviceRef, request: &v1::SendMessageRequest) -> Result<v1::SendMessageResponse, v1::Failure> {
        let group = self.groups.get_mut(request.group_id.as_ref()).ok_or_else(not_found)?;
        let message = request.message.clone().unwrap_or_default();
        if let Some(known) = group.log.iter().find(|stored| stored.by == by && stored.client_id == message.client_id.as_ref()) {
            return Ok(v1::SendMessageResponse { seq: known.entry.seq, time_ms: known.entry.time_ms, duplicate: true });
        }
        if group.windows.get(&by).is_none_or(|window| window.1.is_some()) {
            return Err(not_found());
        }
        if group.frozen {
            return Err(failure(v1::FailureCode::Forbidden));
        }
        let epoch = Mls::epoch_of(&message.ciphertext).expect("a private message");
        if epoch < group.oldest || epoch > group.epoch {
            let details = Some(v1::failure::Details::StaleEpoch(group.stale(by)));
            return Err(v1::Failure { details, ..failure(v1::FailureCode::StaleEpoch) });
        }
        let seq = group.append(by, message.client_id.to_vec(), Body::Message(message.ciphertext));
        let stored = group.log.last_mut().expect("it was just appended");
        stored.entry.urgent = message.urgent;
        stored.entry.expires_at_ms = if message.ttl_seconds == 0 { 0 } else { seq + message.ttl_seconds * 1000 };
        if let Some((_, expire)) = self.expires.filter(|(id, _)| id == request.group_id.as_ref()) {
            expire(&mut stored.entry, *group.running.last().expect("with its hash"));
        }
        Ok(v1::SendMessageResponse { seq, time_ms: seq, duplicate: false })
    }

    fn fetch(&self, by: DeviceRef, request: &v1::FetchEntriesRequest) -> v1::FetchEntriesResponse {
        let entries: Vec<v1::Entry> = if request.group_id.is_empty() {
            self.devices[&by].log.iter().filter(|entry| entry.seq > request.from_seq).cloned().collect()
        } else {
            self.groups.get(request.group_id.as_ref()).map(|group| group.read(by, request.from_seq)).unwrap_or_default()
        };
        v1::FetchEntriesResponse { entries, head: 0, more: false }
    }

    fn list(&self, by: DeviceRef) -> v1::ListGroupsResponse {
        let member =
            |group: &Group| group.windows.iter().any(|(device, window)| device.account == by.account && window.1.is_none());
        let summary = |(id, group): (&[u8; 32], &Group)| v1::GroupSummary {
            group_id: id.to_vec().into(),
            epoch: group.epoch,
            joined: group.windows.get(&by).is_some_and(|window| window.1.is_none()),
            frozen: group.frozen,
            successor: group.successor.map(|id| id.to_vec().into()).unwrap_or_default(),
            ..v1::GroupSummary::default()
        };
        let groups = self.groups.iter().filter(|(_, group)| member(group)).map(summary).collect();
        v1::ListGroupsResponse { groups, more: false }
    }

    /// Gives every connected device what it has not been sent yet: its own log first, a group only behind its Welcome.
    fn pump(&mut self) {
        for (of, device) in &mut self.devices {
            let Some(session) = &mut device.session else { continue };
            let sent = session.sent.entry(Vec::new()).or_default();
            let fresh: Vec<v1::Entry> = device.log.iter().filter(|entry| entry.seq > *sent).cloned().collect();
            deliver(session, &[], fresh);
            for (id, group) in &self.groups {
                let welcomed = device.cursors.get([].as_slice()).copied().unwrap_or(0);
                let waits = device.log.iter().any(|entry| {
                    entry.seq > welcomed && matches!(&entry.body, Some(Body::Welcome(welcome)) if welcome.group_id.as_ref() == id)
                });
                if waits {
                    continue;
                }
                let sent = *session.sent.entry(id.to_vec()).or_default();
                let mut fresh = group.read(*of, sent);
                if let Some((_, tamper)) = self.tamper.filter(|(whose, _)| whose == of) {
                    fresh.iter_mut().for_each(tamper);
                }
                deliver(session, id, fresh);
            }
        }
    }
}

impl Group {
    /// Two accounts, or the only one beside the committer's, freeze it.
    fn confirm(&mut self, by: DeviceRef, request: &v1::ConfirmEpochRequest) -> bool {
        if request.epoch == self.epoch && matches!(request.verdict, Some(v1::confirm_epoch_request::Verdict::Nack(true))) {
            self.nacks.insert(by.account);
            let open = self.windows.iter().filter(|(_, window)| window.1.is_none());
            let accounts: BTreeSet<[u8; 16]> = open.map(|(device, _)| device.account).collect();
            self.frozen |= self.nacks.len() >= 2 || accounts.len() == 2;
        }
        self.frozen
    }

    fn append(&mut self, by: DeviceRef, client_id: Vec<u8>, body: Body) -> u64 {
        let seq = self.log.len() as u64 + 1;
        let entry = v1::Entry { seq, time_ms: seq, body: Some(body), ..v1::Entry::default() };
        let previous = self.running.last().copied().unwrap_or(START);
        self.running.push(running_hash(&previous, seq, &hash_of(&entry).expect("it has a body")));
        self.log.push(Stored { by, client_id, entry });
        seq
    }

    /// What a device may read behind `after`.
    fn read(&self, device: DeviceRef, after: u64) -> Vec<v1::Entry> {
        let Some((join, leave)) = self.windows.get(&device) else { return Vec::new() };
        let inside = |seq: u64| seq > *join && seq > after && leave.is_none_or(|leave| seq <= leave);
        self.log.iter().filter(|stored| inside(stored.entry.seq)).map(|stored| stored.seen_by(device)).collect()
    }

    fn stale(&self, device: DeviceRef) -> v1::StaleEpoch {
        v1::StaleEpoch { current_epoch: self.epoch, entries: self.read(device, 0), more: false }
    }
}

impl Stored {
    fn seen_by(&self, device: DeviceRef) -> v1::Entry {
        let mut entry = self.entry.clone();
        if self.by == device && !matches!(entry.body, Some(Body::Skipped(_))) {
            let what = match &entry.body {
                Some(Body::Commit(bytes) | Body::Proposal(bytes)) => {
                    use sha2::Digest as _;
                    What::HandshakeHash(sha2::Sha256::digest(bytes).to_vec().into())
                }
                _ => What::ClientId(self.client_id.clone().into()),
            };
            let hash = hash_of(&entry).expect("it has a body").to_vec().into();
            entry.body = Some(Body::Own(v1::Own { what: Some(what), entry_hash: hash }));
        }
        entry
    }
}

fn deliver(session: &mut Session, id: &[u8], entries: Vec<v1::Entry>) {
    let Some(last) = entries.last().map(|entry| entry.seq) else { return };
    session.sent.insert(id.to_vec(), last);
    let body = push::Body::Entries(v1::Entries { group_id: id.to_vec().into(), entries });
    let _ = session.events.try_send(ConnectionEvent::Push(body));
}

fn append_device(device: &mut Device, body: Body) {
    let seq = device.log.len() as u64 + 1;
    device.log.push(v1::Entry { seq, body: Some(body), ..v1::Entry::default() });
}

fn stock(device: &Device) -> v1::KeyPackageStock {
    v1::KeyPackageStock {
        available: u32::try_from(device.packages.len()).expect("few"),
        has_last_resort: device.last_resort.is_some(),
        last_resort_used: false,
        wanted: 5,
        oldest_at_ms: 0,
    }
}

fn is_external(commit: &[u8]) -> bool {
    let message = MlsMessageIn::tls_deserialize_exact(commit).expect("an MLS message");
    message.try_into_protocol_message().expect("a commit").is_external()
}

/// The leaves of the tree in a `GroupInfo`.
fn members(group_info: &[u8]) -> Vec<DeviceRef> {
    let message = MlsMessageIn::tls_deserialize_exact(group_info).expect("an MLS message");
    let MlsMessageBodyIn::GroupInfo(info) = message.extract() else { panic!("a GroupInfo") };
    let tree = info.extensions().ratchet_tree().expect("the tree is inside").ratchet_tree().clone();
    let provider = OpenMlsRustCrypto::default();
    let (group, _) =
        PublicGroup::from_external(provider.crypto(), provider.storage(), tree, info, ProposalStore::new()).expect("valid");
    let identity =
        |member: openmls::prelude::Member| credential::decode(member.credential.serialized_content()).expect("32 bytes");
    group.members().map(identity).map(|(account, device)| DeviceRef { account, device }).collect()
}

fn lists(account: &Account, device: &DeviceRef) -> bool {
    let newest = account.manifests.last().expect("there is a first one");
    let body = sovereign_proto::manifest::Body::decode(&newest.body).expect("valid");
    body.device(&device.device).is_some()
}

fn failure(code: v1::FailureCode) -> v1::Failure {
    v1::Failure { code: code.into(), message: "no".to_owned(), ..v1::Failure::default() }
}

fn not_found() -> v1::Failure {
    failure(v1::FailureCode::NotFound)
}

macro_rules! names {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        fn name_of(request: &request::Body) -> &'static str {
            match request { $(request::Body::$name(_) => <v1::$request as Call>::NAME,)* }
        }
    };
}

sovereign_proto::for_each_request!(names);

/// The hash of a message's bytes, as the log has it.
pub(super) fn message_hash(body: &[u8]) -> [u8; 32] {
    entry_hash(Kind::Message, body)
}
