//! The connection against a server in memory, in paused time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use sovereign_proto::{
    signed::{PURPOSE_SIGN_IN, SignIn},
    v1::{self, FailureCode, envelope, notice, push, request, response},
};
use tokio::sync::mpsc;
use tokio_websockets::Message;

use super::{
    CallError, Cause, Connection, ConnectionEvent, ConnectionState, Credentials, EnrolError, First,
    dial::Dial as _,
    enrol::enrol_on,
    fake_server::{FakeDialer, FakeServer, Peer},
};
use crate::device_key::DeviceKey;

struct Bench {
    server: FakeServer,
    connection: Connection,
    events: mpsc::Receiver<ConnectionEvent>,
    peers: mpsc::Receiver<Peer>,
    device_key: [u8; 32],
}

fn start(failures: u32) -> Bench {
    let server = FakeServer::new(1);
    let (mut dialer, peers) = FakeDialer::new();
    dialer.failures = failures;
    let signing_key = Arc::new(DeviceKey::generate());
    let device_key = signing_key.public();
    let credentials = Credentials { account_id: [1; 16], device_id: [2; 16], signing_key, incarnation: 7 };
    let positions = || vec![v1::Position { group_id: Bytes::new(), seq: 5 }];
    let (connection, events) = Connection::start_on(dialer, server.id(), credentials, Box::new(positions));
    Bench { server, connection, events, peers, device_key }
}

impl Bench {
    async fn peer(&mut self) -> Peer {
        self.peers.recv().await.expect("the client dials")
    }

    async fn live_peer(&mut self) -> Peer {
        let mut peer = self.peer().await;
        peer.sign_in(&self.server).await;
        self.until(|state, _| *state == ConnectionState::Live).await;
        peer
    }

    /// The first state that fits, with its cause.
    async fn until(&mut self, fits: impl Fn(&ConnectionState, &Cause) -> bool) -> (ConnectionState, Cause) {
        loop {
            match self.events.recv().await.expect("the state comes") {
                ConnectionEvent::State(state, cause) if fits(&state, &cause) => return (state, cause),
                _ => {}
            }
        }
    }

    async fn backoff(&mut self) -> (u64, Cause) {
        match self.until(|state, _| matches!(state, ConnectionState::Backoff { .. })).await {
            (ConnectionState::Backoff { wait_ms }, cause) => (wait_ms, cause),
            _ => unreachable!("only a backoff fits"),
        }
    }

    async fn stopped(&mut self) -> Cause {
        self.until(|state, _| *state == ConnectionState::Stopped).await.1
    }
}

fn ping(client_time_ms: u64) -> v1::PingRequest {
    v1::PingRequest { client_time_ms }
}

fn pong(client_time_ms: u64) -> response::Body {
    response::Body::Ping(v1::PingResponse { client_time_ms, server_time_ms: 0 })
}

async fn ping_request(peer: &mut Peer) -> (u64, u64) {
    match peer.request().await {
        (id, request::Body::Ping(ping)) => (id, ping.client_time_ms),
        _ => panic!("another request than a ping"),
    }
}

