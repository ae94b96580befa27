//! Peers that are silent, that stop reading, or that stop answering.

use sovereign_proto::v1::PingRequest;

use crate::harness::{Carrier, Raw, TestServer, scene::pair};

over_both!(a_guest_that_stays_silent_is_closed, a_reader_that_stops_disturbs_nobody_and_loses_nothing);

async fn a_guest_that_stays_silent_is_closed(carrier: Carrier) {
    let server = TestServer::over(carrier, &["--authentication-deadline-seconds", "1"]).await;
    let mut raw = Raw::connect(&server).await;
    assert_eq!(raw.ended().await.code, Some(4001));
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_found_dead() {
    let server = TestServer::over(Carrier::WebSocket, &["--heartbeat-interval-seconds", "1"]).await;
    let (ada, _) = Raw::sign_up(&server, "ada").await;
    let mut deaf = ada.deaf();
    assert_eq!(deaf.close_code().await, Some(4011));
}

async fn a_reader_that_stops_disturbs_nobody_and_loses_nothing(carrier: Carrier) {
    let server = TestServer::over(carrier, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut eve = crate::harness::scene::Person::new(&server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let mut eves = eve.join().await;
    // Eve reads nothing from here on, while more is sent than her credit and her socket hold.
    let text = "x".repeat(30_000);
    for _ in 0..100 {
        ada.person.send(&mut ada.group, &text).await;
        assert_eq!(bob.person.next_text(&mut bob.group).await.len(), text.len());
    }
    ada.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("nobody waits for Eve");
    let id = eves.group_id().to_vec();
    let mut seen = 0;
    while seen < 100 {
        let entries = eve.raw.entries(&id).await;
        seen += entries.iter().filter_map(|entry| eve.member.apply(&mut eves, entry)).count();
        eve.raw.acknowledge(&id, entries.last().expect("entries").seq).await;
    }
}
