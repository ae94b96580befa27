//! Signals: to the other live members of a group, to nobody else, and kept nowhere.

use sovereign_proto::v1::{FetchEntriesRequest, LeaveGroupRequest, entry::Body};

use crate::harness::{
    Carrier, Member, Raw, TestServer,
    scene::{Person, Seat, pair},
    search::search,
};

over_both!(
    a_signal_reaches_the_other_live_members_and_nobody_else,
    who_was_removed_neither_hears_nor_speaks_also_while_their_window_drains,
    who_comes_again_hears_again
);

/// Ada, Bob and Eve in one group, all live.
async fn three(server: &TestServer) -> (Seat, Seat, Seat) {
    let (mut ada, mut bob) = pair(server).await;
    let mut eve = Person::new(server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let group = eve.join().await;
    // The window is open, and Eve live in the group, once something has reached her there.
    ada.person.send(&mut ada.group, "welcome").await;
    let mut eve = Seat { person: eve, group };
    for seat in [&mut bob, &mut eve] {
        assert_eq!(seat.person.next_text(&mut seat.group).await, "welcome");
    }
    (ada, bob, eve)
}

fn id(seat: &Seat) -> Vec<u8> {
    seat.group.group_id().to_vec()
}

async fn a_signal_reaches_the_other_live_members_and_nobody_else(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob, mut eve) = three(&server).await;
    let mut dan = Person::new(&server, "dan").await;
    let id = id(&ada);
    ada.person.raw.signal(&id, b"typing").await;
    for seat in [&mut bob, &mut eve] {
        let signal = seat.person.raw.next_signal().await;
        assert_eq!((&signal.group_id[..], signal.epoch, &signal.ciphertext[..]), (&id[..], 1, &b"typing"[..]));
    }
    bob.person.raw.signal(&id, b"me too").await;
    assert_eq!(ada.person.raw.next_signal().await.ciphertext, "me too");
    eve.person.raw.hears(&["me too"]).await;
    assert!(bob.person.raw.signals().await.is_empty(), "nobody hears themselves");
    assert!(dan.raw.signals().await.is_empty(), "nor does a stranger hear anything");
    let features = &ada.person.raw.hello.features;
    assert!(features.iter().any(|feature| feature == "signals"));
}

#[tokio::test]
async fn a_signal_is_kept_nowhere() {
    let server = TestServer::start_with(&["--log-level", "trace"]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let (id, needle) = (id(&ada), "canary-signal-93b1".to_owned());
    ada.person.send(&mut ada.group, "here").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "here");
    let fetch = FetchEntriesRequest { group_id: id.clone().into(), from_seq: 0, backward: false, limit: 0 };
    let before = bob.person.raw.call(fetch.clone()).await.expect("a page").head;
    ada.person.raw.signal(&id, needle.as_bytes()).await;
    assert_eq!(bob.person.raw.next_signal().await.ciphertext, needle.as_bytes());
    let keys = bob.person.keys.clone();
    drop(bob);
    // Nobody hears this one, then or later.
    ada.person.raw.signal(&id, needle.as_bytes()).await;
    ada.person.raw.signals().await;
    let (mut raw, _) = Raw::sign_in(&server, &keys).await;
    raw.until_live().await;
    assert!(raw.signals().await.is_empty());
    assert_eq!(raw.call(fetch).await.expect("a page").head, before, "the log has not grown");
    let directory = server.data().parent().expect("the data directory has a parent").to_owned();
    assert_eq!(search(&directory, &[needle]), Vec::<String>::new());
}

async fn who_was_removed_neither_hears_nor_speaks_also_while_their_window_drains(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob, mut eve) = three(&server).await;
    let id = id(&ada);
    bob.person.raw.signal(&id, b"still in").await;
    assert_eq!(ada.person.raw.next_signal().await.ciphertext, "still in");
    eve.person.raw.hears(&["still in"]).await;
    let leaf = Member::leaf(&ada.group, &bob.person.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;

    // Bob's connection stands; then he comes anew, before he has read up to his removal.
    let keys = bob.person.keys.clone();
    for _ in 0..2 {
        ada.person.raw.signal(&id, b"without Bob").await;
        assert_eq!(eve.person.raw.next_signal().await.ciphertext, "without Bob");
        bob.person.raw.signal(&id, b"let me in").await;
        assert!(bob.person.raw.signals().await.is_empty(), "he hears nothing");
        assert!(ada.person.raw.signals().await.is_empty(), "and is heard by nobody");
        assert!(eve.person.raw.signals().await.is_empty());
        let (mut raw, session) = Raw::sign_in(&server, &keys).await;
        assert!(session.logs.iter().any(|log| log.group_id == id), "his window drains");
        raw.until_live().await;
        bob.person.raw = raw;
    }
}

#[tokio::test]
async fn who_is_removed_by_somebody_who_hangs_up_is_out_all_the_same() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, mut eve) = three(&server).await;
    let id = id(&ada);
    bob.person.raw.signal(&id, b"still in").await;
    assert_eq!(eve.person.raw.next_signal().await.ciphertext, "still in");
    let leaf = Member::leaf(&ada.group, &bob.person.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.raw.send(bundle.request(&id)).await;
    drop(ada);
    let told = eve.person.raw.entries(&id).await;
    assert!(matches!(told[0].body, Some(Body::Commit(_))), "Eve is told, although nobody waits for the answer");
    bob.person.raw.signals().await;
    bob.person.raw.signal(&id, b"let me in").await;
    bob.person.raw.signals().await;
    assert!(eve.person.raw.signals().await.is_empty());
}

async fn who_comes_again_hears_again(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = id(&ada);
    let hears = async |raw: &mut Raw, ada: &mut Seat| {
        ada.person.send(&mut ada.group, "text").await;
        raw.entries(&id).await;
        ada.person.raw.signal(&id, b"typing").await;
        assert_eq!(raw.next_signal().await.ciphertext, "typing");
    };
    hears(&mut bob.person.raw, &mut ada).await;
    let (mut raw, _) = Raw::sign_in(&server, &bob.person.keys).await;
    raw.until_live().await;
    hears(&mut raw, &mut ada).await;
    let leaf = Member::leaf(&ada.group, &bob.person.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    let removal = ada.person.submit(&mut ada.group, &bundle).await;
    raw.acknowledge(&id, removal).await;
    bob.person.raw = raw;
    ada.person.add(&mut ada.group, &[&bob.person.keys]).await;
    let (seq, _) = bob.person.welcome().await;
    bob.person.raw.acknowledge(&[], seq).await;
    hears(&mut bob.person.raw, &mut ada).await;
}

#[tokio::test]
async fn who_is_leaving_hears_and_says_nothing() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, mut eve) = three(&server).await;
    let id = id(&ada);
    bob.person.raw.signal(&id, b"before").await;
    assert_eq!(ada.person.raw.next_signal().await.ciphertext, "before");
    bob.person.raw.call(LeaveGroupRequest { group_id: id.clone().into() }).await.expect("leaving");
    bob.person.raw.signal(&id, b"after").await;
    bob.person.raw.signals().await;
    ada.person.raw.signal(&id, b"goodbye").await;
    assert_eq!(bob.person.raw.next_signal().await.ciphertext, "goodbye");
    eve.person.raw.hears(&["before", "goodbye"]).await;
}
