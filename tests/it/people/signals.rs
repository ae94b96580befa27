//! Typing and an application's own signals, between real clients.

use sovereign_client::{Client, Event, Options, clock::Clock};
use tokio::sync::broadcast::Receiver;

use crate::harness::{Home, TestServer, eventually, within};

/// Ada's and Bob's homes, and the group they talk in.
async fn acquainted(server: &TestServer) -> (Home, Home, [u8; 32]) {
    let (ada, bob) = (Home::join(server, "ada").await, Home::join(server, "bob").await);
    bob.sov(&["contacts", "accept", "ada"]).await;
    let client = ada.client().await;
    let group = client.send_to(&["bob".to_owned()], "hello").await.expect("accepted").group;
    client.close().await;
    (ada, bob, group)
}

async fn in_group(home: &Home, group: [u8; 32]) -> Client {
    let client = home.client().await;
    eventually("the group", || async { client.epoch_authenticator(group).await.ok() }).await;
    client
}

/// The next event of typing or of a signal, as words.
async fn next(events: &mut Receiver<Event>) -> String {
    let next = async {
        loop {
            match events.recv().await.expect("events") {
                Event::Typing { from, active, .. } => return format!("{from} {}", if active { "types" } else { "stopped" }),
                Event::Signal { from, kind, payload, .. } => return format!("{from}: {kind} {payload:?}"),
                Event::Message(message) => return format!("{}: {}", message.from, message.text),
                _ => {}
            }
        }
    };
    within("an event", next).await
}

/// Signals promise nothing before a window is open: a message proves that it is.
async fn until_listening(from: &Client, group: [u8; 32], events: &mut Receiver<Event>) {
    from.send(group, "listen").await.expect("accepted");
    while next(events).await != "ada: listen" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_each_other_type() {
    let server = TestServer::start().await;
    let (ada, bob, group) = acquainted(&server).await;
    let (a, b) = (in_group(&ada, group).await, in_group(&bob, group).await);
    let mut events = b.events();
    until_listening(&a, group, &mut events).await;

    a.typing(group, true).await.expect("a member");
    assert_eq!(next(&mut events).await, "ada types");
    a.typing(group, true).await.expect("a member");
    a.typing(group, false).await.expect("a member");
    assert_eq!(next(&mut events).await, "ada stopped");
    a.typing(group, true).await.expect("a member");
    assert_eq!(next(&mut events).await, "ada types");
    a.send(group, "typed").await.expect("accepted");
    assert_eq!(next(&mut events).await, "ada stopped", "what was typed ends it");
    assert_eq!(next(&mut events).await, "ada: typed");
    a.typing(group, true).await.expect("a member");
    assert_eq!(next(&mut events).await, "ada types");
    assert_eq!(next(&mut events).await, "ada stopped", "it ends by itself");
    a.signal(group, "viewing", &[1, 2]).await.expect("a member");
    assert_eq!(next(&mut events).await, "ada: viewing [1, 2]");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_are_told_of_typing_and_of_signals() {
    let server = TestServer::start().await;
    let (ada, bob, group) = acquainted(&server).await;
    let mut bobs = bob.listen().await;
    assert_eq!(bobs.message().await.1, "hello");
    let a = in_group(&ada, group).await;
    a.send(group, "listen").await.expect("accepted");
    assert_eq!(bobs.message().await.1, "listen");
    a.typing(group, true).await.expect("a member");
    let typing = bobs.event("typing").await;
    assert_eq!((&typing["from"], &typing["active"]), (&"ada".into(), &true.into()));
    a.signal(group, "viewing", &[0xab, 0xcd]).await.expect("a member");
    let signal = bobs.event("signal").await;
    assert_eq!((&signal["kind"], &signal["payload"]), (&"viewing".into(), &"abcd".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_typing_signals_leave_messages_readable() {
    let server = TestServer::start_with(&["--signals-per-second-max", "1000000"]).await;
    let (ada, bob, group) = acquainted(&server).await;
    let (a, b) = (in_group(&ada, group).await, in_group(&bob, group).await);
    let before = a.epoch_authenticator(group).await.expect("a member");
    let mut events = b.events();
    until_listening(&a, group, &mut events).await;
    for number in 0..10_000 {
        a.typing(group, number % 2 == 0).await.expect("a member");
    }
    a.send(group, "readable").await.expect("accepted");
    let heard = eventually("the message", || async {
        let history = b.history(group, 10).await.expect("a history");
        history.iter().any(|message| message.text == "readable").then_some(())
    });
    heard.await;
    b.send(group, "both ways").await.expect("accepted");
    eventually("the answer", || async {
        let history = a.history(group, 10).await.expect("a history");
        history.iter().any(|message| message.text == "both ways").then_some(())
    })
    .await;
    assert_eq!(a.epoch_authenticator(group).await.expect("a member"), before, "all in one epoch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_that_are_late_by_their_own_clock_are_dropped() {
    let server = TestServer::start().await;
    let (ada, bob, group) = acquainted(&server).await;
    let clock = Clock::default();
    let options = Options { clock: clock.clone(), ..Options::default() };
    let a = Client::open(&ada.path(), options).await.expect("the account opens");
    within("Ada to be live", a.wait_live()).await.expect("live");
    let b = in_group(&bob, group).await;
    let mut events = b.events();
    until_listening(&a, group, &mut events).await;
    clock.advance(-60_000);
    a.signal(group, "late", b"").await.expect("a member");
    clock.advance(120_000);
    a.signal(group, "early", b"").await.expect("a member");
    clock.advance(-60_000);
    a.signal(group, "in time", b"").await.expect("a member");
    loop {
        let heard = next(&mut events).await;
        assert!(!heard.contains("late") && !heard.contains("early"), "{heard}");
        if heard.contains("in time") {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_hears_no_typing_and_shows_none_until_it_is_accepted() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let a = ada.client().await;
    let group = a.send_to(&["bob".to_owned()], "hello").await.expect("accepted").group;
    let b = in_group(&bob, group).await;
    let (mut adas, mut bobs) = (a.events(), b.events());
    a.typing(group, true).await.expect("a member");
    b.typing(group, true).await.expect("a member");
    a.send(group, "listen").await.expect("accepted");
    loop {
        match next(&mut bobs).await.as_str() {
            "ada: listen" => break,
            "ada: hello" => {}
            other => panic!("of a request: {other}"),
        }
    }
    b.accept("ada").await.expect("accepted");
    b.send(group, "welcome").await.expect("accepted");
    assert_eq!(next(&mut adas).await, "bob: welcome", "nothing of Bob before");
    a.typing(group, true).await.expect("a member");
    assert_eq!(next(&mut bobs).await, "ada types");
    b.typing(group, true).await.expect("a member");
    assert_eq!(next(&mut adas).await, "bob types");
}
