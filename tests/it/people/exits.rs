//! What scripts see when something goes wrong.

use crate::harness::{Home, TestServer, sov::Ran};

#[track_caller]
fn ends(ran: &Ran, code: i32, word: &str) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.error.contains(word), "{word:?} is not said: {ran:?}");
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let server = TestServer::start().await;
    let ada = Home::join_with_password(&server, "ada", "a good long password").await;
    let link = server.invite().await;
    ends(&ada.try_sov(&["send", "--to", "nobody-here", "hi"]).await, 1, "nobody-here");
    ends(&ada.try_sov(&["send", "--group", "no such group", "hi"]).await, 1, "no such group");
    ends(&ada.try_sov(&["group", "create", "--name", "G", "--with", "nobody-here"]).await, 1, "nobody-here");
    ends(&ada.try_sov(&["send", "hi"]).await, 64, "--to");
    ends(&ada.try_sov(&["send", "--to", "ada", ""]).await, 64, "no text");
    ends(&ada.try_sov(&["devices", "approve", "0123"]).await, 1, "0123");

    let other = Home::new();
    ends(&other.try_sov(&["groups"]).await, 78, "no account");
    ends(&other.try_sov(&["join", "https://example.org/nothing", "--username", "eve"]).await, 64, "link");
    ends(&other.try_sov(&["join", &link, "--username", "ada"]).await, 1, "");
    ends(&other.try_sov(&["join", &tampered(&link, "c="), "--username", "eve"]).await, 77, "invite");
    ends(&other.try_sov(&["join", &tampered(&link, "s="), "--username", "eve"]).await, 77, "server");
    ends(&other.try_sov(&["join", &tampered(&link, "p="), "--username", "eve"]).await, 77, "server");
    let wrong = other.file("password", "not the password");
    ends(&other.try_sov(&["login", &link, "--username", "ada", "--password-file", &wrong]).await, 77, "refused");
    ends(&other.try_sov(&["groups"]).await, 78, "no account");
    // None of these attempts stands in the way of a good one.
    other.sov(&["join", &link, "--username", "eve"]).await;
    ends(&other.try_sov(&["join", &link, "--username", "eve2"]).await, 64, "already");
}

#[tokio::test]
async fn without_a_server_sends_wait_and_lists_work() {
    let mut server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    ada.sov(&["send", "--to", "bob", "one"]).await;
    let link = server.invite().await;
    server.terminate().await;
    ends(&Home::new().try_sov(&["join", &link, "--username", "eve", "--timeout", "5"]).await, 69, "reached");
    ends(&ada.try_sov(&["devices", "--timeout", "2"]).await, 69, "in time");
    ends(&ada.try_sov(&["send", "--to", "bob", "two", "--timeout", "2"]).await, 75, "outbox");
    let groups = ada.try_sov(&["groups"]).await;
    assert_eq!((groups.code, groups.lines.len()), (Some(0), 1), "{groups:?}");
    server.restart().await;
    ada.sov(&["send", "--to", "bob", "three"]).await;
    let (lines, _) = bob.start(&["listen", "--count", "3"]).rest().await;
    let texts: Vec<&str> = lines.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
}

/// The link with another value behind `key`, of the same length.
fn tampered(link: &str, key: &str) -> String {
    let (before, rest) = link.split_once(&format!("&{key}")).expect("the link has this key");
    let (value, after) = rest.split_once('&').map_or((rest, ""), |(value, after)| (value, after));
    let first = if value.starts_with('A') { 'B' } else { 'A' };
    let and = if after.is_empty() { "" } else { "&" };
    format!("{before}&{key}{first}{}{and}{after}", &value[1..])
}
