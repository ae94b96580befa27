//! Receipts and presence as a server tells them, also one that tells nonsense.

use sovereign_proto::v1::{self, push};

use super::*;
use crate::{event::Event, model::Presence};

fn receipts(group: [u8; 32], told: &[([u8; 16], u64, u64)]) -> push::Body {
    let receipt = |(account, delivered_seq, read_seq): &([u8; 16], u64, u64)| v1::Receipt {
        account_id: account.to_vec().into(),
        delivered_seq: *delivered_seq,
        read_seq: *read_seq,
    };
    push::Body::Receipts(v1::ReceiptsChanged { group_id: group.to_vec().into(), receipts: told.iter().map(receipt).collect() })
}

/// What is told of Ben until the account with this number is told of.
async fn told_until(events: &mut tokio::sync::broadcast::Receiver<Event>, last: [u8; 16]) -> Vec<(u64, u64)> {
    let mut told = Vec::new();
    loop {
        if let Event::Receipt { account, delivered, read, .. } = events.recv().await.expect("the client goes on") {
            if account == last {
                return told;
            }
            told.push((delivered, read));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn receipts_only_grow_are_told_once_and_are_bounded() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, _b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    let mut events = a.events();
    let bens = ben.device.account;
    for (delivered, read) in [(3, 0), (3, 0), (2, 0), (5, 4), (4, 3)] {
        server.push(ann.device, receipts(group, &[(bens, delivered, read)]));
    }
    server.push(ann.device, receipts([9; 32], &[(bens, 9, 9)]));
    server.push(ann.device, receipts(group, &[(ann.device.account, 9, 9), ([1; 16], 1, 2)]));
    assert_eq!(told_until(&mut events, [1; 16]).await, [(3, 0), (5, 4)]);
    let known = a.receipts(group).await.expect("from the vault");
    assert!(known.iter().all(|receipt| receipt.account != ann.device.account), "nothing of oneself");
    let first = known.iter().find(|receipt| receipt.account == [1; 16]).expect("known");
    assert_eq!((first.delivered, first.read), (2, 2), "what was read was delivered");

    let crowd: Vec<_> = (0..=255).map(|number| ([number; 16], 1, 1)).collect();
    server.push(ann.device, receipts(group, &crowd));
    server.push(ann.device, receipts(group, &[(bens, 7, 7)]));
    until("Ben's newest", || async { a.receipts(group).await.expect("from the vault").iter().any(|receipt| receipt.read == 7) })
        .await;
    assert!(a.receipts(group).await.expect("from the vault").len() <= 64);
}

#[tokio::test(start_paused = true)]
async fn a_marker_is_kept_moves_forward_and_never_beyond_what_has_come() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    let sent = a.send(group, "hello").await.expect("sent");
    until_texts(&b, &["hello"]).await;
    b.mark_read(group, u64::MAX).await.expect("noted");
    b.mark_read(group, 1).await.expect("noted");
    assert_eq!(b.read_marker(group).await.expect("readable"), sent.seq);
    assert!(b.mark_read([9; 32], 1).await.is_err(), "no such group");
    until("the server was told", || async { server.world().counts.get("MarkRead").copied() == Some(1) }).await;
    b.close().await;
    assert_eq!(ben.open().await.read_marker(group).await.expect("readable"), sent.seq);
}

#[tokio::test(start_paused = true)]
async fn presence_of_people_nobody_asked_about_is_not_told() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, _b) = (ann.open().await, ben.open().await);
    a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    // The group's birth and Ben's coming change whom to watch.
    until("Ben is watched", || async { server.world().watched(ann.device).contains(&ben.device.account.to_vec()) }).await;
    let mut events = a.events();
    let online = |account: [u8; 16], number| {
        let state = v1::PresenceState::Online.into();
        let accounts = vec![v1::AccountPresence { account_id: account.to_vec().into(), state, last_seen_ms: 0 }];
        push::Body::Presence(v1::PresenceChanged { accounts, number })
    };
    server.push(ann.device, online([7; 16], 100));
    server.push(ann.device, online(ben.device.account, 101));
    loop {
        if let Event::Presence { account, username, presence } = events.recv().await.expect("the client goes on") {
            assert_eq!((account, username.as_str(), presence), (ben.device.account, "ben", Presence::Online));
            break;
        }
    }
}