#[tokio::test(start_paused = true)]
async fn signs_in_with_a_proof_of_its_key_and_tells_every_step() {
    let mut bench = start(0);
    let mut peer = bench.peer().await;
    let sign_in = peer.sign_in(&bench.server).await;
    assert_eq!((sign_in.incarnation, sign_in.positions.len(), sign_in.positions[0].seq), (7, 1, 5));
    let proof = sign_in.proof.expect("a proof");
    let signed = SignIn {
        server_id: &bench.server.id(),
        account_id: &[1; 16],
        device_id: &[2; 16],
        challenge: &[3; 32],
        client_nonce: &proof.client_nonce,
        purpose: PURPOSE_SIGN_IN,
    };
    let signature = Signature::from_slice(&proof.signature).expect("64 bytes");
    let key = VerifyingKey::from_bytes(&bench.device_key).expect("a key");
    key.verify_strict(&signed.to_bytes(), &signature).expect("signed by the device");

    let mut told = Vec::new();
    while told.len() < 6 {
        told.push(match bench.events.recv().await.expect("an event") {
            ConnectionEvent::State(state, _) => format!("{state:?}"),
            ConnectionEvent::SignedIn(_) => "SignedIn".to_owned(),
            ConnectionEvent::Push(push::Body::Live(_)) => "PushLive".to_owned(),
            ConnectionEvent::Push(_) => "Push".to_owned(),
        });
    }
    assert_eq!(told, ["Connecting { attempt: 1 }", "Authenticating", "Syncing", "SignedIn", "Live", "PushLive"]);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_or_forged_hello_stops_before_anything_is_said() {
    for (hello, word) in [
        (FakeServer::new(2).hello(), "another server"),
        (v1::Hello { server_name: "other".to_owned(), ..FakeServer::new(1).hello() }, "forged"),
    ] {
        let mut bench = start(0);
        let mut peer = bench.peer().await;
        peer.push(push::Body::Hello(hello)).await;
        assert!(peer.next().await.is_none(), "nothing is said to it");
        assert!(matches!(bench.stopped().await, Cause::ServerUntrusted(text) if text.contains(word)));
        assert!(matches!(bench.connection.call(ping(0)).await, Err(CallError::Disconnected)));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_find_their_calls_in_any_order_and_strangers_are_ignored() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let first = bench.connection.begin(ping(1));
    let second = bench.connection.begin(ping(2));
    let (first_id, 1) = ping_request(&mut peer).await else { panic!("in order") };
    let (second_id, 2) = ping_request(&mut peer).await else { panic!("in order") };
    peer.answer(999, pong(9)).await;
    peer.answer(second_id, pong(2)).await;
    peer.answer(second_id, pong(9)).await;
    peer.refuse(first_id, v1::Failure { message: "no".to_owned(), ..v1::Failure::default() }).await;
    assert_eq!(second.await.expect("answered").client_time_ms, 2);
    assert!(matches!(first.await, Err(CallError::Refused(failure)) if failure.message == "no"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_another_request_is_a_refusal() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let call = bench.connection.begin(ping(1));
    let (id, _) = ping_request(&mut peer).await;
    peer.answer(id, response::Body::SignOut(v1::SignOutResponse {})).await;
    assert!(matches!(call.await, Err(CallError::Refused(failure)) if failure.code() == FailureCode::Internal));
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_in_flight_than_announced() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let calls: Vec<_> = (0..6).map(|number| bench.connection.begin(ping(number))).collect();
    // Four are announced; one place is kept for the heartbeat.
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ping_request(&mut peer).await.0);
    }
    assert!(peer.is_quiet().await);
    for answered in 0..6 {
        peer.answer(ids[answered], pong(0)).await;
        if ids.len() < 6 {
            ids.push(ping_request(&mut peer).await.0);
        }
    }
    for call in calls {
        assert!(call.await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn what_exceeds_a_frame_is_never_sent() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let large = v1::FindAccountRequest { by: Some(v1::find_account_request::By::Username("x".repeat(1000))) };
    assert!(matches!(bench.connection.call(large).await, Err(CallError::Unsendable(_))));
    assert!(peer.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_hear_of_a_broken_connection_and_the_next_one_comes() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let call = bench.connection.begin(ping(1));
    ping_request(&mut peer).await;
    drop(peer);
    assert!(matches!(call.await, Err(CallError::Disconnected)));
    let (wait_ms, _) = bench.backoff().await;
    assert!(wait_ms <= 500, "{wait_ms}");
    assert!(matches!(bench.connection.call(ping(2)).await, Err(CallError::Disconnected)));
    let mut peer = bench.live_peer().await;
    let call = bench.connection.begin(ping(3));
    let (id, _) = ping_request(&mut peer).await;
    peer.answer(id, pong(3)).await;
    assert!(call.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn waits_grow_with_failures_and_keep_to_the_servers_floor() {
    let mut bench = start(3);
    for reach in [500, 1000, 2000] {
        let (wait_ms, cause) = bench.backoff().await;
        assert!(wait_ms <= reach, "{wait_ms}");
        assert_eq!(cause, Cause::Network("refused".to_owned()));
    }
    let mut peer = bench.live_peer().await;
    peer.push(push::Body::Closing(v1::Closing { code: 1012, reason: "restart".to_owned(), reconnect_after_ms: 90_000 })).await;
    peer.close(1012, "restart").await;
    assert_eq!(bench.backoff().await, (90_000, Cause::Closed { code: 1012, reason: "restart".to_owned() }));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lived_starts_the_backoff_again() {
    let mut bench = start(4);
    let mut peer = bench.live_peer().await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    peer.close(4011, "").await;
    // Retry now, and at once: it had proven itself.
    let (state, cause) = bench.until(|state, _| matches!(state, ConnectionState::Connecting { .. })).await;
    assert_eq!((state, cause), (ConnectionState::Connecting { attempt: 1 }, Cause::Closed { code: 4011, reason: String::new() }));
    let mut peer = bench.live_peer().await;
    peer.close(4011, "").await;
    assert!(bench.backoff().await.0 <= 1000, "the second time in a row waits");
}

#[tokio::test(start_paused = true)]
async fn superseded_and_final_refusals_stop() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    peer.close(4009, "newer").await;
    assert_eq!(bench.stopped().await, Cause::Superseded);

    let mut bench = start(0);
    let mut peer = bench.peer().await;
    peer.push(push::Body::Hello(bench.server.hello())).await;
    let (id, _) = peer.request().await;
    let failure = v1::Failure { code: FailureCode::Forbidden.into(), message: "disabled".to_owned(), ..v1::Failure::default() };
    peer.refuse(id, failure).await;
    let refused = Cause::Refused { code: FailureCode::Forbidden, message: "disabled".to_owned() };
    assert_eq!(bench.stopped().await, refused);

    let mut bench = start(0);
    let mut peer = bench.peer().await;
    peer.push(push::Body::Hello(bench.server.hello())).await;
    let (id, _) = peer.request().await;
    let failure = v1::Failure { code: FailureCode::Unavailable.into(), retry_after_ms: 5000, ..v1::Failure::default() };
    peer.refuse(id, failure).await;
    assert_eq!(bench.backoff().await.0, 5000);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_pinged_and_then_given_up() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    // Sixty seconds of silence, then a ping of our own; its answer counts as life.
    let (id, _) = ping_request(&mut peer).await;
    peer.answer(id, pong(0)).await;
    ping_request(&mut peer).await;
    let (_, cause) = bench.until(|state, _| matches!(state, ConnectionState::Connecting { .. })).await;
    assert_eq!(cause, Cause::HeartbeatLost);
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_and_count_as_life() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    for _ in 0..4 {
        peer.send_raw(Message::ping("?")).await;
        assert!(tokio::time::timeout(Duration::from_secs(30), peer.next()).await.is_err(), "no ping of its own is due");
    }
    assert!(bench.connection.begin(ping(0)).await_on(&mut peer).await);
}

/// Answers the next request and tells whether the call got it.
trait AwaitOn {
    async fn await_on(self, peer: &mut Peer) -> bool;
}

impl<F: Future<Output = Result<v1::PingResponse, CallError>>> AwaitOn for F {
    async fn await_on(self, peer: &mut Peer) -> bool {
        let (id, _) = ping_request(peer).await;
        peer.answer(id, pong(0)).await;
        self.await.is_ok()
    }
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_are_coalesced_and_survive_a_reconnect() {
    let mut bench = start(0);
    let acknowledge = |seq| {
        let positions = vec![v1::Position { group_id: Bytes::from_static(&[4; 32]), seq }];
        v1::Notice { body: Some(notice::Body::Acknowledge(v1::Acknowledge { positions })) }
    };
    for seq in [1, 3, 2] {
        bench.connection.notify(acknowledge(seq));
    }
    let mut peer = bench.live_peer().await;
    let envelope = peer.next().await.expect("a notice");
    let Some(envelope::Body::Notice(v1::Notice { body: Some(notice::Body::Acknowledge(notice)) })) = envelope.body else {
        panic!("an acknowledgement")
    };
    assert_eq!((envelope.request_id, notice.positions.len(), notice.positions[0].seq), (0, 1, 3));
    assert!(peer.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_leaves_before_the_goodbye() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let positions = vec![v1::Position { group_id: Bytes::new(), seq: 9 }];
    bench.connection.notify(v1::Notice { body: Some(notice::Body::Acknowledge(v1::Acknowledge { positions })) });
    let last = async {
        let envelope = peer.next().await.expect("a notice");
        assert!(matches!(envelope.body, Some(envelope::Body::Notice(_))));
        assert!(peer.next().await.is_none());
    };
    tokio::join!(bench.connection.stop(), last);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_protocol_ends_the_connection_not_the_client() {
    for message in [Message::text("hello"), Message::binary(vec![0xff; 9])] {
        let mut bench = start(0);
        let mut peer = bench.live_peer().await;
        peer.send_raw(message).await;
        assert!(matches!(bench.backoff().await.1, Cause::Protocol(_)));
        bench.live_peer().await;
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_says_goodbye_and_ends_everything() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let call = bench.connection.begin(ping(1));
    ping_request(&mut peer).await;
    let (stopped, gone) = tokio::join!(bench.connection.stop(), peer.next());
    assert_eq!((stopped, gone.is_none()), ((), true));
    assert!(matches!(call.await, Err(CallError::Disconnected)));
    assert_eq!(bench.stopped().await, Cause::Requested);
    assert!(matches!(bench.connection.begin(ping(2)).await, Err(CallError::Disconnected)));
}

#[tokio::test(start_paused = true)]
async fn many_pushes_wait_for_a_slow_reader_without_loss() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    for seq in 0..2000 {
        let entries = v1::Entries { group_id: Bytes::new(), entries: vec![v1::Entry { seq, ..v1::Entry::default() }] };
        peer.push(push::Body::Entries(entries)).await;
    }
    // Calls go on although nobody took the pushes yet.
    assert!(bench.connection.begin(ping(0)).await_on(&mut peer).await);
    let mut expected = 0;
    while expected < 2000 {
        if let ConnectionEvent::Push(push::Body::Entries(entries)) = bench.events.recv().await.expect("an event") {
            assert_eq!(entries.entries[0].seq, expected);
            expected += 1;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn enrolling_proves_the_key_and_tells_a_refusal() {
    let server = FakeServer::new(1);
    let (mut dialer, mut peers) = FakeDialer::new();
    for refused in [false, true] {
        let socket = dialer.dial().await.expect("in memory");
        let mut peer = peers.recv().await.expect("dialled");
        let first = First::Enrol {
            username: "ann".to_owned(),
            password: zeroize::Zeroizing::new("secret-word".to_owned()),
            device_id: [5; 16],
            signing_key: Arc::new(DeviceKey::generate()),
        };
        let serve = async {
            peer.push(push::Body::Hello(server.hello())).await;
            let (id, request::Body::SignInWithPassword(enrol)) = peer.request().await else { panic!("an enrolment") };
            assert_eq!((enrol.username.as_str(), enrol.device_key.len()), ("ann", 32));
            if refused {
                peer.refuse(id, v1::Failure { message: "wrong password".to_owned(), ..v1::Failure::default() }).await;
            } else {
                let session = v1::Session { username: "ann".to_owned(), ..v1::Session::default() };
                let response = v1::SignInWithPasswordResponse { session: Some(session) };
                peer.answer(id, response::Body::SignInWithPassword(response)).await;
            }
            assert!(peer.next().await.is_none());
        };
        let id = server.id();
        match tokio::join!(enrol_on(socket, &id, first), serve).0 {
            Ok(session) => assert!(!refused && session.username == "ann"),
            Err(EnrolError::Refused(failure)) => assert!(refused && failure.message == "wrong password"),
            Err(other) => panic!("{other}"),
        }
    }
}
