//! The session's state machine: frames in, over a real store, as a guest, as a device or as the operator. The first byte
//! says which; the frames follow as in [`crate::parts`].
//!
//! Whatever comes, every request is answered once at most, nothing is the server's fault, and the session ends.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use prost::Message as _;
use sovereign::{
    auth::{attempts::Attempts, password::Passwords, server_key::ServerKey, tickets::Tickets, turns::Turns},
    clock::Clock,
    codec::{self, FromClient},
    ids::{AccountId, DeviceId},
    limits::{HELD_IN_ALL, Limits},
    refusal::CloseCode,
    server::{Auth, InviteAddress, Policy, Server, Settings},
    session::{
        self, Credential, Peer,
        link::{Event, Incoming, Link},
    },
    store::{DataDir, InviteUse, NewAccount, NewDevice, NewGroup, Options, Store},
};
use sovereign_proto::{
    Call as _,
    manifest::Body,
    v1::{self, Envelope, FailureCode, PingRequest, RegistrationMode, envelope, push},
};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::{
    corpus, parts,
    people::{GROUP, Keys, ada, bob},
    seeds,
};

/// Inputs after which the server begins anew: those before have changed much of it.
const INPUTS_PER_SERVER: usize = 200;
/// Frames of one input.
const FRAMES_MAX: usize = 64;
/// The request that ends every input.
const LAST: u64 = u64::MAX;
const SIGN_IN: u64 = u64::MAX - 1;
/// Longer than any handler may take.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn frames(data: &[u8]) {
    static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::new()));
    let mut world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    world.inputs += 1;
    if world.inputs > INPUTS_PER_SERVER || world.spoilt {
        *world = World::new();
    }
    let (who, rest) = data.split_first().unwrap_or((&0, &[]));
    let frames = parts(rest).into_iter().take(FRAMES_MAX).map(Bytes::copy_from_slice);
    let frames = frames.filter(|frame| !writes_elsewhere(frame)).collect();
    let heard = world.run(who % 3, frames);
    assert!(heard.faults.is_empty(), "{}", heard.faults.join("; "));
    // An operator may have taken Ada's device away, or she herself.
    world.spoilt = heard.sign_in_refused || who % 3 == 2;
}

/// A backup goes where the operator says, which may be anywhere on this machine.
fn writes_elsewhere(frame: &Bytes) -> bool {
    matches!(codec::decode(frame), Ok(FromClient::Request { body: v1::request::Body::BackUp(_), .. }))
}

struct World {
    runtime: Runtime,
    server: Arc<Server>,
    _directory: TempDir,
    inputs: usize,
    spoilt: bool,
}

/// What came back.
#[derive(Default)]
struct Heard {
    faults: Vec<String>,
    /// Answers still to come, by request id.
    owed: BTreeMap<u64, u32>,
    sign_in_refused: bool,
    closed: Option<u16>,
    over: bool,
}

impl World {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let directory = seeds::scratch();
        let data = DataDir::open(directory.path().join("data")).expect("a fresh directory opens");
        let clock = Clock::default();
        let store = Store::open(&data, Options::default(), clock.clone()).expect("a fresh store opens");
        let settings = Settings {
            policy: Policy::new("fuzzed".into(), RegistrationMode::Open),
            limits: Limits::default(),
            held_max: HELD_IN_ALL,
            heartbeat: Duration::from_hours(1),
            authentication_deadline: Duration::from_hours(1),
            token_life: Duration::from_hours(1),
            invites: InviteAddress::default(),
        };
        let auth = Auth {
            passwords: Passwords::new(1, 1),
            attempts: Attempts::default(),
            tickets: Tickets::default(),
            turns: Turns::default(),
            key: ServerKey::from_seed(&[7; 32]),
        };
        let server = Arc::new(Server::new(settings, clock, store, auth));
        runtime.block_on(populate(&server));
        Self { runtime, server, _directory: directory, inputs: 0, spoilt: false }
    }

    fn run(&self, who: u8, frames: VecDeque<Bytes>) -> Heard {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let link = Script { heard: Arc::clone(&heard), frames, signs_in: who == 1, flushed: true, ending: false };
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let peer = Peer { address, credential: Credential::None, operator: who == 2 };
        let ended = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, session::run(link, Arc::clone(&self.server), peer)).await });
        let mut heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        if ended.is_err() {
            heard.faults.push("the session does not end".to_owned());
        }
        heard
    }
}

