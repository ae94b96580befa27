//! Groups from the command line: made, named, joined, left.

use crate::harness::{
    Home, TestServer, eventually,
    sov::{members, text},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_made_renamed_joined_and_left() {
    let server = TestServer::start().await;
    let (ada, bob, carol) =
        (Home::join(&server, "ada").await, Home::join(&server, "bob").await, Home::join(&server, "carol").await);
    let mut adas = ada.listen().await;
    let created = ada.sov(&["group", "create", "--name", "Tea club", "--with", "bob"]).await;
    let group = text(&created[0]["group"]);
    assert_eq!(created[0]["verb"], "group create");
    let groups = bob.groups().await;
    assert_eq!((&groups[0]["name"], &groups[0]["direct"]), (&"Tea club".into(), &false.into()));
    assert_eq!(members(&groups[0]), ["ada", "bob"]);

    let mut carols = carol.listen().await;
    bob.sov(&["group", "add", "Tea club", "carol"]).await;
    assert_eq!(carols.event("joined").await["group"], group.as_str());
    let change = adas.until(|line| line["event"] == "members" && line["added"] == serde_json::json!(["carol"])).await;
    assert_eq!(change["group"], group.as_str());
    eventually("the name at Carol's", || async { (carol.groups().await[0]["name"] == "Tea club").then_some(()) }).await;
    carol.sov(&["send", "--group", "Tea club", "What a nice club"]).await;
    assert_eq!(adas.message().await, ("carol".to_owned(), "What a nice club".to_owned()));

    bob.sov(&["group", "rename", "Tea club", "Coffee club"]).await;
    let renamed = carols.until(|line| line["event"] == "renamed" && line["name"] == "Coffee club").await;
    assert_eq!(renamed["group"], group.as_str());
    assert_eq!(adas.until(|line| line["name"] == "Coffee club").await["event"], "renamed");

    bob.sov(&["group", "leave", "Coffee club"]).await;
    eventually("Bob to be out", || async { (members(&ada.groups().await[0]) == ["ada", "carol"]).then_some(()) }).await;
    let refused = bob.try_sov(&["send", "--group", &group, "one more thing"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    carol.sov(&["send", "--group", &group, "now he is gone"]).await;
    assert_eq!(adas.message().await.1, "now he is gone");
    let history = bob.sov(&["history", &group]).await;
    assert!(history.iter().all(|line| line["text"] != "now he is gone"));
    eventually("Bob's end", || async { (bob.groups().await[0]["state"] == "left").then_some(()) }).await;
    assert!(bob.sov(&["history", &group]).await.iter().any(|line| line["text"] == "What a nice club"), "it stays readable");

    ada.sov(&["group", "remove", &group, "carol"]).await;
    assert_eq!(carols.event("left").await["group"], group.as_str());
}
