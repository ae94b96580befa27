//! Commits, proposals and messages that say another epoch, another group or another sender than is right: refused, in a way
//! that tells a stranger nothing, and none of it uses up the epoch.

use bytes::Bytes;
use openmls::prelude::OpenMlsProvider as _;
use sovereign::entropy;
use sovereign_proto::v1::{
    Failure, FailureCode, OutgoingMessage, ProposeRequest, SubmitCommitRequest, SubmitCommitResponse,
    submit_commit_response::Outcome,
};

use super::authorisation::Books;
use crate::harness::{
    TestServer,
    member::{epoch_of, wire},
    scene::{Person, Seat, pair, send_request},
};

/// Where the epoch stands in an `MLSMessage` of either form: behind version, wire format, and a group id of 32 bytes
/// (RFC 9420, sections 6 and 6.2).
const EPOCH: std::ops::Range<usize> = 37..45;
/// Where the group id stands.
const GROUP_ID: std::ops::Range<usize> = 5..37;

fn with_epoch(message: &Bytes, epoch: u64) -> Bytes {
    let mut bytes = message.to_vec();
    bytes[EPOCH].copy_from_slice(&epoch.to_be_bytes());
    assert_eq!(epoch_of(&bytes), epoch, "the epoch stands elsewhere");
    bytes.into()
}

fn with_group(message: &Bytes, group_id: &[u8]) -> Bytes {
    let mut bytes = message.to_vec();
    bytes[GROUP_ID].copy_from_slice(group_id);
    bytes.into()
}

/// What a commit is answered: taken, lost, or refused.
fn told(answer: Result<SubmitCommitResponse, Failure>) -> Result<&'static str, FailureCode> {
    match answer {
        Ok(SubmitCommitResponse { outcome: Some(Outcome::Accepted(_)) }) => Ok("taken"),
        Ok(_) => Ok("stale"),
        Err(failure) => Err(failure.code()),
    }
}

/// Ada and Bob more epochs on than messages may be late, and Mallory, who has a group of her own.
async fn scene(server: &TestServer) -> (Seat, Seat, Person, Vec<u8>) {
    let (mut ada, bob) = pair(server).await;
    for _ in 0..5 {
        let bundle = ada.person.member.update(&mut ada.group);
        ada.person.submit(&mut ada.group, &bundle).await;
    }
    let mut mallory = Person::new(server, "mallory").await;
    let own = mallory.create_group().await.group_id().to_vec();
    (ada, bob, mallory, own)
}

