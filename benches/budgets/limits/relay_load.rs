//! Drives the raw relay the way peers drive the server: messages out, accepted, delivered, acknowledged.

use std::sync::Arc;

use rustls::{ClientConfig, pki_types::ServerName};
use sovereign::entropy;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    itself::Itself,
    relay::{ACCEPTED, ACKNOWLEDGEMENT, ENTER, MESSAGE, SIGNAL, frame},
};
use crate::{
    client::Work,
    measure::{Taken, watch},
    scale::Scale,
};

/// A running relay.
pub struct Relay {
    itself: Itself,
    connector: TlsConnector,
}

struct Seat {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
}

impl Relay {
    /// Starts this very program as a relay.
    pub async fn start() -> Self {
        let itself = Itself::start("relay").await;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.3")
            .with_root_certificates(itself.roots.clone())
            .with_no_client_auth();
        Self { itself, connector: TlsConnector::from(Arc::new(config)) }
    }

    /// Rooms of so many each, in each of which one sends and the others acknowledge; what each round took.
    pub async fn measure(&self, scale: &Scale, rooms: usize, members: usize, send: usize, outstanding: usize) -> Vec<Taken> {
        let mut seats = Vec::new();
        for _ in 0..rooms {
            let room: [u8; 8] = entropy::random();
            for index in 0..members {
                seats.push((index == 0, self.enter(room).await));
            }
        }
        let mut rounds = Vec::new();
        for _ in 0..scale.rounds {
            let pid = self.itself.pid();
            let (taken, back) = watch(pid, work(seats, send, outstanding)).await;
            seats = back;
            rounds.push(taken);
        }
        rounds
    }

    /// Pairs that play signals back and forth, so many times each way; what each round took.
    pub async fn measure_signals(&self, scale: &Scale, send: usize, outstanding: usize) -> Vec<Taken> {
        let mut seats = Vec::new();
        for _ in 0..scale.pairs {
            let room: [u8; 8] = entropy::random();
            for serves in [true, false] {
                seats.push((serves, self.enter(room).await));
            }
        }
        let mut rounds = Vec::new();
        for _ in 0..scale.rounds {
            let mut playing = JoinSet::new();
            for (serves, mut seat) in seats {
                playing.spawn(async move {
                    seat.play(if serves { outstanding } else { 0 }, send).await;
                    (serves, seat)
                });
            }
            let pid = self.itself.pid();
            let (taken, back) = watch(pid, playing.join_all()).await;
            seats = back;
            rounds.push(taken);
        }
        rounds
    }

    async fn enter(&self, room: [u8; 8]) -> Seat {
        let stream = TcpStream::connect(("127.0.0.1", self.itself.port)).await.expect("the relay listens");
        stream.set_nodelay(true).expect("the socket takes options");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = self.connector.connect(name, stream).await.expect("the TLS handshake succeeds");
        stream.write_all(&framed(ENTER, &room)).await.expect("the relay reads");
        stream.flush().await.expect("the relay reads");
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.expect("the relay answers");
        assert_eq!(answer[4], ACCEPTED, "whoever enters is let in");
        Seat { stream, received: Vec::new() }
    }
}

async fn work(seats: Vec<(bool, Seat)>, send: usize, outstanding: usize) -> Vec<(bool, Seat)> {
    let mut working = JoinSet::new();
    for (sends, mut seat) in seats {
        let work = if sends { Work { send, outstanding, see: 0 } } else { Work { send: 0, outstanding: 0, see: send } };
        working.spawn(async move {
            seat.drive(work).await;
            (sends, seat)
        });
    }
    working.join_all().await
}

impl Seat {
    /// Sends the first few, and one for each that comes, until as many were sent and seen.
    async fn play(&mut self, first: usize, count: usize) {
        let signal = framed(SIGNAL, &[0xa5; Scale::MESSAGE_BYTES]);
        let (mut sent, mut seen) = (first.min(count), 0);
        let mut out = signal.repeat(sent);
        while sent < count || seen < count {
            if !out.is_empty() {
                self.stream.write_all(&out).await.expect("the relay reads");
                self.stream.flush().await.expect("the relay reads");
                out.clear();
            }
            let read = self.stream.read_buf(&mut self.received).await.expect("the relay writes");
            assert!(read > 0, "the relay is gone");
            let mut at = 0;
            while let Some(frame) = frame(&self.received[at..]) {
                at += frame.len();
                seen += 1;
                if sent < count {
                    out.extend_from_slice(&signal);
                    sent += 1;
                }
            }
            self.received.drain(..at);
        }
        self.stream.write_all(&out).await.expect("the relay reads");
        self.stream.flush().await.expect("the relay reads");
    }

    async fn drive(&mut self, work: Work) {
        let message = framed(MESSAGE, &[0xa5; Scale::MESSAGE_BYTES]);
        let (mut sent, mut accepted, mut seen) = (0, 0, 0);
        let mut out = Vec::new();
        loop {
            while sent < work.send && sent - accepted < work.outstanding {
                out.extend_from_slice(&message);
                sent += 1;
            }
            if !out.is_empty() {
                self.stream.write_all(&out).await.expect("the relay reads");
                self.stream.flush().await.expect("the relay reads");
                out.clear();
            }
            if accepted == work.send && seen == work.see {
                return;
            }
            let read = self.stream.read_buf(&mut self.received).await.expect("the relay writes");
            assert!(read > 0, "the relay is gone");
            let seen_before = seen;
            let mut at = 0;
            while let Some(frame) = frame(&self.received[at..]) {
                at += frame.len();
                match frame[4] {
                    MESSAGE => seen += 1,
                    ACCEPTED => accepted += 1,
                    _ => {}
                }
            }
            self.received.drain(..at);
            if seen > seen_before {
                out.extend_from_slice(&framed(ACKNOWLEDGEMENT, &seen.to_be_bytes()));
            }
        }
    }
}

fn framed(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 1).expect("frames are short");
    [&length.to_be_bytes()[..], &[kind], content].concat()
}
