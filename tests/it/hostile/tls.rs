//! Below HTTP: who drips, who speaks old TLS, and hellos of every wrong form. Each gets an answer of TLS or an end, and
//! everybody else is served.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::memory::{Peak, TOLERATED};
use crate::harness::{Raw, TestServer, tls::tls, within};

/// What answers a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// A handshake record: it goes on.
    Goes,
    /// An alert record, and the end.
    Alert,
    /// The end without a word.
    Nothing,
}

/// A `ClientHello` (RFC 8446, section 4.1.2) of which everything can be wrong.
struct Hello {
    version: [u8; 2],
    suites: &'static [[u8; 2]],
    extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// As a client of today says it.
    fn good() -> Self {
        let share = [&[0, 0x1d, 0, 32][..], &[9; 32]].concat();
        let extensions = vec![
            (43, vec![2, 3, 4]),
            (13, vec![0, 6, 4, 3, 8, 4, 8, 7]),
            (10, vec![0, 2, 0, 0x1d]),
            (51, [&u16::try_from(share.len()).expect("short").to_be_bytes()[..], &share].concat()),
        ];
        Self { version: [3, 3], suites: &[[0x13, 1], [0x13, 2], [0x13, 3]], extensions }
    }

    /// As a client of then said it.
    fn old(version: [u8; 2]) -> Self {
        Self { version, suites: &[[0, 0x2f], [0, 0x0a], [0, 5]], extensions: Vec::new() }
    }

    fn with(mut self, kind: u16, body: Vec<u8>) -> Self {
        self.extensions.retain(|(other, _)| *other != kind);
        self.extensions.push((kind, body));
        self
    }

    /// With the name of a server, whatever it is.
    fn named(self, name: &[u8]) -> Self {
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("sixteen bits").to_be_bytes();
        let entry = [&[0][..], &length(name), name].concat();
        let list = [&length(&entry)[..], &entry].concat();
        self.with(0, list)
    }

    /// In one record.
    fn bytes(&self) -> Vec<u8> {
        let sixteen = |length: usize| u16::try_from(length).expect("sixteen bits").to_be_bytes();
        let mut body = [&self.version[..], &[7; 32], &[0]].concat();
        body.extend(sixteen(self.suites.len() * 2));
        body.extend(self.suites.concat());
        body.extend([1, 0]);
        let mut extensions = Vec::new();
        for (kind, extension) in &self.extensions {
            extensions.extend(kind.to_be_bytes());
            extensions.extend(sixteen(extension.len()));
            extensions.extend(extension);
        }
        body.extend(sixteen(extensions.len()));
        body.extend(extensions);
        let message = [&[1, 0][..], &sixteen(body.len()), &body].concat();
        [&[0x16, 3, 1][..], &sixteen(message.len()), &message].concat()
    }
}

async fn answer(server: &TestServer, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(&server.address).await.expect("the server listens");
    let _closed = stream.write_all(bytes).await;
    let mut first = [0];
    let answer = match within("an answer", stream.read(&mut first)).await {
        Ok(1) if first[0] == 0x16 => return Answer::Goes,
        Ok(1) if first[0] == 0x15 => Answer::Alert,
        Ok(0) | Err(_) => Answer::Nothing,
        Ok(_) => panic!("the server answers a hello with {:x}", first[0]),
    };
    let mut rest = Vec::new();
    let _reset = within("the end", stream.read_to_end(&mut rest)).await;
    answer
}

