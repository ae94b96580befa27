//! Messages: there once, in order, whatever happens to requests and answers.

use super::{
    fake::{Fault, message_hash},
    *,
};
use crate::{
    event::{Alarm, Event},
    model::InboxItem,
};
use sovereign_proto::v1::{self, entry::Body};

#[tokio::test(start_paused = true)]
async fn two_people_talk_both_ways() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    until("ben has key packages", || async { server.world().counts.get("PublishKeyPackages").copied().unwrap_or(0) >= 2 }).await;
    let sent = a.send_to(&names(&["ben"]), "hello").await.expect("sent");
    let got = until_texts(&b, &["hello"]).await;
    assert_eq!((got[0].from.as_str(), got[0].group, got[0].seq), ("ann", sent.group, sent.seq));
    let back = b.send_to(&names(&["ann"]), "hello yourself").await.expect("sent");
    assert_eq!(back.group, sent.group, "one group of exactly these people");
    until_texts(&a, &["hello yourself"]).await;
    assert_eq!(a.history(sent.group, 10).await.expect("readable").len(), 2);
    until_agreed(sent.group, &[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_queued_message_is_durable_at_once_and_told_when_accepted() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    let client_id = a.queue(group, "kept").await.expect("queued");
    let waiting = a.outbox(group, 10).await.expect("readable");
    assert_eq!(waiting.iter().map(|item| (item.client_id, item.text.as_str())).collect::<Vec<_>>(), [(client_id, "kept")]);
    a.close().await;

    let a = ann.open().await;
    let mut events = a.events();
    until_texts(&b, &["kept"]).await;
    until("the outbox is empty", || async { a.outbox(group, 10).await.is_ok_and(|items| items.is_empty()) }).await;
    while let Ok(event) = events.try_recv() {
        if let Event::Accepted { client_id: accepted, message } = event {
            return assert_eq!((accepted, message.text.as_str(), message.from.as_str()), (client_id, "kept", "ann"));
        }
    }
    let kept = a.history(group, 1).await.expect("readable");
    assert_eq!(kept[0].text, "kept", "accepted before anybody could look");
}

#[tokio::test(start_paused = true)]
async fn what_was_shown_is_neither_new_nor_told_to_listeners() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let one = a.create_group("one", &names(&["ben"]), Policy::Equal).await.expect("made");
    let two = a.create_group("two", &names(&["ben"]), Policy::Equal).await.expect("made");
    let mut seqs = Vec::new();
    for (group, text) in [(one, "1"), (two, "2"), (one, "3"), (one, "4")] {
        seqs.push(a.send(group, text).await.expect("sent").seq);
        until("it has come", || async { b.history(group, 1).await.is_ok_and(|last| last.iter().any(|m| m.text == text)) }).await;
    }
    let unread = |groups: Vec<([u8; 32], u64)>| groups.into_iter().collect::<std::collections::HashMap<_, _>>();
    assert_eq!(unread(b.unread().await.expect("readable")), unread(vec![(one, 3), (two, 1)]));
    b.mark_shown(one, seqs[2]).await.expect("marked");
    assert_eq!(unread(b.unread().await.expect("readable")), unread(vec![(one, 1), (two, 1)]));
    assert_eq!(texts(&b).await, ["2", "3", "4"], "what came behind something new may come again");
    b.close().await;
    let b = ben.open().await;
    b.mark_shown(two, seqs[1]).await.expect("marked");
    assert_eq!(texts(&b).await, ["4"]);
    assert_eq!(unread(b.unread().await.expect("readable")), unread(vec![(one, 1)]));
    assert_eq!(b.history_before(one, seqs[2], 5).await.expect("readable").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_a_lost_request_make_one_message_each() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        server.world().faults.push(("SendMessage", fault));
        a.send(group, &format!("{fault:?}")).await.expect("sent");
    }
    until_texts(&b, &["AnswerLost", "RequestLost"]).await;
    let mut ids = server.message_ids(&group);
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[tokio::test(start_paused = true)]
async fn a_leave_that_was_cut_off_keeps_nothing_from_being_sent() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    server.world().faults.push(("LeaveGroup", Fault::RequestLost));
    let (left, queued) = tokio::join!(a.leave(group), async {
        until("it was proposed", || async { server.world().counts.contains_key("Propose") }).await;
        a.queue(group, "last words").await
    });
    left.expect("it is done when there is a connection again");
    queued.expect("it goes first");
    until_texts(&b, &["last words"]).await;
}

