//! `ReviveGroup`.

use std::time::Duration;

use bytes::Bytes;
use openmls::prelude::tls_codec::Serialize as _;
use sovereign::{clock::monotonic, limits::REVIVAL_WINDOW};
use sovereign_proto::{
    mls::state_tag,
    v1::{FailureCode, Position, Revival, ReviveGroupRequest, ReviveGroupResponse, SignInRequest, entry::Body},
};

use crate::harness::{
    Member, Raw, TestServer,
    scene::{Person, Seat, pair, send_request},
    within,
};

/// What this seat says of its group.
fn word(seat: &Seat) -> ReviveGroupRequest {
    let group = seat.group.public_group();
    let context = group.group_context().tls_serialize_detached().expect("it encodes");
    let tag = seat.group.confirmation_tag().tls_serialize_detached().expect("it encodes");
    ReviveGroupRequest {
        group_id: seat.group.group_id().to_vec().into(),
        epoch: seat.group.epoch().as_u64(),
        tag: Bytes::copy_from_slice(&state_tag(&context, &tag)),
        group_info: seat.person.member.group_info(&seat.group),
    }
}

async fn say(seat: &mut Seat) -> ReviveGroupResponse {
    let word = word(seat);
    seat.person.raw.call(word).await.unwrap_or_else(|failure| panic!("refused: {}", failure.message))
}

async fn again(server: &TestServer, seat: &mut Seat) {
    (seat.person.raw, _) = Raw::sign_in(server, &seat.person.keys).await;
    seat.person.raw.until_live().await;
}

/// A pair whose group has gone on by a commit since the backup that the server was restored from.
async fn restored(server: &mut TestServer) -> (Seat, Seat) {
    let (mut ada, mut bob) = pair(server).await;
    ada.person.send(&mut ada.group, "before").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "before");
    let backup = server.backup("backup").await;
    let bundle = ada.person.member.update(&mut ada.group);
    ada.person.submit(&mut ada.group, &bundle).await;
    ada.person.send(&mut ada.group, "after").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "after");
    server.kill().await;
    server.restore(&backup).await;
    again(server, &mut ada).await;
    again(server, &mut bob).await;
    (ada, bob)
}

#[tokio::test]
async fn a_group_goes_on_where_two_accounts_say_it_stands() {
    let mut server = TestServer::start().await;
    let (mut ada, mut bob) = restored(&mut server).await;
    let message = ada.person.member.message(&mut ada.group, "too early");
    let request = send_request(ada.group.group_id().as_slice(), message);
    assert_eq!(ada.person.raw.refused(request).await, FailureCode::Unavailable);
    assert_eq!(say(&mut ada).await.revival(), Revival::Waiting, "one is not enough");
    let told = say(&mut bob).await;
    let epoch = bob.group.epoch().as_u64();
    assert_eq!((told.revival(), told.epoch, told.revived_epoch), (Revival::GoOn, epoch, Some(epoch)));
    assert_eq!(say(&mut ada).await.revival(), Revival::GoOn);
    let sent = ada.person.send(&mut ada.group, "and on").await;
    assert!(sent.seq > 1 << 20, "no seq is given twice: {}", sent.seq);
    assert_eq!(bob.person.next_text(&mut bob.group).await, "and on");
    let bundle = ada.person.member.update(&mut ada.group);
    ada.person.submit(&mut ada.group, &bundle).await;
    let told = say(&mut bob).await;
    let later = ada.group.epoch().as_u64();
    assert_eq!((told.revival(), told.epoch, told.revived_epoch), (Revival::GoOn, later, Some(epoch)), "where it went on from");
}

#[tokio::test]
async fn nobody_makes_a_state_up_and_strangers_learn_nothing() {
    let mut server = TestServer::start().await;
    let (mut ada, mut bob) = restored(&mut server).await;
    let mut eve = Person::new(&server, "eve").await;
    assert_eq!(eve.raw.refused(word(&ada)).await, FailureCode::NotFound);
    assert_eq!(bob.person.raw.refused(word(&ada)).await, FailureCode::InvalidArgument, "another one's signature");
    let wrong_tag = ReviveGroupRequest { tag: vec![7; 32].into(), ..word(&ada) };
    assert_eq!(ada.person.raw.refused(wrong_tag).await, FailureCode::InvalidArgument);
    let wrong_epoch = ReviveGroupRequest { epoch: 77, ..word(&ada) };
    assert_eq!(ada.person.raw.refused(wrong_epoch).await, FailureCode::InvalidArgument);
    let short = ReviveGroupRequest { tag: vec![7; 31].into(), ..word(&ada) };
    assert_eq!(ada.person.raw.refused(short).await, FailureCode::InvalidArgument);
    // A state of Ada's own making, one epoch on: Bob's word is about another one.
    let bundle = ada.person.member.update(&mut ada.group);
    drop(bundle);
    ada.person.member.merge(&mut ada.group);
    assert_eq!(say(&mut ada).await.revival(), Revival::Waiting);
    let told = say(&mut bob).await.revival();
    assert!(matches!(told, Revival::Waiting | Revival::Reset), "they do not agree: {told:?}");
}

