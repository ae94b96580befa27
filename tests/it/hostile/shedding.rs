//! A server that was flooded until it turned newcomers away takes them again by itself once the flood has gone.

use std::future;

use sovereign::limits::SERVED_WHEN_SHORT;
use sovereign_proto::v1::PingRequest;
use tokio::{io::AsyncWriteExt as _, task::JoinSet};

use super::{
    memory::resident,
    places::{fragment, newcomer},
};
use crate::harness::{Carrier, Raw, TestServer, eventually};

/// Whether somebody who comes now is served; otherwise they are told why not.
async fn serves(server: &TestServer) -> bool {
    let mut raw = Raw::connect(server).await;
    let ping = raw.send(PingRequest { client_time_ms: 0 }).await;
    match raw.answer_to(ping).await {
        Ok(_) => true,
        Err(ended) => {
            assert_eq!(ended.code, Some(1013), "turned away with a word");
            false
        }
    }
}

/// What the log says last of memory.
async fn told(server: &TestServer, short: bool) {
    let word = format!("short={short}");
    let said = || async {
        let log = server.log();
        let last = log.lines().rfind(|line| line.contains("memory: new connections wait"))?;
        last.contains(&word).then_some(())
    };
    eventually(&word, said).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_flooded_serves_newcomers_again_once_the_flood_has_gone() {
    const ROOM: usize = 8 << 20;
    const FLOODERS: usize = SERVED_WHEN_SHORT + 4;
    let open = ["--registration-mode", "open", "--memory-bytes-max"];
    let mut server = TestServer::over(Carrier::WebSocket, &[&open[..], &["0"]].concat()).await;
    drop(newcomer(&server, "ada").await);
    // Below the limit by so much that the flood reaches it, and a few people do not.
    let limit = ((resident(&server) + ROOM) / 9 * 10).to_string();
    server.terminate().await;
    server.set_arguments(&[&open[..], &[&limit]].concat());
    server.restart().await;

    let mut flooders = Vec::new();
    for number in 0..FLOODERS {
        flooders.push(newcomer(&server, &format!("mallory{number}")).await);
    }
    let mut flood = JoinSet::new();
    for mut raw in flooders {
        flood.spawn(async move {
            let begun = [fragment(1_000_000), vec![7; 900_000]].concat();
            // Where much is held less is read.
            let _closed = raw.stream().write_all(&begun).await;
            future::pending::<()>().await;
        });
    }
    told(&server, true).await;
    assert!(!serves(&server).await, "short of memory");

    flood.shutdown().await;
    // Nobody comes until then: it is the server's own doing.
    told(&server, false).await;
    assert!(serves(&server).await, "there is memory again");
    newcomer(&server, "bob").await;
}
