//! Away while others go on: everything comes, in order, once.

use futures_util::future::join_all;
use serde_json::Value;

use crate::harness::{Home, TestServer, eventually, sov::text, within};

/// Messages that wait for the one who is away.
const MESSAGES: usize = 1000;
/// Commits that wait for the one who is away.
const COMMITS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_messages_wait_for_who_is_away() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let client = ada.client().await;
    let group = client.send_to(&["bob".to_owned()], "0").await.expect("accepted").group;
    let texts: Vec<String> = (1..MESSAGES).map(|number| number.to_string()).collect();
    let mut seqs = Vec::new();
    for some in texts.chunks(100) {
        let sent = within("messages to be accepted", join_all(some.iter().map(|text| client.send(group, text)))).await;
        seqs.extend(sent.into_iter().map(|sent| sent.expect("accepted").seq));
    }
    assert!(seqs.is_sorted_by(|earlier, later| earlier < later), "what was sent first stands first");
    client.close().await;

    let half = MESSAGES / 2;
    let mut heard = listen(&bob, half).await;
    assert_eq!(heard.len(), half, "a listener that counts ends in time");
    heard.extend(listen(&bob, MESSAGES - half).await);
    assert_eq!(heard, (0..MESSAGES).map(|number| number.to_string()).collect::<Vec<_>>());
    // Whatever came again would stand before what is new.
    ada.sov(&["send", "--to", "bob", "one more"]).await;
    assert_eq!(listen(&bob, 1).await, ["one more"], "nothing comes again");
    let limit = (2 * MESSAGES).to_string();
    let history = bob.sov(&["history", "ada", "--limit", &limit]).await;
    assert_eq!(history.len(), MESSAGES + 1);
}

/// The texts that `listen --count` tells.
async fn listen(home: &Home, count: usize) -> Vec<String> {
    let (lines, code) = home.start(&["listen", "--count", &count.to_string()]).rest().await;
    assert_eq!(code, Some(0));
    lines.iter().filter(|line| line["event"] == "message").map(|line: &Value| text(&line["text"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_away_for_a_hundred_commits_catches_up() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let client = ada.client().await;
    let group = client.send_to(&["bob".to_owned()], "before").await.expect("accepted").group;
    for _ in 0..COMMITS {
        client.update(group).await.expect("the commit is accepted");
    }
    client.send(group, "after").await.expect("accepted");
    let expected = client.epoch_authenticator(group).await.expect("a member");
    assert!(expected.0 > 100);

    let late = bob.client().await;
    eventually("the last message", || async {
        let history = late.history(group, 10).await.expect("a history");
        history.iter().any(|message| message.text == "after").then_some(())
    })
    .await;
    assert_eq!(late.epoch_authenticator(group).await, Ok(expected));
    late.send(group, "I am back").await.expect("accepted");
}
