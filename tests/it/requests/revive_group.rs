//! `ReviveGroup`.

use bytes::Bytes;
use openmls::prelude::tls_codec::Serialize as _;
use sovereign_proto::{
    mls::state_tag,
    v1::{FailureCode, Revival, ReviveGroupRequest, ReviveGroupResponse},
};

use crate::harness::{
    Raw, TestServer,
    scene::{Person, Seat, pair, send_request},
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
    assert_eq!((told.revival(), told.epoch), (Revival::GoOn, bob.group.epoch().as_u64()));
    assert_eq!(say(&mut ada).await.revival(), Revival::GoOn);
    let sent = ada.person.send(&mut ada.group, "and on").await;
    assert!(sent.seq > 1 << 20, "no seq is given twice: {}", sent.seq);
    assert_eq!(bob.person.next_text(&mut bob.group).await, "and on");
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
