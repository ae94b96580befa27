//! Windows: a removed device reads up to its removal, one added later reads nothing from before, one that was removed and
//! added again reads both and nothing between.

use sovereign_proto::v1::{FailureCode, FetchEntriesRequest, entry::Body};

use crate::harness::{
    Carrier, Member, Raw, TestServer,
    scene::{Person, pair, send_request},
};

over_both!(
    a_removed_device_gets_exactly_up_to_its_removal,
    a_device_added_later_gets_nothing_from_before,
    removed_and_added_again_while_away_works
);

fn fetch(id: &[u8]) -> FetchEntriesRequest {
    FetchEntriesRequest { group_id: id.to_vec().into(), from_seq: 0, backward: false, limit: 0 }
}

async fn a_removed_device_gets_exactly_up_to_its_removal(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    // Bob is away.
    let bobs_keys = bob.person.keys.clone();
    drop(bob.person.raw);
    ada.person.send(&mut ada.group, "before").await;
    let leaf = Member::leaf(&ada.group, &bobs_keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    let removal = ada.person.submit(&mut ada.group, &bundle).await;
    ada.person.send(&mut ada.group, "after").await;

    let (mut raw, _) = Raw::sign_in(&server, &bobs_keys).await;
    let seen: Vec<_> =
        raw.until_live().await.into_iter().filter(|entries| entries.group_id == id).flat_map(|entries| entries.entries).collect();
    assert_eq!(seen.last().map(|entry| entry.seq), Some(removal), "the removing commit is the last he gets");
    let texts: Vec<_> = seen.iter().filter_map(|entry| bob.person.member.apply(&mut bob.group, entry)).collect();
    assert_eq!(texts, ["before"]);
    assert!(!bob.group.is_active());
    raw.acknowledge(&id, removal).await;
    let again = send_request(&id, ada.person.member.message(&mut ada.group, "not his"));
    assert_eq!(raw.refused(again).await, FailureCode::NotFound);
}

async fn a_device_added_later_gets_nothing_from_before(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, _bob) = pair(&server).await;
    ada.person.send(&mut ada.group, "old").await;
    let mut eve = Person::new(&server, "eve").await;
    let joined = ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let mut eves = eve.join().await;
    ada.person.send(&mut ada.group, "new").await;
    assert_eq!(eve.next_text(&mut eves).await, "new");
    let page = eve.raw.call(fetch(eves.group_id().as_slice())).await.expect("a page");
    assert!(page.entries.iter().all(|entry| entry.seq > joined), "nothing from before her join");
}

async fn removed_and_added_again_while_away_works(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let keys = bob.person.keys.clone();
    drop(bob.person.raw);
    let leaf = Member::leaf(&ada.group, &keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    let removal = ada.person.submit(&mut ada.group, &bundle).await;
    ada.person.send(&mut ada.group, "while he is out").await;
    let rejoin = ada.person.add(&mut ada.group, &[&keys]).await;
    ada.person.send(&mut ada.group, "welcome back").await;

    let (raw, _) = Raw::sign_in(&server, &keys).await;
    bob.person.raw = raw;
    let mut welcome = None;
    let mut first_window = Vec::new();
    for entries in bob.person.raw.until_live().await {
        if entries.group_id.is_empty() {
            let found = entries.entries.iter().filter_map(|entry| match &entry.body {
                Some(Body::Welcome(welcome)) => Some((entry.seq, welcome.clone())),
                _ => None,
            });
            welcome = found.last().or(welcome);
        } else {
            first_window.extend(entries.entries);
        }
    }
    assert_eq!(first_window.last().map(|entry| entry.seq), Some(removal), "the first window ends with the removal");
    for entry in &first_window {
        bob.person.member.apply(&mut bob.group, entry);
    }
    let (seq, welcome) = welcome.expect("a second Welcome");
    assert_eq!(welcome.join_seq, rejoin);
    bob.group.delete(openmls::prelude::OpenMlsProvider::storage(&bob.person.member.provider)).expect("the old state goes");
    bob.group = bob.person.member.join(&welcome.welcome);
    bob.person.raw.acknowledge(&id, removal).await;
    bob.person.raw.acknowledge(&[], seq).await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "welcome back");
}
