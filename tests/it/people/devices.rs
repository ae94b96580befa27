//! A second device of a person: let in by the first, in all groups by itself, cut off again.

use crate::harness::{Home, TestServer, eventually, sov::text};

/// How many devices somebody has in the only group, as this home sees it.
async fn devices_of(home: &Home, name: &str) -> u64 {
    let groups = home.groups().await;
    let members = groups[0]["members"].as_array().expect("members");
    let member = members.iter().find(|member| member["name"] == name).expect("a member");
    member["devices"].as_u64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_device_comes_into_the_groups_and_is_cut_off() {
    let server = TestServer::start().await;
    let password = "correct horse battery staple";
    let phone = Home::join_with_password(&server, "ada", password).await;
    let bob = Home::join(&server, "bob").await;
    let created = phone.sov(&["group", "create", "--name", "Garden", "--with", "bob"]).await;
    let group = text(&created[0]["group"]);
    phone.sov(&["send", "--group", &group, "before the laptop"]).await;
    let mut bobs = bob.listen().await;
    let _phones = phone.listen().await;
    assert_eq!(bobs.message().await.1, "before the laptop");

    let laptop = Home::new();
    let file = laptop.file("password", password);
    let account = laptop.sov(&["login", &server.invite().await, "--username", "ada", "--password-file", &file]).await;
    assert_eq!(account[0]["pending"], true);
    let id = text(&account[0]["device_id"]);
    let listed = phone.sov(&["devices"]).await;
    assert!(listed.iter().any(|device| device["device"] == id.as_str() && device["state"] == "pending"), "{listed:?}");

    let mut laptops = laptop.start(&["listen"]);
    phone.sov(&["devices", "approve", &id[..8]]).await;
    let joined = laptops.event("joined").await;
    assert_eq!(joined["group"], group.as_str());
    bob.sov(&["send", "--group", &group, "welcome, laptop"]).await;
    assert_eq!(laptops.message().await, ("bob".to_owned(), "welcome, laptop".to_owned()));
    eventually("the name of the group", || async {
        let groups = laptop.groups().await;
        (groups[0]["name"] == "Garden").then_some(())
    })
    .await;
    assert_eq!(devices_of(&bob, "ada").await, 2);
    let history = laptop.sov(&["history", &group]).await;
    assert!(history.iter().all(|line| line["text"] != "before the laptop"), "nothing from before: {history:?}");
    laptop.sov(&["send", "--group", &group, "from the laptop"]).await;
    assert_eq!(bobs.message().await, ("ada".to_owned(), "from the laptop".to_owned()));

    phone.sov(&["devices", "revoke", &id[..8]]).await;
    let (lines, code) = laptops.rest().await;
    assert_eq!(code, Some(77), "the laptop is told that it is out: {lines:?}");
    eventually("the laptop's leaf to go", || async { (devices_of(&bob, "ada").await == 1).then_some(()) }).await;
    phone.sov(&["send", "--group", &group, "only the phone"]).await;
    assert_eq!(bobs.message().await, ("ada".to_owned(), "only the phone".to_owned()));
    let out = laptop.try_sov(&["send", "--group", &group, "let me in", "--timeout", "60"]).await;
    assert_eq!(out.code, Some(77), "{out:?}");
}
