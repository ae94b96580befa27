//! `SendMessage`.

use sovereign_proto::v1::{FailureCode, entry::Body, failure::Details, own::What};

use crate::harness::{
    Member, TestServer,
    scene::{Person, pair, send_request},
};

#[tokio::test]
async fn reaches_the_other_and_comes_back_to_the_sender_as_its_own() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let message = ada.person.member.message(&mut ada.group, "hello");
    let sent = ada.person.raw.call(send_request(&id, message.clone())).await.expect("sent");
    assert_eq!(bob.person.next_text(&mut bob.group).await, "hello");
    loop {
        let entries = ada.person.raw.entries(&id).await;
        let Some(entry) = entries.iter().find(|entry| entry.seq == sent.seq) else { continue };
        let Some(Body::Own(own)) = &entry.body else { panic!("the sender gets no copy of its ciphertext") };
        assert!(own.what == Some(What::ClientId(message.client_id)), "and learns which of its messages it was");
        break;
    }
}

#[tokio::test]
async fn the_same_client_id_is_one_message_also_after_its_epoch_has_passed() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let request = send_request(&id, ada.person.member.message(&mut ada.group, "once"));
    let first = ada.person.raw.call(request.clone()).await.expect("sent");
    for _ in 0..5 {
        let bundle = ada.person.member.update(&mut ada.group);
        ada.person.submit(&mut ada.group, &bundle).await;
    }
    let again = ada.person.raw.call(request).await.expect("answered");
    assert_eq!((again.seq, again.time_ms, again.duplicate), (first.seq, first.time_ms, true));
}

#[tokio::test]
async fn an_old_epoch_is_told_what_it_missed() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let late = bob.person.member.message(&mut bob.group, "late");
    for _ in 0..4 {
        let bundle = ada.person.member.update(&mut ada.group);
        ada.person.submit(&mut ada.group, &bundle).await;
    }
    let failure = bob.person.raw.call(send_request(&id, late)).await.err().expect("four epochs are too old");
    assert_eq!(failure.code(), FailureCode::StaleEpoch);
    let Some(Details::StaleEpoch(stale)) = failure.details else { panic!("without what it missed") };
    for entry in &stale.entries {
        bob.person.member.apply(&mut bob.group, entry);
    }
    assert_eq!(bob.group.epoch().as_u64(), stale.current_epoch);
    bob.person.send(&mut bob.group, "again").await;
}

#[tokio::test]
async fn after_a_removal_the_removed_and_the_older_keys_are_refused() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let mut eves = eve.join().await;
    let id = ada.group.group_id().to_vec();
    let before = bob.person.member.message(&mut bob.group, "with older keys");
    let leaf = Member::leaf(&ada.group, &eve.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;
    let message = eve.member.message(&mut eves, "still here?");
    assert_eq!(eve.raw.refused(send_request(&id, message)).await, FailureCode::NotFound);
    assert_eq!(bob.person.raw.refused(send_request(&id, before)).await, FailureCode::StaleEpoch);
}

#[tokio::test]
async fn oversize_handshakes_junk_and_foreign_groups_are_refused() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let good = ada.person.member.message(&mut ada.group, "good");
    let commit = ada.person.member.update(&mut ada.group);
    ada.clear();
    let with = |ciphertext: Vec<u8>| {
        send_request(&id, sovereign_proto::v1::OutgoingMessage { ciphertext: ciphertext.into(), ..good.clone() })
    };
    assert_eq!(ada.person.raw.refused(with(vec![0; 70_000])).await, FailureCode::TooLarge);
    assert_eq!(ada.person.raw.refused(with(commit.commit.to_vec())).await, FailureCode::InvalidArgument);
    assert_eq!(ada.person.raw.refused(with(b"junk".to_vec())).await, FailureCode::InvalidArgument);
    assert_eq!(ada.person.raw.refused(with([good.ciphertext.as_ref(), b"\0"].concat())).await, FailureCode::InvalidArgument);
    assert_eq!(ada.person.raw.refused(send_request(&[9; 32], good.clone())).await, FailureCode::InvalidArgument);
    let mut stranger = Person::new(&server, "mallory").await;
    assert_eq!(stranger.raw.refused(send_request(&id, good.clone())).await, FailureCode::NotFound);
    ada.person.raw.call(send_request(&id, good)).await.expect("the good one goes");
}

#[tokio::test]
async fn a_message_lives_as_long_as_its_sender_says_and_is_then_given_to_nobody() {
    let mut server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let mut living = |ttl_seconds, urgent| {
        let message = ada.person.member.message(&mut ada.group, "for a minute");
        send_request(&id, sovereign_proto::v1::OutgoingMessage { ttl_seconds, urgent, ..message })
    };
    let (short, long) = (living(59, false), living(30 * 24 * 3600 + 1, false));
    let (first, second) = (living(60, true), living(3600, false));
    for refused in [short, long] {
        assert_eq!(ada.person.raw.refused(refused).await, FailureCode::InvalidArgument);
    }
    let sent = ada.person.raw.call(first).await.expect("sent");
    let lasting = ada.person.raw.call(second).await.expect("sent");
    let entries = bob.person.raw.entries(&id).await;
    let entry = entries.iter().find(|entry| entry.seq == sent.seq).expect("it is there");
    assert!(entry.urgent && entry.expires_at_ms == sent.time_ms + 60_000);
    assert!(matches!(entry.body, Some(Body::Message(_))));

    server.terminate().await;
    server.set_arguments(&["--clock-offset-seconds", "120"]);
    server.restart().await;
    let (mut again, _) = crate::harness::Raw::sign_in(&server, &bob.person.keys).await;
    let entries = again.entries(&id).await;
    let entry = entries.iter().find(|entry| entry.seq == sent.seq).expect("every seq is represented");
    let Some(Body::Skipped(skipped)) = &entry.body else { panic!("it is given to nobody any more") };
    assert_eq!((skipped.to, skipped.reason()), (sent.seq, sovereign_proto::v1::SkippedReason::Expired));
    let next = entries.iter().find(|entry| entry.seq == lasting.seq).expect("the other one lives");
    let Some(Body::Message(body)) = &next.body else { panic!("a message") };
    let hash = sovereign_proto::log::entry_hash(sovereign_proto::log::Kind::Message, body);
    let before: [u8; 32] = skipped.running_hash.as_ref().try_into().expect("32 bytes");
    assert_ne!(sovereign_proto::log::running_hash(&before, next.seq, &hash), [0; 32], "the chain goes on from there");
}
