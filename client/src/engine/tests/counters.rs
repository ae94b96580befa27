//! Numbers of a sender's messages: no honest sender worries a reader, and a server that keeps one back always does.

use super::{fake::Fault, *};
use crate::{
    engine::records::{IntentKind, Stage},
    event::{Alarm, Event},
};
use sovereign_proto::v1::{self, entry::Body};
use tokio::sync::broadcast::Receiver;

/// Two people in a group, of whom the second has heard the first once.
async fn pair(server: &FakeServer) -> (Person, Client, Client, [u8; 32]) {
    let (ann, ben) = (Person::new(server, "ann"), Person::new(server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    a.send(group, "first").await.expect("sent");
    until_texts(&b, &["first"]).await;
    (ann, a, b, group)
}

fn alarms(events: &mut Receiver<Event>) -> Vec<Alarm> {
    let events = std::iter::from_fn(|| events.try_recv().ok());
    events.filter_map(|event| if let Event::Alarm { alarm, .. } = event { Some(alarm) } else { None }).collect()
}

async fn until_state(client: &Client, group: [u8; 32], wanted: GroupState) {
    until(&format!("{wanted:?}"), || async {
        client.groups().await.expect("readable").iter().any(|info| info.id == group && info.state == wanted)
    })
    .await;
}

/// As if the server kept messages back for ever and called them expired.
fn keep_back(entry: &mut v1::Entry, running: [u8; 32]) {
    let skipped = v1::Skipped { to: entry.seq, reason: v1::SkippedReason::Expired.into(), running_hash: running.to_vec().into() };
    entry.body = Some(Body::Skipped(skipped));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_leaves_no_hole_in_front_of_what_was_on_its_way_behind_it() {
    let server = FakeServer::default();
    let (ann, a, b, group) = pair(&server).await;
    let mut heard = b.events();
    // All three are on their way before the first is answered.
    let line = server.interrupt(ann.device);
    let refused = a.queue(group, "refused").await.expect("queued");
    for text in ["second", "third"] {
        a.queue(group, text).await.expect("queued");
    }
    server.world().faults.push(("SendMessage", Fault::Refused));
    let mut told = a.events();
    server.resume(ann.device, &line);
    until_texts(&b, &["first", "second", "third"]).await;
    assert_eq!(alarms(&mut heard), []);
    let failed = std::iter::from_fn(|| told.try_recv().ok()).filter_map(|event| match event {
        Event::SendFailed { client_id, .. } => Some(client_id),
        _ => None,
    });
    assert_eq!(failed.collect::<Vec<_>>(), [refused], "the others are not given up");
}

#[tokio::test(start_paused = true)]
async fn what_was_unanswered_when_its_sender_came_in_from_outside_stands_in_its_place() {
    let server = FakeServer::default();
    let (ann, a, b, group) = pair(&server).await;
    let mut heard = b.events();
    let line = server.interrupt(ann.device);
    a.queue(group, "late").await.expect("queued");
    // It has its number, and was lost on its way; and then the device has to come in anew.
    a.engine_run(|work| {
        work.next_messages(&group, &[])?;
        let record = work.known_group(&group)?;
        work.put_group(&GroupRecord { stage: Stage::Outside, ..record })
    });
    server.resume(ann.device, &line);
    until_texts(&b, &["first", "late"]).await;
    a.send(group, "and on").await.expect("sent");
    until_texts(&b, &["first", "late", "and on"]).await;
    assert_eq!(alarms(&mut heard), []);
    assert_eq!(server.world().counts["GetGroupInfo"], 1, "she came in from outside");
}

#[tokio::test(start_paused = true)]
async fn what_was_said_in_front_of_an_addition_stands_in_front_of_it() {
    let server = FakeServer::default();
    let (ann, a, b, group) = pair(&server).await;
    let cleo = Person::new(&server, "cleo");
    let c = cleo.open().await;
    until("cleo has key packages", || async { server.world().counts["PublishKeyPackages"] >= 3 }).await;
    let mut heard = b.events();
    let line = server.interrupt(ann.device);
    a.queue(group, "before").await.expect("queued");
    let account = cleo.device.account;
    a.engine_run(|work| {
        work.next_messages(&group, &[])?;
        work.intend(&group, IntentKind::AddMembers(vec![account]), true, false).map(drop)
    });
    a.queue(group, "behind").await.expect("queued");
    server.resume(ann.device, &line);
    until_texts(&b, &["first", "before", "behind"]).await;
    until_texts(&c, &["behind"]).await;
    assert_eq!(alarms(&mut heard), []);
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_again_compares_nothing_with_what_was_before() {
    let server = FakeServer::default();
    let people: Vec<Person> = ["ann", "ben", "cleo"].iter().map(|name| Person::new(&server, name)).collect();
    let (a, b, c) = (people[0].open().await, people[1].open().await, people[2].open().await);
    let (others, group) = (names(&["ben", "cleo"]), a.create_group("three", &names(&["ben", "cleo"]), Policy::Equal).await);
    let group = group.expect("made");
    until_agreed(group, &[&a, &b, &c]).await;
    b.send(group, "before").await.expect("sent");
    until_texts(&c, &["before"]).await;
    a.remove(group, &others).await.expect("removed");
    until_state(&b, group, GroupState::Left).await;
    until_state(&c, group, GroupState::Left).await;
    // Numbers of messages that were on their way then, and that nobody took.
    b.engine_run(|work| {
        let record = work.known_group(&group)?;
        work.put_group(&GroupRecord { counter: record.counter + 30, ..record })
    });
    a.add(group, &others).await.expect("added");
    until_agreed(group, &[&a, &b, &c]).await;
    let mut heard = c.events();
    b.send(group, "after").await.expect("sent");
    until_texts(&c, &["before", "after"]).await;
    assert_eq!(alarms(&mut heard), []);
    server.world().expires = Some((group, keep_back));
    b.send(group, "kept back").await.expect("sent");
    server.world().expires = None;
    b.send(group, "last").await.expect("sent");
    until_texts(&c, &["before", "after", "last"]).await;
    assert_eq!(alarms(&mut heard), [Alarm::SenderCounter { by: "ben".to_owned() }], "from then on everything is missed");
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_again_counts_anew() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("two", &names(&["ben"]), Policy::Equal).await.expect("made");
    until("ben is in", || async { b.epoch_authenticator(group).await.is_ok() }).await;
    b.send(group, "before").await.expect("sent");
    until_texts(&a, &["before"]).await;
    a.remove(group, &names(&["ben"])).await.expect("removed");
    let state = |wanted| {
        let b = &b;
        move || async move { b.groups().await.expect("readable").iter().any(|info| info.id == group && info.state == wanted) }
    };
    until("ben is out", state(GroupState::Left)).await;
    // Numbers of messages that were on their way then, and that nobody took.
    b.engine_run(|work| {
        let record = work.known_group(&group)?;
        work.put_group(&GroupRecord { counter: record.counter + 3, ..record })
    });
    a.add(group, &names(&["ben"])).await.expect("added");
    until("ben is in again", state(GroupState::Active)).await;
    let mut events = a.events();
    b.send(group, "after").await.expect("sent");
    until_texts(&a, &["before", "after"]).await;
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Alarm { .. }), "{event:?}");
    }
}