/// Ada and Bob; Ada has begun the group of the seeds.
async fn populate(server: &Server) {
    for (keys, username) in [(ada(), "ada"), (bob(), "bob")] {
        server.store.sign_up(account(&keys, username)).await.expect("signed up");
    }
    let (creator, now) = (ada().leaf(), server.clock.now_ms());
    let group_info = std::fs::read(corpus::directory().join("group_info/new")).expect("the corpus has a new group");
    server.store.reserve_group(creator.device_id, GROUP, now).await.expect("reserved");
    let new = NewGroup { group: GROUP, creator, group_info: group_info.into(), direct_key: None, now };
    server.store.create_group(new).await.expect("created");
}

fn account(keys: &Keys, username: &str) -> NewAccount {
    let manifest = keys.genesis();
    NewAccount {
        account_id: AccountId(keys.account),
        username: username.into(),
        identity_key: keys.identity.verifying_key().to_bytes(),
        manifest_hash: Body::hash(&manifest.body),
        manifest: manifest.encode_to_vec(),
        device: NewDevice { device_id: DeviceId(keys.device), device_key: keys.public() },
        password_hash: None,
        invite: InviteUse::None,
        now: 0,
    }
}

/// A link that brings frames one after the other, and a last request whose answer ends it.
struct Script {
    heard: Arc<Mutex<Heard>>,
    frames: VecDeque<Bytes>,
    signs_in: bool,
    flushed: bool,
    ending: bool,
}

impl Script {
    fn next(&mut self) -> Option<Bytes> {
        if self.signs_in {
            // Not before the challenge is known.
            return None;
        }
        let frame = match self.frames.pop_front() {
            Some(frame) => frame,
            None if self.ending => return None,
            None => {
                self.ending = true;
                request(LAST, PingRequest { client_time_ms: 0 }.into_body())
            }
        };
        if let Ok(Envelope { request_id, body: Some(envelope::Body::Request(_)) }) = Envelope::decode(frame.clone()) {
            *self.heard.lock().unwrap_or_else(PoisonError::into_inner).owed.entry(request_id).or_default() += 1;
        }
        Some(frame)
    }

    /// The sign-in goes before everything else.
    fn introduced(&mut self, hello: &v1::Hello) {
        if std::mem::take(&mut self.signs_in) {
            self.frames.push_front(request(SIGN_IN, ada().sign_in(hello).into_body()));
        }
    }
}

impl Link for Script {
    fn poll(&mut self, _: &mut Context<'_>, read: bool) -> Poll<Event> {
        let over = {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.over || heard.closed.is_some()
        };
        if over {
            return Poll::Ready(Event::In(Incoming::Closed(None)));
        }
        if !std::mem::replace(&mut self.flushed, true) {
            return Poll::Ready(Event::Flushed);
        }
        match if read { self.next() } else { None } {
            Some(frame) => Poll::Ready(Event::In(Incoming::Frame(frame))),
            None => Poll::Pending,
        }
    }

    fn feed(&mut self, frame: Bytes) {
        self.flushed = false;
        let envelope = Envelope::decode(frame);
        if let Ok(Envelope { body: Some(envelope::Body::Push(v1::Push { body: Some(push::Body::Hello(hello)) })), .. }) =
            &envelope
        {
            self.introduced(hello);
        }
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take(envelope.ok());
    }

    fn feed_ping(&mut self) {}

    fn start_close(&mut self, code: u16, _: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.closed = Some(code);
        if code == CloseCode::Fault as u16 {
            heard.faults.push("the session is closed as the server's fault".to_owned());
        }
    }

    fn pending(&self) -> usize {
        0
    }

    fn set_frame_limit(&mut self, _: usize) {}
}

impl Heard {
    fn take(&mut self, envelope: Option<Envelope>) {
        let Some(Envelope { request_id: id, body: Some(body) }) = envelope else {
            return self.faults.push("what is sent is no Envelope".to_owned());
        };
        match &body {
            envelope::Body::Failure(failure) if failure.code() == FailureCode::Internal => {
                self.faults.push(format!("an internal failure: {}", failure.message));
            }
            envelope::Body::Failure(_) if id == SIGN_IN => self.sign_in_refused = true,
            // What could not be read has an id that nobody counted.
            envelope::Body::Failure(failure) if failure.code() == FailureCode::InvalidArgument => {}
            envelope::Body::Response(_) | envelope::Body::Failure(_) => match self.owed.get_mut(&id) {
                Some(owed) if *owed > 0 => *owed -= 1,
                _ => self.faults.push(format!("request {id} is answered once too often")),
            },
            envelope::Body::Push(_) => {}
            envelope::Body::Request(_) | envelope::Body::Notice(_) => self.faults.push("the server asks".to_owned()),
        }
        self.over |= id == LAST;
    }
}

fn request(request_id: u64, body: v1::request::Body) -> Bytes {
    let body = Some(envelope::Body::Request(v1::Request { body: Some(body) }));
    Envelope { request_id, body }.encode_to_vec().into()
}
