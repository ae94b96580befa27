//! Receipts: told together, kept over restarts, not told to who is off or has gone.

use std::time::Duration;

use sovereign::clock::monotonic;
use sovereign_proto::v1::{LeaveGroupRequest, push};

use crate::harness::{
    Carrier, Member, Raw, TestServer,
    attendance::{acquainted, privacy, read_request},
    scene::Person,
    within,
};

over_both!(many_messages_are_few_receipts_and_a_restart_keeps_them);

async fn many_messages_are_few_receipts_and_a_restart_keeps_them(carrier: Carrier) {
    const MESSAGES: u64 = 200;
    let mut server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob) = acquainted(&server).await;
    let id = ada.group.group_id().to_vec();
    let (mut last, began) = (0, monotonic());
    for number in 0..MESSAGES {
        last = ada.person.send(&mut ada.group, &number.to_string()).await.seq;
        assert_eq!(bob.person.next_text(&mut bob.group).await, number.to_string());
    }
    let mut pushes = 0_u64;
    loop {
        pushes += 1;
        let receipts = ada.person.raw.next_receipts(&id).await;
        assert_eq!(receipts.len(), 1, "one state a member, and nothing of oneself");
        if receipts[0].delivered_seq == last {
            break;
        }
    }
    // One a second at most, however slow the machine is.
    assert!(pushes <= began.elapsed().as_secs() + 2, "{pushes} pushes for {MESSAGES} messages in {:?}", began.elapsed());
    bob.person.raw.call(read_request(&id, last)).await.expect("noted");
    let before = ada.person.raw.receipts(&id).await;
    assert!(before.contains(&(bob.person.keys.account.to_vec(), last, last)));
    server.kill().await;
    server.restart().await;
    let (mut again, _) = Raw::sign_in(&server, &ada.person.keys).await;
    assert_eq!(again.receipts(&id).await, before);
}

#[tokio::test]
async fn who_is_off_neither_shows_nor_sees() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let mut eves = eve.join().await;
    eve.accept(&eves).await;
    let id = ada.group.group_id().to_vec();
    eve.raw.call(privacy(None, Some(true))).await.expect("off");
    let commit = ada.group.epoch().as_u64();
    assert!(commit > 0);
    let seq = ada.person.send(&mut ada.group, "one").await.seq;
    assert_eq!(eve.next_text(&mut eves).await, "one");
    eve.raw.call(read_request(&id, seq)).await.expect("noted, for her own devices");
    assert_eq!(bob.person.next_text(&mut bob.group).await, "one");
    bob.person.raw.call(read_request(&id, seq)).await.expect("noted");
    // Ada hears of Bob, who acknowledged after Eve, and nothing of Eve.
    loop {
        let receipts = ada.person.raw.next_receipts(&id).await;
        assert!(receipts.iter().all(|receipt| receipt.account_id != eve.keys.account[..]), "Eve is off");
        if receipts.iter().any(|receipt| receipt.read_seq == seq) {
            break;
        }
    }
    // Her acknowledgement may wait a moment to be written.
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    within("Eve's own progress", async {
        loop {
            let told = eve.raw.receipts(&id).await;
            assert!(told.len() == 1 && told[0].0 == eve.keys.account, "only her own: {told:?}");
            if told[0] == (eve.keys.account.to_vec(), seq, seq) {
                return;
            }
            ticks.tick().await;
        }
    })
    .await;
    assert_eq!(ada.person.raw.receipts(&id).await.len(), 2);
    eve.raw.call(privacy(None, Some(false))).await.expect("on");
    assert_eq!(eve.raw.receipts(&id).await.len(), 3);
}

#[tokio::test]
async fn who_has_gone_hears_nothing_and_is_not_heard_of() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    let (mut eve, mut dan) = (Person::new(&server, "eve").await, Person::new(&server, "dan").await);
    ada.person.add(&mut ada.group, &[&eve.keys, &dan.keys]).await;
    let id = ada.group.group_id().to_vec();
    let (eves, dans) = (eve.join().await, dan.join().await);
    eve.accept(&eves).await;
    dan.accept(&dans).await;
    // Eve is removed; Dan asks to leave, and the commit is not made yet.
    let leaf = Member::leaf(&ada.group, &eve.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;
    dan.raw.call(LeaveGroupRequest { group_id: id.clone().into() }).await.expect("left");
    let seq = ada.person.send(&mut ada.group, "without you").await.seq;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "without you");
    bob.person.raw.call(read_request(&id, seq)).await.expect("noted");
    ada.person.raw.until_progress(&id, &bob.person.keys, seq, seq).await;
    assert_eq!(ada.person.raw.receipts(&id).await.len(), 2, "Ada and Bob");
    // What Ada was told was told to all at once: it would have reached these two before the answers to what they ask now.
    for gone in [&mut eve.raw, &mut dan.raw] {
        gone.call(privacy(None, None)).await.expect("answered");
        gone.call(sovereign_proto::v1::SignOutRequest { forget_tokens: false }).await.expect("goodbye");
        let mut pushes = gone.waiting_pushes();
        assert!(pushes.all(|push| !matches!(push, push::Body::Receipts(changed) if changed.receipts.iter().any(|receipt| receipt.read_seq == seq))));
    }
}
