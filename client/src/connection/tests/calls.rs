//! Calls and their answers, pushes and their order.

use bytes::Bytes;
use sovereign_proto::v1::{self, FailureCode, push, response};

use super::{AwaitOn, ping, ping_request, pong, start};
use crate::connection::{CallError, ConnectionEvent};

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
async fn more_than_the_queue_takes_wait_in_their_order() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let calls: Vec<_> = (0..3000_u64).map(|number| bench.connection.begin(ping(number))).collect();
    let calls = tokio::spawn(futures_util::future::join_all(calls));
    for expected in 0..3000 {
        let (id, number) = ping_request(&mut peer).await;
        assert_eq!(number, expected);
        peer.answer(id, pong(0)).await;
    }
    assert!(calls.await.expect("no panic").iter().all(Result::is_ok));
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
