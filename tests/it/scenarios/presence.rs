//! Who is there: connections that die, devices that merge, people who hide or part.

use sovereign::{clock::monotonic, limits::PRESENCE_GRACE};
use sovereign_proto::{
    signed::PURPOSE_CHANGE_PASSWORD,
    v1::{ChangePasswordRequest, LeaveGroupRequest, PresenceState, PublishManifestRequest, SetPresenceRequest},
};

use crate::{
    harness::{
        Carrier, Member, Raw, TestServer,
        attendance::{acquainted, privacy},
        raw::Keys,
        scene::{Person, Seat},
        within,
    },
    requests::sign_in_with_password::enrol,
};

over_both!(who_comes_back_at_once_was_never_gone);

/// A second device of somebody, active, in no group.
async fn second_device(server: &TestServer, person: &mut Person) -> Keys {
    let proof = Some(person.keys.proof(&person.raw.hello, person.keys.account, PURPOSE_CHANGE_PASSWORD));
    let request = ChangePasswordRequest { old_password: String::new(), new_password: "a password".into(), proof };
    person.raw.call(request).await.expect("a password is set");
    let second = person.keys.further_device();
    let mut raw = Raw::connect(server).await;
    let request = enrol(&raw, &second, "ada", "a password");
    raw.call(request).await.expect("enrolled");
    let manifest = person.keys.next_manifest(&person.keys.genesis(), &[&person.keys, &second]);
    person.raw.call(PublishManifestRequest { manifest: Some(manifest) }).await.expect("approved");
    second
}

/// Ada, Bob and Eve in one group; Bob watches the two others, who are there.
async fn three(server: &TestServer) -> (Seat, Seat, Seat) {
    let (mut ada, mut bob) = acquainted(server).await;
    let mut eve = Person::new(server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let group = eve.join().await;
    eve.accept(&group).await;
    ada.person.raw.show(PresenceState::Online).await;
    eve.raw.show(PresenceState::Online).await;
    assert_eq!(bob.person.raw.watch(&[&ada.person.keys, &eve.keys]).await.len(), 2);
    (ada, bob, Seat { person: eve, group })
}

#[tokio::test]
async fn a_connection_that_died_silently_is_gone_soon_after_it_was_found_dead() {
    let mut server = TestServer::over(Carrier::WebSocket, &[]).await;
    let (ada, bob) = acquainted(&server).await;
    server.terminate().await;
    // Nobody is to be taken for dead who is only slow to set things up: Bob does nothing but wait from here on.
    server.set_arguments(&["--heartbeat-interval-seconds", "2"]);
    server.restart().await;
    let (mut bobs, _) = Raw::sign_in(&server, &bob.person.keys).await;
    bobs.watch(&[&ada.person.keys]).await;
    let keys = &ada.person.keys;
    // His connection answers pings meanwhile.
    let (found_dead, told) = tokio::join!(
        async {
            let (mut raw, _) = Raw::sign_in(&server, keys).await;
            raw.show(PresenceState::Online).await;
            assert_eq!(raw.deaf().close_code().await, Some(4011));
            monotonic()
        },
        async {
            bobs.until_shown(keys, PresenceState::Online).await;
            bobs.until_shown(keys, PresenceState::Offline).await;
            monotonic()
        }
    );
    println!("told {:?} after the discovery", told.saturating_duration_since(found_dead));
}

#[tokio::test]
async fn who_changes_all_the_time_is_told_now_and_then_and_as_it_ended() {
    const CHANGES: usize = 3000;
    let server = TestServer::start().await;
    let (mut ada, mut bob, _eve) = three(&server).await;
    let began = monotonic();
    for _ in 0..CHANGES / 30 {
        let mut asked = Vec::new();
        for round in 0..30 {
            let state = if round % 2 == 0 { PresenceState::Away } else { PresenceState::Online };
            asked.push(ada.person.raw.send(SetPresenceRequest { state: state.into() }).await);
        }
        for id in asked {
            ada.person.raw.answer::<SetPresenceRequest>(id).await.expect("shown");
        }
    }
    // Everything before this has been told when this is.
    drop(ada.person.raw);
    let mut pushes = 0_u64;
    loop {
        pushes += 1;
        let told = bob.person.raw.next_presence().await;
        if told[0].state() == PresenceState::Offline {
            break;
        }
    }
    // Four a second at most, however slow the machine is.
    let most = 4 * (began.elapsed().as_secs() + 1) + 1;
    assert!(pushes <= most, "{pushes} pushes for {CHANGES} changes in {:?}", began.elapsed());
}

async fn who_comes_back_at_once_was_never_gone(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob, eve) = three(&server).await;
    // The second one supersedes the first, the third comes after the second has gone.
    for hangs_up in [false, true] {
        loop {
            let left = monotonic();
            let mut before = None;
            if hangs_up {
                ada.person.raw.hang_up().await;
                (ada.person.raw, _) = Raw::sign_in(&server, &ada.person.keys).await;
            } else {
                let (again, _) = Raw::sign_in(&server, &ada.person.keys).await;
                before = Some(std::mem::replace(&mut ada.person.raw, again));
            }
            ada.person.raw.show(PresenceState::Online).await;
            drop(before);
            if left.elapsed() < PRESENCE_GRACE {
                break;
            }
            // This machine was too slow to be back at once: what Bob was told of it is passed over.
            ada.person.raw.show(PresenceState::Away).await;
            bob.person.raw.until_shown(&ada.person.keys, PresenceState::Away).await;
            ada.person.raw.show(PresenceState::Online).await;
            bob.person.raw.until_shown(&ada.person.keys, PresenceState::Online).await;
        }
    }
    // Eve goes later than Ada did, and is told to be gone: Ada never was.
    eve.person.raw.hang_up().await;
    let told = bob.person.raw.next_presence().await;
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0].account_id[..], told[0].state()), (&eve.person.keys.account[..], PresenceState::Offline));
}

