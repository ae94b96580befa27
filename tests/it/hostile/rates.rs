//! Devices that ask without pause: they are told when to come back, nothing of theirs is turned round, and nobody else
//! notices.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use prost::Message as _;
use sovereign::clock::{Instant, monotonic};
use sovereign_proto::v1::{
    self, Envelope, FailureCode, ListDevicesRequest, SendMessageRequest, SignInRequest, envelope, request,
};
use tokio::io::AsyncWriteExt as _;

use super::floods::masked;
use crate::harness::{
    Carrier, Raw, TestServer,
    scene::{Seat, pair, send_request},
    within,
};

/// What twenty seconds bring, which is what comes at once.
const AT_ONCE: usize = 100;

const SLOW: [&str; 4] = ["--messages-per-second-max", "5", "--requests-per-second-max", "5"];

async fn slow_server() -> TestServer {
    TestServer::start_with(&SLOW).await
}

fn messages(seat: &mut Seat, count: usize) -> Vec<SendMessageRequest> {
    let id = seat.group.group_id().to_vec();
    let message = |number| {
        let message = seat.person.member.message(&mut seat.group, &format!("{number}"));
        SendMessageRequest { in_order: true, ..send_request(&id, message) }
    };
    (0..count).map(message).collect()
}

/// How many messages may have been taken since `began`: what comes at once, and what has come in since.
fn most_since(began: Instant) -> usize {
    AT_ONCE + 5 * usize::try_from(began.elapsed().as_secs() + 1).expect("a test is short")
}

/// Sends messages, as many at once as come at once and some more, until one is refused: on a slow machine some come in while
/// they are sent. All that were sent, with their answers.
async fn send_until_refused(seat: &mut Seat) -> (Vec<SendMessageRequest>, Vec<Result<u64, v1::Failure>>) {
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    while answers.iter().all(Result::is_ok) {
        let some = messages(seat, AT_ONCE + 30);
        answers.extend(send_at_once(&mut seat.person.raw, &some).await);
        requests.extend(some);
    }
    (requests, answers)
}

/// Sends all of them before any is answered; the answers.
async fn send_at_once(raw: &mut Raw, requests: &[SendMessageRequest]) -> Vec<Result<u64, v1::Failure>> {
    let mut ids = Vec::new();
    for request in requests {
        ids.push(raw.send(request.clone()).await);
    }
    let mut answers = Vec::new();
    for id in ids {
        answers.push(raw.answer::<SendMessageRequest>(id).await.map(|accepted| accepted.seq));
    }
    answers
}

#[tokio::test]
async fn limits_are_announced_as_they_are_enforced() {
    let server = slow_server().await;
    let raw = Raw::connect(&server).await;
    let rates = raw.hello.limits.expect("announced").rates.expect("announced");
    let rate = |rate: Option<v1::Rate>| rate.map(|rate| (rate.per_second, rate.at_once)).expect("announced");
    assert_eq!(rate(rates.messages_of_device), (5, 100));
    assert_eq!(rate(rates.messages_of_account), (20, 400));
    assert_eq!(rate(rates.messages_in_group), (40, 800));
    assert_eq!(rate(rates.requests_of_device), (5, 100));
    assert_eq!(rate(rates.sign_ins_of_address), (100, 2000));
}

#[tokio::test]
async fn who_sends_too_fast_waits_nothing_is_turned_round_and_others_are_served() {
    let server = slow_server().await;
    let (mut ada, mut bob) = pair(&server).await;
    let began = monotonic();
    let (mut waiting, first) = send_until_refused(&mut ada).await;
    let ids: Vec<Bytes> = waiting.iter().map(|request| request.message.as_ref().expect("a message").client_id.clone()).collect();
    let taken = first.iter().take_while(|answer| answer.is_ok()).count();
    assert!((AT_ONCE..=most_since(began)).contains(&taken), "{taken} were taken in {:?}", began.elapsed());
    let refused = first[taken].as_ref().expect_err("the first that was too many");
    assert_eq!(refused.code(), FailureCode::RateLimited);
    assert!((1..=1000).contains(&refused.retry_after_ms), "{} ms", refused.retry_after_ms);
    assert!(first[taken..].iter().all(Result::is_err), "nothing overtakes a message that was refused");

    bob.person.send(&mut bob.group, "Bob is served all the same").await;

    // Sent again and again, all at once and always the first of them first, as impatient clients do.
    waiting.drain(..taken);
    let mut seqs: Vec<u64> = first.into_iter().flatten().collect();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    within("everything is taken in the end", async {
        while !waiting.is_empty() {
            ticks.tick().await;
            let answers = send_at_once(&mut ada.person.raw, &waiting).await;
            let taken = answers.iter().take_while(|answer| answer.is_ok()).count();
            assert!(answers[taken..].iter().all(Result::is_err), "nothing overtakes a message that was refused");
            waiting.drain(..taken);
            seqs.extend(answers.into_iter().flatten());
        }
    })
    .await;
    assert_eq!(seqs.len(), ids.len());
    assert!(seqs.is_sorted(), "the order of sending is the order of the log: {seqs:?}");
    assert_eq!(seqs.iter().collect::<HashSet<_>>().len(), ids.len(), "each once");
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_overtaken_until_its_sender_begins_anew() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = pair(&server).await;
    let mut requests = messages(&mut ada, 4);
    requests[1].message.as_mut().expect("a message").ttl_seconds = 1;
    let answers = send_at_once(&mut ada.person.raw, &requests).await;
    let codes: Vec<Option<FailureCode>> = answers.iter().map(|answer| answer.as_ref().err().map(v1::Failure::code)).collect();
    let behind = Some(FailureCode::Unavailable);
    assert_eq!(codes, [None, Some(FailureCode::InvalidArgument), behind, behind]);

    requests.drain(..2);
    requests[0].anew = true;
    let answers = send_at_once(&mut ada.person.raw, &requests).await;
    let seqs: Vec<u64> = answers.into_iter().map(|answer| answer.expect("nothing holds it")).collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
}