#[tokio::test]
async fn a_bundle_of_another_epoch_group_or_sender_is_refused_and_the_good_one_still_goes() {
    use FailureCode::{Conflict, InvalidArgument, NotFound};
    let server = TestServer::start().await;
    let (mut ada, mut bob, mut mallory, own) = scene(&server).await;
    let id = ada.group.group_id().to_vec();
    let epoch = ada.group.epoch().as_u64();
    let mallorys = {
        let (member, mut group) = (&mallory.member, mallory.member.create(&[7; 32]));
        member.update(&mut group)
    };
    let old_info = bob.person.member.group_info(&bob.group);
    let late = bob.person.member.update(&mut bob.group);
    let good = ada.person.member.update(&mut ada.group).request(&id);
    let change = |change: &dyn Fn(&mut SubmitCommitRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let rows: Vec<(&str, SubmitCommitRequest, Result<&str, FailureCode>)> = vec![
        ("an epoch that is over", late.request(&id), Ok("stale")),
        ("the epoch before", change(&|r| r.commit = with_epoch(&good.commit, epoch - 1)), Ok("stale")),
        ("epoch 0", change(&|r| r.commit = with_epoch(&good.commit, 0)), Ok("stale")),
        ("the epoch behind", change(&|r| r.commit = with_epoch(&good.commit, epoch + 1)), Err(Conflict)),
        ("epoch 2^63", change(&|r| r.commit = with_epoch(&good.commit, 1 << 63)), Err(Conflict)),
        ("epoch 2^64 - 1", change(&|r| r.commit = with_epoch(&good.commit, u64::MAX)), Err(Conflict)),
        ("a commit of another group", change(&|r| r.commit = mallorys.commit.clone()), Err(InvalidArgument)),
        ("a commit that names another group", change(&|r| r.commit = with_group(&good.commit, &own)), Err(InvalidArgument)),
        ("a GroupInfo of another group", change(&|r| r.group_info = mallorys.group_info.clone()), Err(InvalidArgument)),
        ("a GroupInfo of an old epoch", change(&|r| r.group_info = old_info.clone()), Err(InvalidArgument)),
        ("a GroupInfo in the commit's place", change(&|r| r.commit = good.group_info.clone()), Err(InvalidArgument)),
        ("the commit in the GroupInfo's place", change(&|r| r.group_info = good.commit.clone()), Err(InvalidArgument)),
        ("a Welcome for nobody", change(&|r| r.welcome = good.commit.clone()), Err(InvalidArgument)),
        ("a commit and nothing else", change(&|r| r.group_info = Bytes::new()), Err(InvalidArgument)),
        ("nothing", change(&|r| r.commit = Bytes::new()), Err(InvalidArgument)),
        ("a group id of 31 bytes", change(&|r| r.group_id = good.group_id.slice(..31)), Err(InvalidArgument)),
        ("somebody's group", change(&|r| r.group_id = own.clone().into()), Err(NotFound)),
        ("nine messages", change(&|r| r.messages = vec![OutgoingMessage::default(); 9]), Err(FailureCode::TooLarge)),
        ("a message without an id", change(&|r| r.messages = vec![OutgoingMessage::default()]), Err(InvalidArgument)),
    ];
    let books = Books::open(&server);
    let before = books.copy();
    let mut wrong = Vec::new();
    for (what, request, wanted) in rows {
        let by_a_member = told(ada.person.raw.call(request.clone()).await);
        if by_a_member != wanted {
            wrong.push(format!("{what}: {by_a_member:?} instead of {wanted:?}"));
        }
        // Whoever is in no group is told the same whatever is wrong, unless the request itself has no form.
        let by_a_stranger = told(mallory.raw.call(request).await);
        let formless = matches!(what, "a group id of 31 bytes");
        if by_a_stranger != Err(if formless { InvalidArgument } else { NotFound }) && what != "somebody's group" {
            wrong.push(format!("{what} by a stranger: {by_a_stranger:?}"));
        }
    }
    // Of another member's leaf: Bob brings Ada's commit.
    let by_bob = told(bob.person.raw.call(good.clone()).await);
    assert_eq!(by_bob, Err(InvalidArgument), "a commit is its committer's");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(before.differences(&books.copy()), Vec::<String>::new(), "nothing of it is kept");
    assert_eq!(told(ada.person.raw.call(good.clone()).await), Ok("taken"), "the epoch was not used up");
    assert_eq!(told(ada.person.raw.call(good).await), Ok("taken"), "and the same again is the same");
}

#[tokio::test]
async fn messages_and_proposals_of_another_epoch_or_group_are_refused_and_leave_nothing() {
    use FailureCode::{Conflict, InvalidArgument, NotFound, StaleEpoch};
    let server = TestServer::start().await;
    let (mut ada, _bob, mut mallory, own) = scene(&server).await;
    let id = ada.group.group_id().to_vec();
    let epoch = ada.group.epoch().as_u64();
    let message = ada.person.member.message(&mut ada.group, "hello");
    let leave = ada.group.leave_group(&ada.person.member.provider, &ada.person.member.signer).expect("a proposal");
    let leave = wire(&leave);
    ada.group.clear_pending_proposals(ada.person.member.provider.storage()).expect("it is dropped");
    let books = Books::open(&server);
    let before = books.copy();
    let mut wrong = Vec::new();
    let mut check = |what: String, code: Option<FailureCode>, wanted: FailureCode| {
        if code != Some(wanted) {
            wrong.push(format!("{what}: {code:?} instead of {wanted:?}"));
        }
    };
    for (said, wanted) in [(0, StaleEpoch), (epoch + 1, Conflict), (1 << 63, Conflict), (u64::MAX, Conflict)] {
        let ciphertext = with_epoch(&message.ciphertext, said);
        let client_id = entropy::random::<16>().to_vec().into();
        let request = send_request(&id, OutgoingMessage { client_id, ciphertext, ..message.clone() });
        check(format!("a message of epoch {said}"), ada.person.raw.call(request.clone()).await.err().map(|f| f.code()), wanted);
        check(format!("a stranger's message of epoch {said}"), mallory.raw.call(request).await.err().map(|f| f.code()), NotFound);
        let request = ProposeRequest { group_id: id.clone().into(), proposal: with_epoch(&leave, said) };
        // What a proposal of the future is built on is not there to be checked.
        let code = ada.person.raw.call(request.clone()).await.err().map(|f| f.code());
        let wanted = if code == Some(InvalidArgument) && wanted == Conflict { InvalidArgument } else { wanted };
        check(format!("a proposal of epoch {said}"), code, wanted);
        check(
            format!("a stranger's proposal of epoch {said}"),
            mallory.raw.call(request).await.err().map(|f| f.code()),
            NotFound,
        );
    }
    for (what, ciphertext) in [
        ("a proposal as a message", leave.clone()),
        ("a message that names another group", with_group(&message.ciphertext, &own)),
        ("half a message", message.ciphertext.slice(..message.ciphertext.len() / 2)),
        ("nothing", Bytes::new()),
    ] {
        let request = send_request(&id, OutgoingMessage { ciphertext, ..message.clone() });
        check(what.to_owned(), ada.person.raw.call(request).await.err().map(|f| f.code()), InvalidArgument);
    }
    for (what, proposal) in [
        ("a message as a proposal", message.ciphertext.clone()),
        ("half a proposal", leave.slice(..60)),
        ("nothing", Bytes::new()),
    ] {
        let request = ProposeRequest { group_id: id.clone().into(), proposal };
        check(what.to_owned(), ada.person.raw.call(request).await.err().map(|f| f.code()), InvalidArgument);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(before.differences(&books.copy()), Vec::<String>::new(), "nothing of it is kept");
    ada.person.raw.call(send_request(&id, message)).await.expect("the good one goes");
}