#[tokio::test]
async fn devices_of_a_person_are_one() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, _eve) = three(&server).await;
    let keys = ada.person.keys.clone();
    let laptop = second_device(&server, &mut ada.person).await;
    let (mut laptop, _) = Raw::sign_in(&server, &laptop).await;
    laptop.show(PresenceState::Away).await;
    ada.person.raw.show(PresenceState::Away).await;
    bob.person.raw.until_shown(&keys, PresenceState::Away).await;
    laptop.show(PresenceState::Online).await;
    bob.person.raw.until_shown(&keys, PresenceState::Online).await;
    laptop.hang_up().await;
    bob.person.raw.until_shown(&keys, PresenceState::Away).await;
    ada.person.raw.hang_up().await;
    bob.person.raw.until_shown(&keys, PresenceState::Offline).await;
}

#[tokio::test]
async fn who_hides_stays_hidden_over_reconnections_and_restarts() {
    let mut server = TestServer::start().await;
    let (mut ada, mut bob, mut eve) = three(&server).await;
    ada.person.raw.call(privacy(Some(true), None)).await.expect("hidden");
    bob.person.raw.until_shown(&ada.person.keys, PresenceState::Offline).await;
    for restart in [false, true] {
        if restart {
            server.kill().await;
            server.restart().await;
            (eve.person.raw, _) = Raw::sign_in(&server, &eve.person.keys).await;
            (bob.person.raw, _) = Raw::sign_in(&server, &bob.person.keys).await;
            assert!(bob.person.raw.watch(&[&ada.person.keys]).await.is_empty());
            bob.person.raw.watch(&[&ada.person.keys, &eve.person.keys]).await;
        }
        (ada.person.raw, _) = Raw::sign_in(&server, &ada.person.keys).await;
        ada.person.raw.show(PresenceState::Online).await;
        let state = if restart { PresenceState::Online } else { PresenceState::Away };
        eve.person.raw.show(state).await;
        let told = bob.person.raw.next_presence().await;
        assert_eq!((told.len(), &told[0].account_id[..]), (1, &eve.person.keys.account[..]), "nothing of Ada");
    }
}

#[tokio::test]
async fn who_parts_is_told_nothing_more_and_is_nobody_any_more() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, mut eve) = three(&server).await;
    eve.person.raw.watch(&[&ada.person.keys]).await;
    // Bob watches Eve, and Eve watches Ada, when a commit removes Eve.
    let leaf = Member::leaf(&ada.group, &eve.person.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;
    let told = bob.person.raw.until_shown(&eve.person.keys, PresenceState::Offline).await;
    assert_eq!(told.last_seen_ms, 0, "as if nobody were there");
    eve.person.raw.until_shown(&ada.person.keys, PresenceState::Offline).await;
    assert!(eve.person.raw.watch(&[&ada.person.keys, &bob.person.keys]).await.is_empty(), "asking again is of no use");
    // Asking to leave is enough.
    bob.person.raw.call(LeaveGroupRequest { group_id: ada.group.group_id().to_vec().into() }).await.expect("left");
    bob.person.raw.until_shown(&ada.person.keys, PresenceState::Offline).await;
}

#[tokio::test]
async fn last_seen_outlives_the_server() {
    let mut server = TestServer::start().await;
    let (ada, mut bob, _eve) = three(&server).await;
    drop(ada.person.raw);
    let told = bob.person.raw.until_shown(&ada.person.keys, PresenceState::Offline).await;
    assert!(told.last_seen_ms > 0);
    assert_eq!(within("the end", server.terminate()).await, Some(0));
    server.restart().await;
    let (mut bob, _) = Raw::sign_in(&server, &bob.person.keys).await;
    let again = bob.watch(&[&ada.person.keys]).await;
    assert_eq!((again.len(), again[0].last_seen_ms), (1, told.last_seen_ms));
}