#[tokio::test(start_paused = true)]
async fn many_messages_keep_their_order() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    b.close().await;
    let expected: Vec<String> = (0..100).map(|n| format!("message {n}")).collect();
    let all = expected.iter().map(|text| a.send(group, text));
    server.world().faults.push(("SendMessage", Fault::AnswerLost));
    for sent in futures_util::future::join_all(all).await {
        sent.expect("sent");
    }
    let b = ben.open().await;
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let got = until_texts(&b, &expected).await;
    b.mark_listened(got[49].local_no).await.expect("marked");
    b.close().await;
    let b = ben.open().await;
    assert_eq!(texts(&b).await, expected[50..]);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_a_past_epoch_is_encrypted_again_under_its_id() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    server.disconnect(ann.device);
    b.update(group).await.expect("accepted");
    server.forbid_old_epochs(&group);
    let sent = a.send(group, "late").await.expect("sent");
    until_texts(&b, &["late"]).await;
    assert_eq!(server.message_ids(&group).iter().filter(|id| **id == sent.client_id).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_changes_what_was_sent_gives_the_alarm() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    let mut events = a.events();
    server.world().tamper = Some((ann.device, |entry: &mut v1::Entry| {
        if let Some(Body::Own(own)) = &mut entry.body {
            own.entry_hash = message_hash(b"something else").to_vec().into();
        }
    }));
    // The log tells before the answer does.
    server.world().faults.push(("SendMessage", Fault::AnswerLost));
    let alarmed = async {
        loop {
            if let Ok(Event::Alarm { alarm: Alarm::LogMismatch, group: Some(there) }) = events.recv().await {
                return there;
            }
        }
    };
    let sending = a.send(group, "text");
    tokio::pin!(sending);
    let there = tokio::select! { there = alarmed => there, _ = &mut sending => panic!("accepted in spite of it") };
    assert_eq!(there, group);
}

#[tokio::test(start_paused = true)]
async fn a_split_view_is_noticed_by_the_other_members() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    let mut events = b.events();
    // Ann is shown ciphertext that Ben never sees: she cannot read it, and tells what she saw.
    server.world().tamper = Some((ann.device, |entry: &mut v1::Entry| {
        if let Some(Body::Message(message)) = &mut entry.body {
            *message = b"forged".to_vec().into();
        }
    }));
    b.send(group, "one").await.expect("sent");
    until("ann has read on", || async { a.engine_log(group).cursor >= 2 }).await;
    a.send(group, "two").await.expect("sent");
    loop {
        if let Event::Alarm { alarm: Alarm::SplitView { by }, .. } = events.recv().await.expect("open") {
            return assert_eq!(by, "ann");
        }
    }
}

