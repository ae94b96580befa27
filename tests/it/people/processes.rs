//! Several processes on one home: the first owns it, the others go through it, and a dead owner has a successor.

use crate::harness::{
    Home, TestServer,
    sov::{members, said, text},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_two_sends_and_a_list_share_one_home() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    bob.sov(&["send", "--to", "ada", "hello"]).await;
    let mut bobs = bob.listen().await;
    let mut owner = ada.listen().await;
    assert_eq!(owner.message().await, ("bob".to_owned(), "hello".to_owned()));

    let first = ["send", "--to", "bob", "first"];
    let second = ["send", "--to", "bob", "second"];
    let (first, second, groups) = tokio::join!(ada.sov(&first), ada.sov(&second), ada.groups());
    assert_eq!(first[0]["group"], second[0]["group"]);
    assert_ne!(first[0]["seq"], second[0]["seq"]);
    assert_eq!(members(&groups[0]), ["ada", "bob"]);
    let mut heard = [bobs.message().await.1, bobs.message().await.1];
    heard.sort_unstable();
    assert_eq!(heard, ["first", "second"]);

    bob.sov(&["send", "--to", "ada", "and you?"]).await;
    assert_eq!(owner.message().await, ("bob".to_owned(), "and you?".to_owned()), "the owner still listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_listener_has_a_successor_that_misses_nothing() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let client = bob.client().await;
    let group = client.send_to(&["ada".to_owned()], "0").await.expect("accepted").group;

    let mut owner = ada.listen().await;
    assert_eq!(owner.message().await.1, "0");
    // A second one goes through the first.
    let mut waiting = ada.start(&["listen"]);
    waiting.event("state").await;
    client.send(group, "1").await.expect("accepted");
    assert_eq!((owner.message().await.1, waiting.message().await.1), ("1".to_owned(), "1".to_owned()));

    owner.kill().await;
    for number in 2..20 {
        client.send(group, &number.to_string()).await.expect("accepted");
    }
    // The second one owns the home now. What it told and could not confirm in time may come again, nothing is missing.
    let mut last = 1;
    while last < 19 {
        let number: u32 = waiting.message().await.1.parse().expect("a number");
        assert!(number <= last + 1, "{number} came behind {last}");
        last = last.max(number);
    }
    let answer = ada.sov(&["send", "--to", "bob", "still here"]).await;
    assert_eq!(text(&answer[0]["event"]), "sent", "others go through the successor");
    waiting.kill().await;

    client.send(group, "20").await.expect("accepted");
    let (lines, code) = ada.start(&["listen", "--count", "1"]).rest().await;
    assert_eq!(code, Some(0));
    let message = lines.iter().find(|line| line["event"] == "message").expect("a message");
    let (_, text) = said(message);
    assert!(["19", "20"].contains(&text.as_str()), "nothing that was flushed and confirmed comes again: {text}");
}
