//! `SubmitCommit`.

use bytes::Bytes;
use sovereign_proto::{
    signed::PURPOSE_CHANGE_PASSWORD,
    v1::{
        ChangePasswordRequest, FailureCode, GetGroupInfoRequest, PublishManifestRequest, entry::Body,
        submit_commit_response::Outcome,
    },
};

use super::sign_in_with_password::enrol;
use crate::harness::{
    Member, Raw, TestServer,
    raw::Keys,
    scene::{Person, Seat, pair, send_request},
};

#[tokio::test]
async fn a_bundle_brings_the_newcomer_its_welcome_and_everybody_the_commit() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let mut eves = eve.join().await;
    assert_eq!(eves.epoch(), ada.group.epoch());
    ada.person.send(&mut ada.group, "hello both").await;
    assert_eq!(eve.next_text(&mut eves).await, "hello both");
    assert_eq!(bob.person.next_text(&mut bob.group).await, "hello both");
    assert_eq!(eves.epoch_authenticator().as_slice(), bob.group.epoch_authenticator().as_slice());
}

#[tokio::test]
async fn a_message_of_the_new_epoch_travels_in_the_bundle() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let bundle = ada.person.member.update(&mut ada.group);
    let mut request = bundle.request(ada.group.group_id().as_slice());
    ada.person.member.merge(&mut ada.group);
    request.messages.push(ada.person.member.message(&mut ada.group, "in the new epoch"));
    ada.person.raw.call(request).await.expect("accepted");
    assert_eq!(bob.person.next_text(&mut bob.group).await, "in the new epoch");
}

#[tokio::test]
async fn of_two_who_race_one_wins_and_the_other_learns_what_it_missed() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let (adas, bobs) = (ada.person.member.update(&mut ada.group), bob.person.member.update(&mut bob.group));
    let id = ada.group.group_id().to_vec();
    let (one, two) = tokio::join!(ada.person.raw.call(adas.request(&id)), bob.person.raw.call(bobs.request(&id)));
    let outcomes = [one, two].map(|answer| answer.expect("both are answered").outcome.expect("with an outcome"));
    let accepted = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(_))).count();
    assert_eq!(accepted, 1);
    let winner_is_ada = matches!(outcomes[0], Outcome::Accepted(_));
    let (winner, loser): (&mut Seat, &mut Seat) = if winner_is_ada { (&mut ada, &mut bob) } else { (&mut bob, &mut ada) };
    winner.person.member.merge(&mut winner.group);
    let Some(Outcome::Rejected(rejected)) = outcomes.into_iter().find(|outcome| matches!(outcome, Outcome::Rejected(_))) else {
        panic!("the loser is rejected")
    };
    let stale = rejected.stale.expect("with what it missed");
    assert_eq!(stale.current_epoch, winner.group.epoch().as_u64());
    loser.clear();
    let commits = stale.entries.iter().filter(|entry| matches!(entry.body, Some(Body::Commit(_))));
    for entry in commits {
        loser.person.member.apply(&mut loser.group, entry);
    }
    assert_eq!(loser.group.epoch_authenticator().as_slice(), winner.group.epoch_authenticator().as_slice());
}

#[tokio::test]
async fn the_same_bundle_again_is_answered_as_the_first_time() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = pair(&server).await;
    let bundle = ada.person.member.update(&mut ada.group);
    let request = bundle.request(ada.group.group_id().as_slice());
    let mut answers = Vec::new();
    for _ in 0..3 {
        let Some(Outcome::Accepted(accepted)) = ada.person.raw.call(request.clone()).await.expect("answered").outcome else {
            panic!("not accepted")
        };
        answers.push((accepted.seq, accepted.epoch, accepted.duplicate));
    }
    let (seq, epoch, _) = answers[0];
    assert_eq!(answers, [(seq, epoch, false), (seq, epoch, true), (seq, epoch, true)]);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_bundle_the_epoch_is_not_consumed() {
    let server = TestServer::start().await;
    let (mut ada, _bob) = pair(&server).await;
    let (eve, mut stranger) = (Person::new(&server, "eve").await, Person::new(&server, "mallory").await);
    let id = ada.group.group_id().to_vec();
    let unclaimed = [eve.member.key_package()];
    let bundle = ada.person.member.add(&mut ada.group, &unclaimed);
    assert_eq!(ada.person.raw.refused(bundle.request(&id)).await, FailureCode::InvalidArgument, "nobody claimed this package");
    ada.clear();

    let claimed = ada.person.claim(&ada.group, &[&eve.keys]).await;
    let bundle = ada.person.member.add(&mut ada.group, &claimed);
    let good = bundle.request(&id);
    let flip = |bytes: &Bytes, at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        Bytes::from(bytes)
    };
    let mut bad = Vec::new();
    // The membership tag at the end is the one part that only members can check.
    for at in (0..good.commit.len() - 33).step_by(37) {
        bad.push(("commit flipped", {
            let mut request = good.clone();
            request.commit = flip(&good.commit, at);
            request
        }));
    }
    for at in (0..good.group_info.len()).step_by(53) {
        bad.push(("GroupInfo flipped", {
            let mut request = good.clone();
            request.group_info = flip(&good.group_info, at);
            request
        }));
    }
    bad.push(("no Welcome", {
        let mut request = good.clone();
        request.welcome = Bytes::new();
        request
    }));
    bad.push(("no GroupInfo", {
        let mut request = good.clone();
        request.group_info = Bytes::new();
        request
    }));
    bad.push(("an old GroupInfo", {
        let mut request = good.clone();
        request.group_info = ada.person.member.group_info(&ada.group);
        request
    }));
    bad.push(("trailing bytes", {
        let mut request = good.clone();
        request.commit = [good.commit.as_ref(), &[0]].concat().into();
        request
    }));
    let mut taken = Vec::new();
    for (what, request) in bad {
        match ada.person.raw.call(request).await {
            Err(failure) => assert!(
                matches!(failure.code(), FailureCode::InvalidArgument | FailureCode::Conflict | FailureCode::NotFound),
                "{what}: {:?} {}",
                failure.code(),
                failure.message
            ),
            Ok(response) => {
                // What PublicGroup cannot see (the tags only members can check) would be taken; nothing else may be.
                taken.push(what);
                assert!(matches!(response.outcome, Some(Outcome::Rejected(_))), "{what} was accepted");
            }
        }
    }
    assert!(taken.len() <= 2, "an epoch that is flipped may read as stale, nothing else: {taken:?}");
    assert_eq!(stranger.raw.refused(good.clone()).await, FailureCode::NotFound, "a stranger learns nothing");
    let accepted = ada.person.raw.call(good).await.expect("the good one still goes").outcome;
    assert!(matches!(accepted, Some(Outcome::Accepted(_))));
}

