//! Limits of the server as people meet them: they wait, are told why, and lose nothing.

use crate::harness::{Home, TestServer, sov::text};

/// The number of the last message, from 0.
const LAST: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_too_much_at_once_is_told_to_wait_and_everything_arrives_in_order() {
    // Twenty at once, then one a second.
    let server = TestServer::start_with(&["--messages-per-second-max", "1"]).await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let sent = ada.sov(&["send", "--to", "bob", "0"]).await;
    let group = text(&sent[0]["group"]);
    let id: [u8; 32] = data_encoding::HEXLOWER.decode(group.as_bytes()).expect("hex").try_into().expect("an id has 32 bytes");
    let client = ada.client_offline().await;
    // More than come in while they are sent, on any machine.
    for number in 1..LAST {
        client.queue(id, &number.to_string()).await.expect("queued");
    }
    client.close().await;
    let lines = ada.sov(&["send", "--group", &group, &LAST.to_string(), "--timeout", "60"]).await;
    let delayed = lines.iter().find(|line| line["event"] == "delayed").unwrap_or_else(|| panic!("no word of it: {lines:?}"));
    assert_eq!(delayed["group"], group.as_str());
    assert!(text(&delayed["reason"]).contains("sends more messages than the server allows"), "{delayed}");
    assert!(delayed["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0), "{delayed}");
    assert_eq!(lines.last().expect("an end")["event"], "sent");

    let heard = bob.sov(&["listen", "--count", &(LAST + 1).to_string(), "--for", "60"]).await;
    let texts: Vec<String> = heard.iter().filter(|line| line["event"] == "message").map(|line| text(&line["text"])).collect();
    assert_eq!(texts, (0..=LAST).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(heard.iter().all(|line| line["event"] != "alarm"), "nothing was turned round: {heard:?}");

    let room = ada.sov(&["usage", "--group", &group]).await;
    assert_eq!(room.len(), 2, "{room:?}");
    assert!(room.iter().all(|line| line["event"] == "usage" && line["limit_bytes"].as_u64() > line["used_bytes"].as_u64()));
    assert_eq!((room[0].get("group"), &room[1]["group"]), (None, &group.as_str().into()));
}