/// What has expired is told so; everything else that does not come is missed.
fn expire(entry: &mut v1::Entry, running: [u8; 32]) {
    let skipped = v1::Skipped { to: entry.seq, reason: v1::SkippedReason::Expired.into(), running_hash: running.to_vec().into() };
    entry.body = Some(Body::Skipped(skipped));
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_not_missed_and_everything_else_is() {
    for (ttl_seconds, alarms) in [(60, false), (0, true)] {
        let server = FakeServer::default();
        let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
        let (a, b) = (ann.open().await, ben.open().await);
        let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
        until_agreed(group, &[&a, &b]).await;
        a.send(group, "first").await.expect("sent");
        until_texts(&b, &["first"]).await;
        let mut events = b.events();
        server.world().expires = Some((group, expire));
        a.send_with(group, "gone", crate::SendOptions { ttl_seconds, urgent: false }).await.expect("sent");
        server.world().expires = None;
        let sent = a.send_with(group, "soon", crate::SendOptions { ttl_seconds: 3600, urgent: true }).await.expect("sent");
        a.send(group, "last").await.expect("sent");
        let got = until_texts(&b, &["first", "soon", "last"]).await;
        assert!(got[1].urgent && got[1].expires_at_ms.is_some() && got[1].seq == sent.seq);
        assert!(!got[2].urgent && got[2].expires_at_ms.is_none());
        let mut alarmed = false;
        while let Ok(event) = events.try_recv() {
            alarmed |= matches!(event, Event::Alarm { .. });
        }
        assert_eq!(alarmed, alarms, "a life of {ttl_seconds} s");
        let own = a.history(group, 10).await.expect("readable");
        assert!(own.iter().any(|message| message.text == "soon" && message.urgent && message.expires_at_ms.is_some()));
    }
}

#[tokio::test(start_paused = true)]
async fn notices_of_the_server_wait_in_the_inbox_among_the_messages() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    a.send(group, "before").await.expect("sent");
    until_texts(&b, &["before"]).await;
    let mut events = b.events();
    server.world().notice("down at six");
    until("the notice arrives", || async { b.inbox(10).await.expect("readable").len() == 2 }).await;
    assert_eq!(events.recv().await.expect("an event"), Event::ServerNotice { text: "down at six".into(), time_ms: 7 });
    a.send(group, "behind").await.expect("sent");
    until_texts(&b, &["before", "behind"]).await;
    b.close().await;

    // It is there after a restart, in its place, until it is marked.
    let b = ben.open().await;
    let inbox = b.inbox(10).await.expect("readable");
    let [InboxItem::Message(_), InboxItem::Notice(notice), InboxItem::Message(last)] = &inbox[..] else {
        panic!("something else: {inbox:?}")
    };
    assert_eq!((notice.text.as_str(), notice.time_ms), ("down at six", 7));
    assert_eq!(b.unlistened(2).await.expect("readable").len(), 2, "notices do not take the place of messages");
    b.mark_listened(last.local_no - 1).await.expect("marked");
    assert_eq!(b.inbox(10).await.expect("readable").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_in_an_epoch_before_ones_own_is_nobodys_fault() {
    let server = FakeServer::default();
    let (ann, ben, cleo) = (Person::new(&server, "ann"), Person::new(&server, "ben"), Person::new(&server, "cleo"));
    let (a, _b, c) = (ann.open().await, ben.open().await, cleo.open().await);
    let group = a.create_group("three", &names(&["ben"]), Policy::Equal).await.expect("made");
    a.send(group, "between two").await.expect("sent");
    a.add(group, &names(&["cleo"])).await.expect("added");
    until("cleo is in", || async { c.epoch_authenticator(group).await.is_ok() }).await;
    let mut events = c.events();
    server.say_late(&group);
    a.send(group, "among three").await.expect("sent");
    until_texts(&c, &["among three"]).await;
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::Alarm { .. }), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_limited_waits_as_long_as_the_server_says_and_the_person_is_told() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    let mut events = a.events();
    let tries = server.world().counts.get("SendMessage").copied().unwrap_or(0);
    server.world().faults.push(("SendMessage", Fault::Limited(40_000)));
    let began = crate::clock::monotonic();
    a.send(group, "patient").await.expect("sent in the end");
    assert!(began.elapsed() >= Duration::from_secs(40), "not before the server said");
    assert_eq!(server.world().counts["SendMessage"], tries + 2, "asked twice, and not more often");
    until_texts(&b, &["patient"]).await;
    let delayed = std::iter::from_fn(|| events.try_recv().ok()).find(|event| matches!(event, Event::Delayed { .. }));
    assert_eq!(delayed, Some(Event::Delayed { group, reason: "no".to_owned(), retry_after_ms: 40_000 }));
}

#[tokio::test(start_paused = true)]
async fn what_would_wait_for_hours_is_told_instead() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, _b) = (ann.open().await, ben.open().await);
    server.world().faults.push(("ClaimKeyPackages", Fault::Limited(5 * 3_600_000)));
    let error = a.send_to(&names(&["ben"]), "hello").await.expect_err("nobody waits for that");
    assert_eq!(error.to_string(), "the server refused: no (try again in 5 hours)");
}
