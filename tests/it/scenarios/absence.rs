//! Away for long: everything in order, once, and exact gaps where something is gone.

use sovereign_proto::v1::entry::Body;

use crate::harness::{
    Carrier, Raw, TestServer,
    scene::{pair, send_request},
};

over_both!(a_thousand_messages_arrive_in_order_once);

async fn a_thousand_messages_arrive_in_order_once(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let keys = bob.person.keys.clone();
    drop(bob.person.raw);
    for number in 0..1000 {
        let message = ada.person.member.message(&mut ada.group, &number.to_string());
        ada.person.raw.send(send_request(&id, message)).await;
        if number % 50 == 49 {
            for _ in 0..50 {
                ada.person.raw.any_answer().await.expect("an answer");
            }
        }
    }
    let (mut raw, _) = Raw::sign_in(&server, &keys).await;
    let mut texts = Vec::new();
    while texts.len() < 1000 {
        let entries = raw.entries(&id).await;
        texts.extend(entries.iter().filter_map(|entry| bob.person.member.apply(&mut bob.group, entry)));
        raw.acknowledge(&id, entries.last().expect("entries").seq).await;
    }
    assert_eq!(texts, (0..1000).map(|number| number.to_string()).collect::<Vec<_>>());
    // Once acknowledged and durable, nothing comes again.
    raw.call(sovereign_proto::v1::SignOutRequest { forget_tokens: false }).await.expect("signed out");
    raw.ended().await;
    let (mut raw, _) = Raw::sign_in(&server, &keys).await;
    let again: usize = raw.until_live().await.iter().map(|entries| entries.entries.len()).sum();
    assert!(again <= 256, "only what the last coalesced acknowledgement covered may come again: {again}");
}

#[tokio::test]
async fn a_device_away_for_five_hundred_commits_and_ninety_days_catches_up() {
    let mut server = TestServer::start_with(&["--requests-per-second-max", "1000000"]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let keys = bob.person.keys.clone();
    drop(bob.person.raw);
    for _ in 0..500 {
        let bundle = ada.person.member.update(&mut ada.group);
        ada.person.submit(&mut ada.group, &bundle).await;
    }
    server.terminate().await;
    server.set_arguments(&["--clock-offset-seconds", &(90 * 24 * 3600).to_string()]);
    server.restart().await;
    let (mut raw, _) = Raw::sign_in(&server, &keys).await;
    while bob.group.epoch() < ada.group.epoch() {
        let entries = raw.entries(&id).await;
        assert!(entries.iter().all(|entry| !matches!(entry.body, Some(Body::Skipped(_)))), "commits stay for ninety days");
        for entry in &entries {
            bob.person.member.apply(&mut bob.group, entry);
        }
        raw.acknowledge(&id, entries.last().expect("entries").seq).await;
    }
    assert_eq!(bob.group.epoch_authenticator().as_slice(), ada.group.epoch_authenticator().as_slice());
}