#[tokio::test]
async fn an_old_epoch_is_stale_for_members_and_not_found_for_strangers() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut stranger = Person::new(&server, "mallory").await;
    let id = ada.group.group_id().to_vec();
    let late = bob.person.member.update(&mut bob.group);
    let bundle = ada.person.member.update(&mut ada.group);
    ada.person.submit(&mut ada.group, &bundle).await;
    let outcome = bob.person.raw.call(late.request(&id)).await.expect("answered").outcome;
    assert!(matches!(outcome, Some(Outcome::Rejected(_))));
    assert_eq!(stranger.raw.refused(late.request(&id)).await, FailureCode::NotFound);
    let message = ada.person.member.message(&mut ada.group, "x");
    assert_eq!(stranger.raw.refused(send_request(&id, message)).await, FailureCode::NotFound);
}

#[tokio::test]
async fn a_second_device_joins_by_an_external_commit_and_nobody_else_does() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut stranger = Person::new(&server, "mallory").await;
    let id = ada.group.group_id().to_vec();
    let (second, mut raw) = second_device(&server, &mut ada).await;
    let info = raw.call(GetGroupInfoRequest { group_id: id.clone().into() }).await.expect("a GroupInfo");
    let member = Member::new(&second);
    let (mut group, bundle) = member.join_externally(&info.group_info);

    let foreign = Member::new(&stranger.keys).join_externally(&info.group_info).1;
    assert_eq!(stranger.raw.refused(foreign.request(&id)).await, FailureCode::NotFound);

    let Some(Outcome::Accepted(accepted)) = raw.call(bundle.request(&id)).await.expect("answered").outcome else {
        panic!("not accepted")
    };
    assert_eq!(accepted.running_hash.len(), 32, "the joiner's window starts behind its commit");
    let Some(Outcome::Accepted(again)) = raw.call(bundle.request(&id)).await.expect("answered").outcome else {
        panic!("not accepted")
    };
    assert!(again.duplicate && again.running_hash == accepted.running_hash, "a lost answer is asked for again");
    ada.person.raw.call(GetGroupInfoRequest { group_id: id.clone().into() }).await.expect("a GroupInfo");
    while bob.group.epoch() < group.epoch() {
        for entry in bob.person.raw.entries(&id).await {
            bob.person.member.apply(&mut bob.group, &entry);
        }
    }
    bob.person.send(&mut bob.group, "all of your devices").await;
    let entries = raw.entries(&id).await;
    assert_eq!(entries[0].seq, accepted.seq + 1);
    assert_eq!(member.apply(&mut group, &entries[0]).as_deref(), Some("all of your devices"));
}

/// A further device of Ada's, approved and live.
async fn second_device(server: &TestServer, ada: &mut Seat) -> (Keys, Raw) {
    let keys = &ada.person.keys;
    let proof = Some(keys.proof(&ada.person.raw.hello, keys.account, PURPOSE_CHANGE_PASSWORD));
    let request = ChangePasswordRequest { old_password: String::new(), new_password: "a password".into(), proof };
    ada.person.raw.call(request).await.expect("a password is set");
    let second = keys.further_device();
    let mut raw = Raw::connect(server).await;
    let request = enrol(&raw, &second, "ada", "a password");
    raw.call(request).await.expect("enrolled");
    let manifest = Some(keys.next_manifest(&keys.genesis(), &[keys, &second]));
    ada.person.raw.call(PublishManifestRequest { manifest }).await.expect("approved");
    raw.ended().await;
    let (mut raw, _) = Raw::sign_in(server, &second).await;
    raw.until_live().await;
    (second, raw)
}
