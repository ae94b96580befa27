//! A session that came by a token: warned, prolonged by another one, ended with it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use prost::Message as _;
use sovereign_proto::v1::{self, Envelope, envelope, push};

use super::{Credential, Event, Incoming, Link, Peer, run};
use crate::{
    auth::secret,
    clock::{Instant, monotonic},
    ids::{AccountId, DeviceId},
    refusal::CloseCode,
    server::tests::server,
    store::{InviteUse, NewAccount, NewDevice, NewToken},
};

/// What a server sent, with the minute it came in.
type Heard = Arc<Mutex<Vec<(u64, push::Body)>>>;

/// A client that came by a token, takes everything, and may rotate the token when it is told that it ends.
struct Tokened {
    since: Instant,
    heard: Heard,
    closed: Arc<Mutex<Option<(u64, u16)>>>,
    /// What it sends when it is warned; each once.
    rotations: Vec<Bytes>,
    sends: Option<Bytes>,
    flushed: bool,
    /// Keeps paused time where it is while the store's threads work.
    held: Option<std::sync::mpsc::Sender<()>>,
}

impl Tokened {
    /// The nearest one.
    fn minute(&self) -> u64 {
        (self.since.elapsed().as_secs() + 30) / 60
    }
}

impl Link for Tokened {
    fn poll(&mut self, _: &mut Context<'_>, read: bool) -> Poll<Event> {
        if self.closed.lock().expect("not poisoned").is_some() {
            return Poll::Ready(Event::In(Incoming::Io));
        }
        if !std::mem::replace(&mut self.flushed, true) {
            return Poll::Ready(Event::Flushed);
        }
        match self.sends.take_if(|_| read) {
            Some(frame) => Poll::Ready(Event::In(Incoming::Frame(frame))),
            None => Poll::Pending,
        }
    }

    fn feed(&mut self, frame: Bytes) {
        self.flushed = false;
        match Envelope::decode(frame).expect("an Envelope").body {
            Some(envelope::Body::Push(v1::Push { body: Some(body) })) => {
                if matches!(body, push::Body::SessionExpiring(_))
                    && let Some(rotation) = self.rotations.pop()
                {
                    self.sends = Some(rotation);
                    let (release, held) = std::sync::mpsc::channel();
                    tokio::task::spawn_blocking(move || held.recv());
                    self.held = Some(release);
                }
                self.heard.lock().expect("not poisoned").push((self.minute(), body));
            }
            Some(envelope::Body::Response(_)) => self.held = None,
            _ => panic!("neither push nor response"),
        }
    }

    fn feed_ping(&mut self) {}

    fn start_close(&mut self, code: u16, _: &str) {
        *self.closed.lock().expect("not poisoned") = Some((self.minute(), code));
    }

    fn pending(&self) -> usize {
        0
    }

    fn set_frame_limit(&mut self, _: usize) {}
}

/// Runs a session that came by a token of one hour and is rotated so often. When it was warned, and its end.
async fn tokened(rotations: usize) -> (Vec<u64>, Option<(u64, u16)>) {
    let (server, _directory) = server();
    let server = Arc::new(server);
    let now = server.clock.now_ms();
    let device = NewDevice { device_id: DeviceId([1; 16]), device_key: [1; 32] };
    let account = NewAccount {
        account_id: AccountId([1; 16]),
        username: "ada".into(),
        identity_key: [2; 32],
        manifest: vec![1],
        manifest_hash: [3; 32],
        device,
        password_hash: None,
        invite: InviteUse::None,
        now,
    };
    server.store.sign_up(account).await.expect("stored");
    let first = secret::token();
    let expires_at = now + 3_600_000;
    let token = NewToken { hash: secret::hash(&first), device_id: device.device_id, expires_at, replaces: None, now };
    server.store.issue_token(token).await.expect("stored");

    // Each rotation names the token that the one before it made.
    let mut tokens = vec![first.clone()];
    let mut requests = Vec::new();
    for id in 1..=rotations as u64 {
        let old = tokens.last().expect("one at least").clone();
        let issue = v1::IssueTokenRequest { token: old.to_string(), proof: None };
        let body = Some(envelope::Body::Request(v1::Request { body: Some(v1::request::Body::IssueToken(issue)) }));
        requests.insert(0, Bytes::from(Envelope { request_id: id, body }.encode_to_vec()));
        tokens.push(server.auth.key.successor_of(&old));
    }
    let (heard, closed) = (Heard::default(), Arc::default());
    let link = Tokened {
        since: monotonic(),
        heard: Arc::clone(&heard),
        closed: Arc::clone(&closed),
        rotations: requests,
        sends: None,
        flushed: true,
        held: None,
    };
    let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::Token(first), operator: false };
    run(link, server, peer).await;
    let warned = heard
        .lock()
        .expect("not poisoned")
        .iter()
        .filter(|(_, push)| matches!(push, push::Body::SessionExpiring(_)))
        .map(|(minute, _)| *minute)
        .collect();
    let closed = *closed.lock().expect("not poisoned");
    (warned, closed)
}

#[tokio::test(start_paused = true)]
async fn a_session_that_came_by_a_token_is_warned_and_ends_with_it() {
    assert_eq!(tokened(0).await, (vec![55], Some((60, CloseCode::SessionEnded as u16))));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_rotated_on_the_connection_prolongs_the_session() {
    assert_eq!(tokened(2).await, (vec![55, 110, 165], Some((170, CloseCode::SessionEnded as u16))));
}
