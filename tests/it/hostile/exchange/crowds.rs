//! Many requests of one session, and many sessions of one address.

use std::pin::pin;

use futures_util::{FutureExt as _, future::select_all};
use sovereign::clock::monotonic;
use sovereign_proto::v1::PingRequest;

use super::{Socket, request};
use crate::{
    harness::{Carrier, TestServer, eventually, scene::pair},
    hostile::memory::{Peak, TOLERATED},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_that_wait_only_the_newest_does() {
    const POLLS: usize = 100;
    let server = TestServer::over(Carrier::Exchange, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    // Whatever was on its way has come.
    bob.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("served");
    let mut all = Socket::connect(&server).await;
    let (session, received, sent) = bob.person.raw.exchange().numbers();
    let waiting = format!("{session}sovereign-received: {received}\r\nsovereign-sent: {sent}\r\nsovereign-wait: 25000\r\n");
    let peak = Peak::of(&server);
    let mut polls = Vec::new();
    for _ in 0..POLLS {
        let mut socket = Socket::connect(&server).await;
        socket.write(&request(&waiting, b"")).await;
        polls.push(async move { (socket.answer().await.expect("an answer"), socket) }.boxed());
    }
    // They may have come in any order: one is left, and it is told what comes.
    for _ in 1..POLLS {
        let ((answer, _socket), _, rest) = select_all(polls).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "ended empty by a newer one");
        polls = rest;
    }
    let last = polls.pop().expect("one is left");
    let mut last = pin!(last);
    assert!(last.as_mut().now_or_never().is_none(), "the newest waits");
    ada.person.send(&mut ada.group, "at last").await;
    let (answer, _socket) = last.await;
    assert!(answer.status == 200 && !answer.body.is_empty(), "it is told what came");
    assert!(peak.growth() < TOLERATED, "{POLLS} requests of one session hold {} bytes", peak.growth());
    let asked = all.post(&format!("{session}sovereign-received: {received}\r\nsovereign-sent: {sent}\r\n"), b"").await;
    assert_eq!(asked.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_sessions_of_one_address_get_the_places_of_one() {
    const PLACES: usize = 300;
    const ASKED: usize = 2000;
    let places = PLACES.to_string();
    let server = TestServer::over(Carrier::Exchange, &["--connections-per-address-max", &places]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let peak = Peak::of(&server);
    let mut socket = Socket::connect(&server).await;
    let (mut opened, mut refused, began) = (Vec::new(), 0, monotonic());
    for _ in 0..ASKED {
        let answer = socket.post("", b"").await;
        match answer.status {
            200 => opened.push(answer.header("sovereign-session").expect("a session").to_owned()),
            503 => refused += 1,
            other => panic!("{other}: {}", answer.text()),
        }
    }
    println!("{} sessions were opened, {refused} refused; they hold {} bytes", opened.len(), peak.growth());
    // Guests who say nothing lose their places after ten seconds, to others of the same kind.
    let turns = 2 + usize::try_from(began.elapsed().as_secs() / 10).expect("a test is short");
    assert!(opened.len() <= turns * PLACES, "{} were opened in {:?}", opened.len(), began.elapsed());
    assert!(refused > 0, "all of {ASKED} were opened");
    assert!(peak.growth() < TOLERATED + PLACES * (48 << 10), "the sessions of one address hold {} bytes", peak.growth());
    // Others are served: those of another address, and those who were there.
    Socket::from_elsewhere(&server).await.open().await;
    ada.person.send(&mut ada.group, "we live").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "we live");
    // Guests who say nothing lose their places, however often they ask, and whoever comes then gets one.
    let first = format!("sovereign-session: {}\r\n", opened[0]);
    eventually("the end of a session that said nothing", || async {
        let answer = Socket::connect_if(&server).await?.post(&first, b"").await;
        (answer.status == 410 || answer.header("sovereign-closed").is_some()).then_some(())
    })
    .await;
    eventually("a place", || async { (Socket::connect_if(&server).await?.post("", b"").await.status == 200).then_some(()) })
        .await;
}
