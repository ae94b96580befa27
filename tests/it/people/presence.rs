//! Who is there and who has read what, as people see it.

use sovereign_client::{Availability, Client, Event, Presence};
use tokio::sync::broadcast::Receiver;

use crate::harness::{Home, TestServer, eventually, sov::text, within};

/// Waits until somebody is said to be like this.
async fn until_presence(events: &mut Receiver<Event>, name: &str, expected: impl Fn(Presence) -> bool) {
    within("a presence", async {
        loop {
            if let Event::Presence { username, presence, .. } = events.recv().await.expect("the client goes on")
                && username == name
                && expected(presence)
            {
                return;
            }
        }
    })
    .await;
}

/// Presence of the only other one.
async fn presence_of(client: &Client) -> Presence {
    let people = client.presence().await.expect("told");
    assert_eq!(people.len(), 1);
    people[0].2
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_see_each_other_come_and_go_and_hide() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let adas = ada.client().await;
    assert!(adas.presence().await.expect("told").is_empty(), "a stranger is not watched");
    let bobs = bob.client().await;
    bobs.accept("ada").await.expect("accepted beforehand");
    let mut events = adas.events();
    adas.send_to(&["bob".to_owned()], "hello").await.expect("sent");
    until_presence(&mut events, "bob", |presence| presence == Presence::Online).await;
    eventually("Bob sees Ada", || async {
        let people = bobs.presence().await.expect("told");
        people.iter().any(|(name, _, presence)| name == "ada" && *presence == Presence::Online).then_some(())
    })
    .await;

    bobs.set_availability(Availability::Away).await.expect("away");
    until_presence(&mut events, "bob", |presence| presence == Presence::Away).await;
    bobs.set_availability(Availability::Hidden).await.expect("hidden");
    until_presence(&mut events, "bob", |presence| presence == Presence::Offline { last_seen_ms: None }).await;
    bobs.set_availability(Availability::Online).await.expect("online");
    until_presence(&mut events, "bob", |presence| presence == Presence::Online).await;

    bobs.close().await;
    until_presence(&mut events, "bob", |presence| matches!(presence, Presence::Offline { last_seen_ms: Some(_) })).await;
    assert!(matches!(presence_of(&adas).await, Presence::Offline { last_seen_ms: Some(_) }));
    let bobs = bob.client().await;
    until_presence(&mut events, "bob", |presence| presence == Presence::Online).await;
    assert_eq!(presence_of(&bobs).await, Presence::Online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sent_learns_who_has_it_and_who_read_it_also_later() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let (adas, bobs) = (ada.client().await, bob.client().await);
    bobs.accept("ada").await.expect("accepted beforehand");
    let sent = adas.send_to(&["bob".to_owned()], "hello").await.expect("sent");
    let receipt = async |seq_of: fn(&sovereign_client::Receipt) -> u64, seq: u64| {
        eventually("a receipt", || async {
            let receipts = adas.receipts(sent.group).await.expect("told");
            receipts.iter().any(|receipt| receipt.username == "bob" && seq_of(receipt) >= seq).then_some(())
        })
        .await;
    };
    receipt(|receipt| receipt.delivered, sent.seq).await;
    assert_eq!(adas.receipts(sent.group).await.expect("told")[0].read, 0);
    let mut events = adas.events();
    bobs.mark_read(sent.group, sent.seq).await.expect("noted");
    bobs.mark_read(sent.group, sent.seq - 1).await.expect("noted");
    within("a receipt", async {
        loop {
            if let Event::Receipt { group, username, delivered, read, .. } = events.recv().await.expect("the client goes on")
                && read == sent.seq
            {
                assert_eq!((group, username.as_str()), (sent.group, "bob"));
                return assert!(delivered >= read);
            }
        }
    })
    .await;

    // Read while Ada is away, and known when she is back; known without the server, too.
    let more = adas.send(sent.group, "more").await.expect("sent");
    adas.close().await;
    eventually("the second message", || async {
        bobs.mark_read(sent.group, more.seq).await.expect("noted");
        (bobs.read_marker(sent.group).await.expect("read") == more.seq).then_some(())
    })
    .await;
    let adas = ada.client().await;
    eventually("the second receipt", || async {
        let receipts = adas.receipts(sent.group).await.expect("told");
        (receipts[0].read == more.seq).then_some(())
    })
    .await;
    adas.close().await;
    drop(server);
    let offline = ada.client_offline().await;
    assert_eq!(offline.receipts(sent.group).await.expect("from the vault")[0].read, more.seq);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sov_shows_who_is_there_and_what_became_of_messages() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let mut bobs = bob.listen().await;
    bob.sov(&["contacts", "accept", "ada"]).await;
    let mut adas = ada.listen().await;
    let sent = ada.sov(&["send", "--to", "bob", "hello"]).await;
    assert_eq!(bobs.message().await.1, "hello");
    let told = adas.event("presence").await;
    assert_eq!((text(&told["username"]), text(&told["state"])), ("bob".to_owned(), "online".to_owned()));
    let people = ada.sov(&["presence"]).await;
    assert_eq!((people.len(), &people[0]["state"]), (1, &"online".into()));
    adas.until(|line| line["event"] == "receipt" && line["delivered"] == sent[0]["seq"]).await;
    let history = ada.sov(&["history", "bob"]).await;
    assert_eq!(history[0]["delivered"], serde_json::json!(["bob"]));
    assert!(history[0].get("read").is_none());

    bob.sov(&["presence", "hidden"]).await;
    adas.until(|line| line["event"] == "presence" && line["state"] == "offline").await;
    bob.sov(&["presence", "online"]).await;
    adas.until(|line| line["event"] == "presence" && line["state"] == "online").await;
    bob.sov(&["receipts", "off"]).await;
    let history = ada.sov(&["history", "bob"]).await;
    assert!(history[0].get("delivered").is_none(), "not shown any more: {history:?}");
}
