//! Notices of the server, as people get them.

use super::objects;
use crate::harness::{Home, TestServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_reaches_who_is_there_and_who_comes_back_once_and_marked() {
    let mut server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let mut adas = ada.start(&["listen", "--count", "1"]);
    adas.until(|line| line["state"] == "live").await;
    let (code, _, error) = server.try_operate(&["notice", "to nobody"]).await;
    assert_eq!(code, Some(64), "it has to say to whom: {error}");
    let sent = objects(&server, &["notice", "--all", "Down from 18:00 to 18:05."]).await;
    assert_eq!((&sent[0]["devices"], &sent[0]["complete"]), (&2.into(), &true.into()));
    let heard = adas.event("server_notice").await;
    assert_eq!(heard["text"], "Down from 18:00 to 18:05.");
    assert!(heard["time_ms"].as_u64().is_some_and(|time| time > 1_700_000_000_000));
    bob.sov(&["send", "--to", "ada", "did you hear?"]).await;
    let (_, code) = adas.rest().await;
    assert_eq!(code, Some(0));

    server.terminate().await;
    server.operate(&["notice", "--to", "bob", "Moved to a new machine."]).await;
    server.restart().await;
    // Bob was away for both notices; what a listener has printed does not come again.
    ada.sov(&["send", "--to", "bob", "hello"]).await;
    let (lines, _) = bob.start(&["listen", "--count", "1"]).rest().await;
    let notices: Vec<_> = lines.iter().filter(|line| line["event"] == "server_notice").map(|line| line["text"].clone()).collect();
    assert_eq!(notices, ["Down from 18:00 to 18:05.", "Moved to a new machine."]);
    ada.sov(&["send", "--to", "bob", "again"]).await;
    bob.sov(&["send", "--to", "ada", "again"]).await;
    for home in [&ada, &bob] {
        let (lines, _) = home.start(&["listen", "--count", "1"]).rest().await;
        assert!(lines.iter().all(|line| line["event"] != "server_notice"), "{lines:?}");
    }
    let people = server.operate(&["status"]).await;
    assert!(people.contains("0 on their way"), "{people}");
}
