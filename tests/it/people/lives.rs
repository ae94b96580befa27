//! Messages with a life, and who one writes to.

use crate::harness::{Home, TestServer, sov::text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_life_is_over_reaches_nobody_and_nobody_is_alarmed() {
    let mut server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    ada.sov(&["send", "--to", "bob", "hello"]).await;
    let heard = bob.sov(&["listen", "--count", "1", "--for", "30"]).await;
    assert!(heard.iter().any(|line| line["text"] == "hello"), "{heard:?}");
    ada.sov(&["send", "--to", "bob", "--ttl", "90s", "the code is 4711"]).await;
    ada.sov(&["send", "--to", "bob", "--ttl", "2h", "--urgent", "call me"]).await;
    ada.sov(&["send", "--to", "bob", "bye"]).await;
    let refused = ada.try_sov(&["send", "--to", "bob", "--ttl", "400d", "too long"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");

    server.terminate().await;
    server.set_arguments(&["--clock-offset-seconds", "600"]);
    server.restart().await;
    let lines = bob.sov(&["listen", "--count", "2", "--for", "30"]).await;
    let messages: Vec<_> = lines.iter().filter(|line| line["event"] == "message").collect();
    assert_eq!([text(&messages[0]["text"]), text(&messages[1]["text"])], ["call me", "bye"]);
    assert_eq!(messages[0]["urgent"], true);
    assert!(messages[0]["expires_at_ms"].as_u64() > messages[0]["time_ms"].as_u64());
    assert!(messages[1].get("urgent").is_none() && messages[1].get("expires_at_ms").is_none());
    assert!(lines.iter().all(|line| line["event"] != "alarm"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fingerprints_are_shown_and_only_a_changed_one_is_to_be_accepted() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    ada.sov(&["send", "--to", "bob", "hello"]).await;
    let shown = ada.sov(&["trust", "Bob", "--yes"]).await;
    assert_eq!(shown.len(), 1, "there is nothing to accept: {shown:?}");
    assert_eq!((&shown[0]["event"], &shown[0]["changed"]), (&"identity".into(), &false.into()));
    assert_eq!(text(&shown[0]["known"]).len(), 64);
    assert_eq!(shown[0]["known"], shown[0]["offered"]);
    bob.sov(&["send", "--to", "ada", "hello yourself"]).await;
    let own = bob.sov(&["trust", "bob"]).await;
    assert_eq!(own[0]["known"], shown[0]["known"], "both see the same of the same person");
    assert_eq!(ada.try_sov(&["trust", "nobody"]).await.code, Some(1));
}
