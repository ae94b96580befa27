//! Every state the connection passes through, and what ends it.

use std::time::Duration;

use ed25519_dalek::{Signature, VerifyingKey};
use sovereign_proto::{
    signed::{PURPOSE_SIGN_IN, SignIn},
    v1::{self, FailureCode, push},
};
use tokio_websockets::Message;

use super::{AwaitOn, ping, ping_request, pong, start};
use crate::connection::{CallError, Cause, ConnectionEvent, ConnectionState, fake_server::FakeServer};

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
            ConnectionEvent::SignedIn { .. } => "SignedIn".to_owned(),
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