#[tokio::test]
async fn coming_back_gives_nobody_more_and_an_account_shares_what_it_has() {
    let server = slow_server().await;
    let (mut ada, _bob) = pair(&server).await;
    let began = monotonic();
    let (_, first) = send_until_refused(&mut ada).await;
    (ada.person.raw, _) = Raw::sign_in(&server, &ada.person.keys).await;
    let (_, again) = send_until_refused(&mut ada).await;
    let taken = first.iter().chain(&again).filter(|answer| answer.is_ok()).count();
    assert!(taken <= most_since(began), "a new connection is not a new bucket: {taken} in {:?}", began.elapsed());
}

#[tokio::test]
async fn an_address_that_signs_in_too_often_is_told_when_to_come_back() {
    let server = TestServer::start_with(&["--sign-ins-per-second-max", "1"]).await;
    let (_ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut refused = None;
    // Some come in while they connect.
    for _ in 0..500 {
        let mut raw = Raw::connect(&server).await;
        let request: SignInRequest = raw.sign_in_request(&keys);
        if let Err(failure) = raw.call(request.clone()).await {
            refused = Some((raw, request, failure));
            break;
        }
    }
    let (mut raw, request, failure) = refused.expect("so many are too many for one a second");
    assert_eq!(failure.code(), FailureCode::RateLimited);
    assert!((1..=1001).contains(&failure.retry_after_ms), "{} ms", failure.retry_after_ms);
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    within("the same connection may come in later", async {
        while raw.call(request.clone()).await.is_err() {
            ticks.tick().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_heeds_is_closed() {
    // A frame a request is so slow over exchange that the bucket fills a little between: not a thousand in a row.
    let server = TestServer::over(Carrier::WebSocket, &["--requests-per-second-max", "1"]).await;
    let (mut raw, _keys) = Raw::sign_up(&server, "ada").await;
    raw.until_live().await;
    let body = Some(request::Body::ListDevices(ListDevicesRequest {}));
    let list = |id| Envelope { request_id: id, body: Some(envelope::Body::Request(v1::Request { body: body.clone() })) };
    // In one go, and many more than a thousand: each second one of them is done, and the count begins anew.
    let frames: Vec<Vec<u8>> = (0..8000).map(|number| masked(&list(1000 + number).encode_to_vec())).collect();
    let _closed = raw.stream().write_all(&frames.concat()).await;
    assert_eq!(raw.ended().await.code, Some(4008), "it was told a thousand times");
}

#[tokio::test]
async fn messages_of_a_bundle_count_as_messages() {
    let server = slow_server().await;
    let (mut ada, _bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    // Eight messages that count for four each: a hundred at once are enough for three such bundles.
    let text = "x".repeat(60_000);
    let mut refused = None;
    for _ in 0..8 {
        let bundle = ada.person.member.update(&mut ada.group);
        let mut request = bundle.request(&id);
        ada.person.member.merge(&mut ada.group);
        request.messages = (0..8).map(|_| ada.person.member.message(&mut ada.group, &text)).collect();
        refused = ada.person.raw.call(request).await.err();
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("eight bundles are sixty-four messages of four each");
    assert_eq!(refused.code(), FailureCode::RateLimited);
    assert!(refused.message.contains("messages"), "it says of what there were too many: {}", refused.message);
    assert!(refused.retry_after_ms > 0, "and when to come back");
}
