//! Ping.

use sovereign_proto::v1::PingRequest;

use crate::harness::{Raw, TestServer};

#[tokio::test]
async fn echoes_the_clients_time_before_and_after_authentication() {
    let server = TestServer::start().await;
    let mut guest = Raw::connect(&server).await;
    let (mut device, _) = Raw::sign_up(&server, "ada").await;
    for raw in [&mut guest, &mut device] {
        let pong = raw.call(PingRequest { client_time_ms: 42 }).await.expect("a pong");
        assert_eq!(pong.client_time_ms, 42);
        assert!(pong.server_time_ms > 1_700_000_000_000, "the server's time is in milliseconds since 1970");
    }
}
