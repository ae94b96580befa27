//! Canaries in everything a person says and names, with the real client and a server that logs all it can.

use std::fs;

use sovereign_proto::{signed::PURPOSE_ISSUE_TOKEN, v1::IssueTokenRequest};

use crate::harness::{Home, Raw, TestServer, search::search, sov::text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_people_say_or_name_is_found_on_the_server() {
    let server = TestServer::start_with(&["--log-level", "trace"]).await;
    let password = "canary-password-7be2".to_owned();
    let (said, called, renamed) = ("canary-text-51d0".to_owned(), "canary-name-c3f8".to_owned(), "canary-rename-08aa".to_owned());
    let ada = Home::join_with_password(&server, "ada", &password).await;
    let bob = Home::join(&server, "bob").await;
    let mut bobs = bob.listen().await;
    let created = ada.sov(&["group", "create", "--name", &called, "--with", "bob"]).await;
    let group = text(&created[0]["group"]);
    ada.sov(&["send", "--group", &group, &said]).await;
    assert_eq!(bobs.message().await.1, said);
    ada.sov(&["group", "rename", &group, &renamed]).await;
    bobs.until(|line| line["event"] == "renamed" && line["name"] == renamed.as_str()).await;
    ada.sov(&["send", "--to", "bob", &said]).await;
    assert_eq!(bobs.message().await.1, said);

    // A further device logs in with the password, and a token is issued as other clients ask for one.
    let laptop = Home::new();
    let file = laptop.file("password", &password);
    laptop.sov(&["login", &server.invite().await, "--username", "ada", "--password-file", &file]).await;
    let (mut raw, keys) = Raw::sign_up(&server, "carol").await;
    let proof = Some(keys.proof(&raw.hello, keys.account, PURPOSE_ISSUE_TOKEN));
    let token = raw.call(IssueTokenRequest { token: String::new(), proof }).await.expect("a token").token;

    let needles = [said, called, renamed, password, token];
    let directory = server.data().parent().expect("the data directory has a parent").to_owned();
    assert_eq!(search(&directory, &needles), Vec::<String>::new());
    assert!(server.log().contains("TRACE") || server.log().contains("DEBUG"), "the log is as talkative as it can be");
    for (number, needle) in needles.iter().enumerate() {
        fs::write(directory.join(format!("planted-{number}")), format!("xx{needle}xx")).expect("a planted canary");
    }
    assert_eq!(search(&directory, &needles).len(), needles.len(), "the search finds what was planted");
}