/// Applies what has come, up to a commit.
async fn catch_up(seat: &mut Seat) {
    let (id, before) = (seat.group.group_id().to_vec(), seat.group.epoch());
    while seat.group.epoch() == before {
        for entry in seat.person.raw.entries(&id).await {
            seat.person.member.apply(&mut seat.group, &entry);
        }
    }
}

/// Says it again and again, as clients do, until it is decided.
async fn until_decided(seat: &mut Seat) -> Revival {
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    within("a decision", async {
        loop {
            ticks.tick().await;
            let told = say(seat).await.revival();
            if told != Revival::Waiting {
                return told;
            }
        }
    })
    .await
}

#[tokio::test]
async fn who_was_removed_and_comes_first_is_out_when_two_others_bring_the_newer_state() {
    let mut server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let (mut mallory, mut eve) = (Person::new(&server, "mallory").await, Person::new(&server, "eve").await);
    ada.person.add(&mut ada.group, &[&mallory.keys, &eve.keys]).await;
    let (mallorys, eves) = (mallory.join().await, eve.join().await);
    catch_up(&mut bob).await;
    let (mut mallory, mut eve) = (Seat { person: mallory, group: mallorys }, Seat { person: eve, group: eves });
    let backup = server.backup("backup").await;
    let leaf = Member::leaf(&ada.group, &mallory.person.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;
    catch_up(&mut bob).await;
    server.kill().await;
    server.restore(&backup).await;

    // With Eve, who was away and has not heard of it.
    again(&server, &mut mallory).await;
    again(&server, &mut eve).await;
    let first = monotonic();
    assert_eq!(say(&mut mallory).await.revival(), Revival::Waiting);
    let told = say(&mut eve).await.revival();
    if first.elapsed() < REVIVAL_WINDOW {
        assert_eq!(told, Revival::Waiting, "the others may have a newer state");
    }
    assert_eq!(until_decided(&mut mallory).await, Revival::GoOn, "nobody else came");
    mallory.person.send(&mut mallory.group, "nobody is here").await;

    again(&server, &mut ada).await;
    again(&server, &mut bob).await;
    assert_eq!(say(&mut ada).await.revival(), Revival::Waiting, "one is not enough here either");
    assert_eq!(until_decided(&mut bob).await, Revival::GoOn);
    assert_eq!(say(&mut ada).await.revival(), Revival::GoOn);
    let message = mallory.person.member.message(&mut mallory.group, "still here?");
    let request = send_request(mallory.group.group_id().as_slice(), message);
    assert_eq!(mallory.person.raw.refused(request).await, FailureCode::NotFound, "out again");
    ada.person.send(&mut ada.group, "gone").await;
    assert_eq!(say(&mut eve).await.revival(), Revival::GoOn, "the log, and its gap, tell the rest");
}

#[tokio::test]
async fn who_had_read_all_and_is_out_by_a_restore_reads_on_when_it_is_added_again() {
    let mut server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut carol = Person::new(&server, "carol").await;
    ada.person.add(&mut ada.group, &[&carol.keys]).await;
    let id = carol.join().await.group_id().to_vec();
    catch_up(&mut bob).await;
    let backup = server.backup("backup").await;
    let leaf = Member::leaf(&ada.group, &carol.keys);
    let bundle = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &bundle).await;
    catch_up(&mut bob).await;
    server.kill().await;
    server.restore(&backup).await;

    // To the end of the gap, where her window is going to end. What is stated at a sign-in is stored.
    (carol.raw, _) = Raw::sign_in(&server, &carol.keys).await;
    let end = match carol.raw.entries(&id).await.pop().and_then(|entry| entry.body) {
        Some(Body::Skipped(skipped)) => skipped.to,
        _ => panic!("not the gap"),
    };
    carol.raw = Raw::connect(&server).await;
    let positions = vec![Position { group_id: id.clone().into(), seq: end }];
    let sign_in = SignInRequest { positions, ..carol.raw.sign_in_request(&carol.keys) };
    carol.raw.call(sign_in).await.unwrap_or_else(|failure| panic!("refused: {}", failure.message));
    carol.member = Member::new(&carol.keys);
    carol.publish(3).await;

    again(&server, &mut ada).await;
    again(&server, &mut bob).await;
    assert_eq!(say(&mut ada).await.revival(), Revival::Waiting);
    assert_eq!(until_decided(&mut bob).await, Revival::GoOn, "Carol does not speak");
    assert_eq!(say(&mut ada).await.revival(), Revival::GoOn);
    ada.person.add(&mut ada.group, &[&carol.keys]).await;
    let mut carols = carol.join().await;
    ada.person.send(&mut ada.group, "again").await;
    assert_eq!(carol.next_text(&mut carols).await, "again");
}
