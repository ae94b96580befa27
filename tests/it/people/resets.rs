//! A member's commit is one that nobody can process: the group freezes, somebody resets it, and everybody goes on.

use bytes::Bytes;
use sovereign_client::{Client, Error, GroupState, Policy};
use sovereign_proto::v1::{ConfirmEpochRequest, confirm_epoch_request::Verdict, submit_commit_response::Outcome};

use crate::harness::{
    Home, TestServer, eventually,
    scene::Person,
    sov::{members, said, text},
};

/// Ada and Bob, both away, in a group that Mallory has wrecked; Eve has said so already.
async fn wrecked(server: &TestServer) -> (Home, Home, [u8; 32]) {
    let (ada, bob) = (Home::join(server, "ada").await, Home::join(server, "bob").await);
    let (mut mallory, mut eve) = (Person::new(server, "mallory").await, Person::new(server, "eve").await);
    let (a, b) = (ada.client().await, bob.client().await);
    let others = ["bob", "mallory", "eve"].map(str::to_owned);
    let group = a.create_group("Tea", &others, Policy::Equal).await.expect("a group");
    a.send(group, "before").await.expect("accepted");
    eventually("the message", || async { (!b.unlistened(1).await.expect("an inbox").is_empty()).then_some(()) }).await;
    let (mut mallorys, _eves) = (mallory.join().await, eve.join().await);
    for client in [a, b] {
        client.close().await;
    }
    let mut bundle = mallory.member.update(&mut mallorys);
    // The membership tag, which the server cannot check.
    let mut commit = bundle.commit.to_vec();
    *commit.last_mut().expect("a commit has bytes") ^= 1;
    bundle.commit = commit.into();
    let Some(Outcome::Accepted(accepted)) = mallory.try_submit(&mallorys, &bundle).await else { panic!("no race here") };
    let group_id = Bytes::copy_from_slice(&group);
    let nack = ConfirmEpochRequest { group_id, epoch: accepted.epoch, verdict: Some(Verdict::Nack(true)) };
    assert!(!eve.raw.call(nack).await.expect("noted").frozen, "a lone nack never freezes");
    (ada, bob, group)
}

async fn until_frozen(client: &Client, group: [u8; 32]) {
    eventually("the group to freeze", || async {
        let groups = client.groups().await.expect("groups");
        groups.iter().any(|info| info.id == group && info.state == GroupState::Frozen).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrecked_group_is_reset_and_the_conversation_goes_on() {
    let server = TestServer::start().await;
    let (ada, bob, old) = wrecked(&server).await;
    let old = data_encoding::HEXLOWER.encode(&old);
    let mut adas = ada.listen().await;
    let alarm = adas.event("alarm").await;
    assert!(text(&alarm["text"]).contains("frozen"), "{alarm}");
    let refused = ada.try_sov(&["send", "--group", "Tea", "is anybody here?"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.error.contains("resets it"), "{refused:?}");

    let done = ada.sov(&["group", "reset", "Tea"]).await;
    let new = text(&done[0]["group"]);
    assert_ne!(new, old);
    let broken = adas.event("reset").await;
    assert_eq!((text(&broken["group"]), text(&broken["successor"])), (old.clone(), new.clone()));

    let mut bobs = bob.listen().await;
    assert_eq!(bobs.event("reset").await["successor"], new.as_str());
    let groups = bob.groups().await;
    assert_eq!(groups.len(), 1, "one conversation: {groups:?}");
    assert_eq!((text(&groups[0]["group"]), text(&groups[0]["name"])), (new.clone(), "Tea".to_owned()));
    assert_eq!(members(&groups[0]), ["ada", "bob", "eve", "mallory"]);
    let sent = bob.sov(&["send", "--group", &old, "after"]).await;
    assert_eq!(sent[0]["group"], new.as_str(), "what is sent to the old group goes to the new one");
    assert_eq!(adas.message().await, ("bob".to_owned(), "after".to_owned()));
    let history = ada.sov(&["history", "Tea"]).await;
    assert_eq!(history[0]["text"], "before");
    assert_eq!(history[1]["event"], "reset", "the person sees the break");
    assert_eq!(said(&history[2]), ("bob".to_owned(), "after".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_reset_at_once_go_on_in_one_group() {
    let server = TestServer::start().await;
    let (ada, bob, old) = wrecked(&server).await;
    let a = ada.client().await;
    until_frozen(&a, old).await;
    let b = bob.client().await;
    until_frozen(&b, old).await;
    assert!(matches!(b.send(old, "hello?").await, Err(Error::GroupClosed(_))));
    let (first, second) = tokio::join!(a.reset(old), b.reset(old));
    let new = first.expect("reset");
    assert_eq!(second, Ok(new));
    for client in [&a, &b] {
        eventually("the successor", || async {
            let groups = client.groups().await.expect("groups");
            (groups.len() == 1 && groups[0].former == [old] && groups[0].state == GroupState::Active).then_some(())
        })
        .await;
    }
    assert_eq!(b.send(old, "one way").await.expect("accepted").group, new);
    a.send(new, "or the other").await.expect("accepted");
    eventually("all three", || async { (a.history(new, 10).await.expect("a history").len() == 3).then_some(()) }).await;
}
