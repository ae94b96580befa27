//! Signals: heard once, in time, and never in the way of messages.

use tokio::sync::broadcast::Receiver;

use super::*;
use crate::event::Event;
use sovereign_proto::v1::{self, push};

/// Ann and Ben in a group, and what Ben is told from now on.
struct Talk {
    server: FakeServer,
    ann: Person,
    ben: Person,
    a: Client,
    b: Client,
    group: [u8; 32],
    bens: Receiver<Event>,
}

impl Talk {
    async fn new() -> Self {
        let server = FakeServer::default();
        let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
        let (a, b) = (ann.open().await, ben.open().await);
        let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
        until_agreed(group, &[&a, &b]).await;
        let bens = b.events();
        Self { server, ann, ben, a, b, group, bens }
    }

    /// Lets so much time pass.
    async fn pass(&self, ms: u64) {
        for _ in 0..ms / 100 {
            tokio::time::advance(Duration::from_millis(100)).await;
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether Ben was told of typing, each time.
    fn typing(&mut self) -> Vec<bool> {
        std::iter::from_fn(|| self.bens.try_recv().ok())
            .filter_map(|event| match event {
                Event::Typing { from, active, group } if from == "ann" && group == self.group => Some(active),
                _ => None,
            })
            .collect()
    }

    fn sent(&self) -> Vec<v1::Signal> {
        self.server.world().signals.clone()
    }

    /// The server gives Ben a signal again, or one of its own.
    async fn inject(&self, signal: v1::Signal) {
        self.server.push(self.ben.device, push::Body::Signal(signal));
        self.pass(100).await;
    }

    async fn custom(&mut self) -> Vec<(String, Vec<u8>)> {
        self.pass(100).await;
        std::iter::from_fn(|| self.bens.try_recv().ok())
            .filter_map(|event| match event {
                Event::Signal { kind, payload, .. } => Some((kind, payload)),
                _ => None,
            })
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn typing_is_told_once_renewed_in_silence_and_ends_by_itself() {
    let mut talk = Talk::new().await;
    for _ in 0..100 {
        talk.a.typing(talk.group, true).await.expect("a member");
        talk.pass(100).await;
    }
    assert_eq!(talk.typing(), [true]);
    let sent = talk.sent().len();
    assert!((3..=5).contains(&sent), "{sent} starts in ten seconds");
    talk.pass(5_000).await;
    assert!(talk.typing().is_empty(), "the last start was a moment ago");
    talk.pass(1_500).await;
    assert_eq!(talk.typing(), [false]);
    talk.pass(10_000).await;
    assert_eq!((talk.typing(), talk.sent().len()), (vec![], sent));
}

#[tokio::test(start_paused = true)]
async fn typing_ends_with_a_stop_and_with_what_was_typed() {
    let mut talk = Talk::new().await;
    talk.a.typing(talk.group, false).await.expect("nothing to stop");
    talk.a.typing(talk.group, true).await.expect("a member");
    talk.a.typing(talk.group, false).await.expect("a member");
    talk.a.typing(talk.group, true).await.expect("a member");
    talk.pass(100).await;
    assert_eq!(talk.typing(), [true, false, true]);
    talk.a.send(talk.group, "typed").await.expect("sent");
    until_texts(&talk.b, &["typed"]).await;
    assert_eq!(talk.typing(), [false]);
    talk.a.typing(talk.group, true).await.expect("a member");
    talk.pass(100).await;
    assert_eq!(talk.typing(), [true], "what is typed next is told at once");
}

#[tokio::test(start_paused = true)]
async fn a_signal_is_heard_once_however_often_it_comes() {
    let mut talk = Talk::new().await;
    for number in 0..3 {
        talk.a.signal(talk.group, "viewing", &[number]).await.expect("a member");
    }
    let told: Vec<_> = (0..3).map(|number| ("viewing".to_owned(), vec![number])).collect();
    assert_eq!(talk.custom().await, told);
    for signal in talk.sent().into_iter().rev() {
        talk.inject(signal).await;
    }
    assert!(talk.custom().await.is_empty());
    for bad in [("", 0), (&*"k".repeat(65), 0), ("k", 513)] {
        assert!(talk.a.signal(talk.group, bad.0, &vec![0; bad.1]).await.is_err(), "{bad:?}");
    }
    assert!(talk.a.signal([9; 32], "k", b"").await.is_err(), "no such group");
    talk.a.signal(talk.group, &"k".repeat(64), &[7; 512]).await.expect("the largest");
    assert!(talk.sent().iter().all(|signal| signal.ciphertext.len() <= 1280));
    assert_eq!(talk.custom().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn signals_of_the_previous_epoch_are_heard_and_of_none_before() {
    let mut talk = Talk::new().await;
    // What Ben misses here the server gives him later.
    talk.a.signal(talk.group, "first", b"").await.expect("a member");
    assert_eq!(talk.custom().await.len(), 1);
    let mut late = Vec::new();
    for kind in ["one", "two", "three"] {
        talk.server.world().deaf = Some(talk.ben.device);
        talk.a.signal(talk.group, kind, b"").await.expect("a member");
        talk.pass(100).await;
        talk.server.world().deaf = None;
        late.push(talk.sent().pop().expect("it was sent"));
    }
    let [one, two, three] = <[v1::Signal; 3]>::try_from(late).ok().expect("three");
    talk.a.update(talk.group).await.expect("accepted");
    until_agreed(talk.group, &[&talk.a, &talk.b]).await;
    talk.inject(one).await;
    assert_eq!(talk.custom().await, [("one".to_owned(), vec![])]);
    talk.b.update(talk.group).await.expect("accepted");
    until_agreed(talk.group, &[&talk.a, &talk.b]).await;
    talk.inject(two).await;
    assert!(talk.custom().await.is_empty());
    talk.inject(v1::Signal { epoch: three.epoch + 2, ..three }).await;
    assert!(talk.custom().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn keys_that_a_removed_member_holds_open_nothing_more() {
    let server = FakeServer::default();
    let people: Vec<Person> = ["ann", "ben", "cleo"].iter().map(|name| Person::new(&server, name)).collect();
    let (a, b, c) = (people[0].open().await, people[1].open().await, people[2].open().await);
    let group = a.create_group("three", &names(&["ben", "cleo"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b, &c]).await;
    a.signal(group, "before", b"").await.expect("a member");
    let mut bens = b.events();
    server.world().deaf = Some(people[1].device);
    c.signal(group, "cleo's last", b"").await.expect("a member");
    server.world().deaf = None;
    let last = server.world().signals.pop().expect("it was sent");
    a.remove(group, &names(&["cleo"])).await.expect("removed");
    until_agreed(group, &[&a, &b]).await;
    server.push(people[1].device, push::Body::Signal(last));
    a.signal(group, "after", b"").await.expect("a member");
    loop {
        match bens.recv().await.expect("open") {
            Event::Signal { kind, .. } if kind != "before" => return assert_eq!(kind, "after"),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_nothing_is_sent_then_or_later() {
    let talk = Talk::new().await;
    let line = talk.server.interrupt(talk.ann.device);
    talk.pass(100).await;
    talk.a.typing(talk.group, true).await.expect("it promises nothing");
    talk.a.signal(talk.group, "k", b"").await.expect("nor does this");
    talk.server.resume(talk.ann.device, &line);
    talk.pass(2_000).await;
    assert_eq!(talk.sent().len(), 0);
    talk.a.typing(talk.group, true).await.expect("live");
    assert_eq!(talk.sent().len(), 1);
}
