//! A network that cuts `WebSockets`: people behind it join, talk and catch up as everybody else does.

use crate::harness::{Carrier, Home, TestServer, middlebox::Middlebox, sov::text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_network_that_cuts_websockets_everything_goes_on_by_requests() {
    let server = TestServer::over(Carrier::WebSocket, &[]).await;
    let middlebox = Middlebox::start(&server).await;
    let ada = Home::join(&server, "ada").await;

    let link = middlebox.lead(&server.invite().await);
    let bob = Home::new();
    bob.sov(&["join", &link, "--username", "bob"]).await;
    assert!(middlebox.cut() > 0, "bob's WebSockets were cut");

    // While bob is away, and live afterwards.
    for number in 0..20 {
        ada.sov(&["send", "--to", "bob", &format!("away {number}")]).await;
    }
    let mut bobs = bob.listen().await;
    for number in 0..20 {
        assert_eq!(bobs.message().await, ("ada".to_owned(), format!("away {number}")));
    }
    let mut adas = ada.listen().await;
    for number in 0..10 {
        ada.sov(&["send", "--to", "bob", &format!("live {number}")]).await;
        assert_eq!(bobs.message().await, ("ada".to_owned(), format!("live {number}")));
        let sent = bob.sov(&["send", "--to", "ada", &format!("back {number}")]).await;
        let heard = adas.event("message").await;
        assert_eq!((text(&heard["text"]), &heard["seq"]), (format!("back {number}"), &sent[0]["seq"]));
    }
}