#[tokio::test]
async fn every_hello_gets_an_answer_of_tls_or_an_end() {
    let server = TestServer::start().await;
    let peak = Peak::of(&server);
    let good = Hello::good().bytes();
    let lying = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] = 0xff;
        bytes
    };
    let no_suite = Hello { suites: &[[0, 5], [0, 0x0a], [0, 0x2f]], ..Hello::good() };
    let rows = [
        ("no name", good.clone(), Answer::Goes),
        ("a known name", Hello::good().named(b"localhost").bytes(), Answer::Goes),
        ("an unknown name", Hello::good().named(b"somebody-else.example").bytes(), Answer::Goes),
        ("a name of 4 KiB", Hello::good().named(&[b'a'; 4096]).bytes(), Answer::Alert),
        ("a name that is no ASCII", Hello::good().named("höst.example".as_bytes()).bytes(), Answer::Alert),
        ("a name with a zero", Hello::good().named(b"local\0host").bytes(), Answer::Alert),
        ("an empty name", Hello::good().named(b"").bytes(), Answer::Alert),
        ("a name that lies about its length", Hello::good().with(0, vec![0, 9, 0, 0, 200, b'x']).bytes(), Answer::Alert),
        ("SSL 3.0", Hello::old([3, 0]).bytes(), Answer::Alert),
        ("TLS 1.0", Hello::old([3, 1]).bytes(), Answer::Alert),
        ("TLS 1.1", Hello::old([3, 2]).bytes(), Answer::Alert),
        ("TLS 1.2, where it is not asked for", Hello::old([3, 3]).bytes(), Answer::Alert),
        ("TLS 1.1 among the supported versions", Hello::good().with(43, vec![2, 3, 2]).bytes(), Answer::Alert),
        ("a version of the future alone", Hello::good().with(43, vec![2, 3, 9]).bytes(), Answer::Alert),
        ("weak suites alone", no_suite.bytes(), Answer::Alert),
        ("early data", Hello::good().with(42, Vec::new()).bytes(), Answer::Goes),
        ("an extension that lies about its length", lying(good.len() - 40), Answer::Alert),
        ("a handshake of 16 MiB, waited for up to the deadline", lying(6), Answer::Nothing),
        ("no handshake in a handshake record", vec![0x16, 3, 1, 0, 4, 0xfe, 0, 0, 0], Answer::Alert),
        ("an empty record", vec![0x16, 3, 1, 0, 0], Answer::Alert),
        ("a record of 64 KiB", [vec![0x16, 3, 1, 0xff, 0xff], [0].repeat(0xffff)].concat(), Answer::Alert),
        ("data before the handshake", [&[0x17, 3, 3, 0, 4][..], b"data"].concat(), Answer::Nothing),
        ("an alert", vec![0x15, 3, 3, 0, 2, 2, 40], Answer::Nothing),
        ("SSL 2.0", vec![0x80, 0x2e, 1, 0, 2], Answer::Nothing),
    ];
    let mut wrong = Vec::new();
    for (what, bytes, wanted) in rows {
        let answer = answer(&server, &bytes).await;
        if answer != wanted {
            wrong.push(format!("{what}: {answer:?} instead of {wanted:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(peak.growth() < TOLERATED, "hellos hold {} bytes", peak.growth());
    Raw::connect(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_drips_is_cut_off_by_the_deadline_of_the_phase_and_not_of_the_byte() {
    let server = TestServer::start().await;
    let tcp = || async { TcpStream::connect(&server.address).await.expect("the server listens") };
    let hello = Hello { extensions: vec![(21, vec![0; 8000])], ..Hello::good() }.bytes();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: {}", "x".repeat(8000));
    tokio::join!(drip("a hello", tcp().await, hello), drip("a request's head", tls(&server).await, head.into_bytes()), async {
        for _ in 0..20 {
            Raw::connect(&server).await;
        }
    },);
}

/// Writes a byte now and then until the server ends the connection.
async fn drip(what: &str, stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite, bytes: Vec<u8>) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    let dripping = async {
        for byte in bytes {
            ticks.tick().await;
            if writer.write_all(&[byte]).await.is_err() || writer.flush().await.is_err() {
                return;
            }
        }
        panic!("{what} was dripped to its end");
    };
    let reading = async {
        let mut waste = [0; 1024];
        while reader.read(&mut waste).await.is_ok_and(|length| length > 0) {}
    };
    within(what, async {
        tokio::select! { () = dripping => {}, () = reading => {} }
    })
    .await;
}
