//! The connection against a server in memory, in paused time.

mod acknowledgements;
mod calls;
mod enrolment;
mod states;

use std::sync::Arc;

use bytes::Bytes;
use sovereign_proto::v1::{self, request, response};
use tokio::sync::mpsc;

use super::{
    CallError, Cause, Connection, ConnectionEvent, ConnectionState, Credentials,
    fake_server::{FakeDialer, FakeServer, Peer},
};
use crate::device_key::DeviceKey;

struct Bench {
    server: FakeServer,
    connection: Connection,
    events: mpsc::Receiver<ConnectionEvent>,
    peers: mpsc::Receiver<Peer>,
    device_key: [u8; 32],
}

fn start(failures: u32) -> Bench {
    let server = FakeServer::new(1);
    let (mut dialer, peers) = FakeDialer::new();
    dialer.failures = failures;
    let signing_key = Arc::new(DeviceKey::generate());
    let device_key = signing_key.public();
    let credentials = Credentials { account_id: [1; 16], device_id: [2; 16], signing_key, incarnation: 7 };
    let positions = || vec![v1::Position { group_id: Bytes::new(), seq: 5 }];
    let (connection, events) = Connection::start_on(dialer, server.id(), credentials, Box::new(positions));
    Bench { server, connection, events, peers, device_key }
}

impl Bench {
    async fn peer(&mut self) -> Peer {
        self.peers.recv().await.expect("the client dials")
    }

    async fn live_peer(&mut self) -> Peer {
        let mut peer = self.peer().await;
        peer.sign_in(&self.server).await;
        self.until(|state, _| *state == ConnectionState::Live).await;
        peer
    }

    /// The first state that fits, with its cause.
    async fn until(&mut self, fits: impl Fn(&ConnectionState, &Cause) -> bool) -> (ConnectionState, Cause) {
        loop {
            match self.events.recv().await.expect("the state comes") {
                ConnectionEvent::State(state, cause) if fits(&state, &cause) => return (state, cause),
                _ => {}
            }
        }
    }

    async fn backoff(&mut self) -> (u64, Cause) {
        match self.until(|state, _| matches!(state, ConnectionState::Backoff { .. })).await {
            (ConnectionState::Backoff { wait_ms }, cause) => (wait_ms, cause),
            _ => unreachable!("only a backoff fits"),
        }
    }

    async fn stopped(&mut self) -> Cause {
        self.until(|state, _| *state == ConnectionState::Stopped).await.1
    }
}

fn ping(client_time_ms: u64) -> v1::PingRequest {
    v1::PingRequest { client_time_ms }
}

fn pong(client_time_ms: u64) -> response::Body {
    response::Body::Ping(v1::PingResponse { client_time_ms, server_time_ms: 0 })
}

async fn ping_request(peer: &mut Peer) -> (u64, u64) {
    match peer.request().await {
        (id, request::Body::Ping(ping)) => (id, ping.client_time_ms),
        _ => panic!("another request than a ping"),
    }
}

/// Answers the next request and tells whether the call got it.
trait AwaitOn {
    async fn await_on(self, peer: &mut Peer) -> bool;
}

impl<F: Future<Output = Result<v1::PingResponse, CallError>>> AwaitOn for F {
    async fn await_on(self, peer: &mut Peer) -> bool {
        let (id, _) = ping_request(peer).await;
        peer.answer(id, pong(0)).await;
        self.await.is_ok()
    }
}
