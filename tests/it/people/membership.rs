//! Who reads what: up to a removal, from an addition on, nothing between.

use sovereign_client::{Client, Error, ErrorClass, GroupState, Policy};

use crate::harness::{Home, TestServer, eventually};

/// A server with Ada, Bob and Carol in a group; Bob is closed.
async fn three(server: &TestServer) -> ([Home; 3], Client, Client, [u8; 32]) {
    let homes = [Home::join(server, "ada").await, Home::join(server, "bob").await, Home::join(server, "carol").await];
    let (ada, bob, carol) = (homes[0].client().await, homes[1].client().await, homes[2].client().await);
    let group = ada.create_group("Three", &["bob".to_owned(), "carol".to_owned()], Policy::Equal).await.expect("a group");
    for client in [&bob, &carol] {
        eventually("the group", || async { client.epoch_authenticator(group).await.ok() }).await;
    }
    bob.close().await;
    (homes, ada, carol, group)
}

/// The texts of a group once this one stands there.
async fn texts_until(client: &Client, group: [u8; 32], last: &str) -> Vec<String> {
    eventually(last, || async {
        let history = client.history(group, 100).await.ok()?;
        let texts: Vec<String> = history.into_iter().map(|message| message.text).collect();
        texts.iter().any(|text| text == last).then_some(texts)
    })
    .await
}

async fn state(client: &Client, group: [u8; 32]) -> Option<GroupState> {
    let groups = client.groups().await.expect("groups");
    groups.into_iter().find(|known| known.id == group).map(|known| known.state)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_member_gets_exactly_up_to_the_removal() {
    let server = TestServer::start().await;
    let (homes, ada, carol, group) = three(&server).await;
    ada.send(group, "before").await.expect("accepted");
    carol.send(group, "also before").await.expect("accepted");
    ada.remove(group, &["bob".to_owned()]).await.expect("removed");
    ada.send(group, "after").await.expect("accepted");

    let bob = homes[1].client().await;
    eventually("the removal", || async { (state(&bob, group).await == Some(GroupState::Left)).then_some(()) }).await;
    let texts: Vec<String> = bob.unlistened(100).await.expect("an inbox").into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["before", "also before"]);
    let refused = bob.send(group, "still here?").await.expect_err("no member any more");
    assert!(matches!(refused, Error::GroupClosed(_)), "{refused}");
    assert_eq!(texts_until(&carol, group, "after").await, ["before", "also before", "after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_and_added_again_while_away_works() {
    let server = TestServer::start().await;
    let (homes, ada, carol, group) = three(&server).await;
    let bobs_name = ["bob".to_owned()];
    ada.send(group, "before").await.expect("accepted");
    ada.remove(group, &bobs_name).await.expect("removed");
    ada.send(group, "while he is out").await.expect("accepted");
    carol.add(group, &bobs_name).await.expect("added");
    // What Ada says before she knows of it is said in the epoch before, which Bob has no keys of.
    eventually("Ada's knowing that he is back", || async {
        let (adas, carols) = (ada.epoch_authenticator(group).await, carol.epoch_authenticator(group).await);
        (adas.expect("a member") == carols.expect("a member")).then_some(())
    })
    .await;
    ada.send(group, "welcome back").await.expect("accepted");

    let bob = homes[1].client().await;
    assert_eq!(texts_until(&bob, group, "welcome back").await, ["before", "welcome back"]);
    assert_eq!(state(&bob, group).await, Some(GroupState::Active));
    bob.send(group, "thank you").await.expect("accepted");
    for client in [&ada, &carol] {
        texts_until(client, group, "thank you").await;
        assert_eq!(client.epoch_authenticator(group).await, bob.epoch_authenticator(group).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_added_later_gets_nothing_from_before() {
    let server = TestServer::start().await;
    let (_homes, ada, _carol, group) = three(&server).await;
    ada.send(group, "before she came").await.expect("accepted");
    let home = Home::join(&server, "eve").await;
    ada.add(group, &["eve".to_owned()]).await.expect("added");
    ada.send(group, "hello Eve").await.expect("accepted");
    let eve = home.client().await;
    assert_eq!(texts_until(&eve, group, "hello Eve").await, ["hello Eve"]);
    let groups = eve.groups().await.expect("groups");
    assert_eq!(groups[0].name.as_deref(), Some("Three"), "the adder tells the group's name");
    let again = ada.add(group, &["nobody-at-all".to_owned()]).await.expect_err("nobody has this name");
    assert_eq!(again.class(), ErrorClass::NotFound);
}
