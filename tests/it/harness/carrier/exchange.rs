//! Frames over requests to `/v1/exchange` (docs/protocol, Exchange), written against that page alone.
//!
//! Nothing is asked for while nobody reads, so a reader that stops is one here too.

use std::{collections::VecDeque, io, time::Duration};

use bytes::Bytes;
use sovereign_proto::exchange;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::Ended;
use crate::harness::tls::Door;

/// How long the server may wait for something to tell.
const WAIT: Duration = Duration::from_secs(25);

/// The client's side of an exchange session.
pub struct Exchange {
    door: Door,
    /// Kept for the next request, while it is good.
    connection: Option<TlsStream<TcpStream>>,
    token: Option<String>,
    session: Option<String>,
    /// Frames of the server so far.
    received: u64,
    /// Frames of ours that the server has.
    confirmed: u64,
    /// Ours behind those.
    outgoing: VecDeque<Bytes>,
    /// The server's that nobody has read yet.
    arrived: VecDeque<Bytes>,
    ended: bool,
    /// What it was closed with, if it was.
    code: Option<u16>,
    leaving: bool,
    requests: usize,
    /// Of so many answers one is lost on its way; 0: none.
    lost: usize,
}

struct Answer {
    status: u16,
    head: String,
    body: Bytes,
}

impl Exchange {
    /// Opens a session. The server's first frame comes with the answer.
    pub async fn open(door: &Door, token: Option<&str>) -> Result<Self, u16> {
        let mut exchange = Self {
            door: door.clone(),
            connection: None,
            token: token.map(str::to_owned),
            session: None,
            received: 0,
            confirmed: 0,
            outgoing: VecDeque::new(),
            arrived: VecDeque::new(),
            ended: false,
            code: None,
            leaving: false,
            requests: 0,
            lost: 0,
        };
        match exchange.post(WAIT).await {
            200 => Ok(exchange),
            status => Err(status),
        }
    }

    /// The header that names the session, and how many frames of the server and of ours have arrived.
    #[allow(dead_code, reason = "the benches ask for less")]
    pub fn numbers(&self) -> (String, u64, u64) {
        let session = self.session.as_ref().expect("it was opened");
        (format!("{}: {session}\r\n", exchange::SESSION), self.received, self.confirmed)
    }

    /// The same as the headers of a request that goes on from there.
    #[allow(dead_code, reason = "the benches ask for less")]
    pub fn place(&self) -> String {
        let (session, received, sent) = self.numbers();
        format!("{session}{}: {received}\r\n{}: {sent}\r\n", exchange::RECEIVED, exchange::SENT)
    }

    /// From here on the network loses one answer in so many. What they say is asked for again.
    pub fn lose_one_answer_in(&mut self, lost: usize) {
        self.lost = lost;
    }

    /// Sends a frame, together with what the server has not taken before.
    pub async fn send(&mut self, frame: Bytes) {
        self.outgoing.push_back(frame);
        let mut wait = Duration::ZERO;
        while !self.ended && !self.outgoing.is_empty() {
            self.post(wait).await;
            // Where the server takes no more, it has work to do first.
            wait = Duration::from_millis(20);
        }
    }

    /// The next frame of the server.
    pub async fn next(&mut self) -> Result<Bytes, Ended> {
        loop {
            if let Some(frame) = self.arrived.pop_front() {
                return Ok(frame);
            }
            if self.ended {
                return Err(Ended { code: self.code });
            }
            self.post(WAIT).await;
        }
    }

    /// Ends the session.
    pub async fn say_goodbye(mut self) {
        self.leaving = true;
        self.post(Duration::ZERO).await;
    }

    /// Makes a request; the status it is answered with, 0 for none.
    async fn post(&mut self, wait: Duration) -> u16 {
        // A connection that was kept may have ended meanwhile; whether the request arrived does not matter.
        let mut answer = self.ask(wait).await;
        if answer.is_err() {
            answer = self.ask(wait).await;
        }
        let Ok(answer) = answer else {
            self.end(None);
            return 0;
        };
        match answer.status {
            200 => self.answered(&answer),
            // A frame that is far too large never becomes one.
            413 => self.end(Some(1009)),
            _ => self.end(None),
        }
        answer.status
    }

    fn answered(&mut self, answer: &Answer) {
        let number = |name| answer.header(name).and_then(|value| value.parse::<u64>().ok());
        self.session = answer.header(exchange::SESSION).map(str::to_owned);
        let taken = number(exchange::RECEIVED).expect("what the server has");
        while self.confirmed < taken {
            self.outgoing.pop_front().expect("the server has no more than was sent");
            self.confirmed += 1;
        }
        let before = number(exchange::SENT).expect("where its frames belong");
        assert!(before <= self.received, "frames are missing: {before} are said to have come, {} have", self.received);
        let frames = exchange::split(&answer.body).expect("whole frames");
        let known = usize::try_from(self.received - before).expect("few frames");
        for frame in frames.skip(known) {
            self.received += 1;
            self.arrived.push_back(frame);
        }
        if let Some(code) = number(exchange::CLOSED) {
            self.end(Some(u16::try_from(code).expect("a close code")));
        }
    }

    fn end(&mut self, code: Option<u16>) {
        (self.ended, self.code) = (true, code);
    }

    async fn ask(&mut self, wait: Duration) -> io::Result<Answer> {
        // Whoever gives up waiting leaves no half-read connection behind.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.door.connect().await?,
        };
        let body = exchange::join(self.outgoing.iter());
        let who = match (&self.session, &self.token) {
            (Some(session), _) => format!("{}: {session}\r\n", exchange::SESSION),
            (None, Some(token)) => format!("authorization: Bearer {token}\r\n"),
            (None, None) => String::new(),
        };
        let goodbye = if self.leaving { format!("{}: 1000\r\n", exchange::CLOSED) } else { String::new() };
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n{}: {}\r\n{}: {}\r\n{}: {}\r\n{who}{goodbye}\r\n",
            exchange::PATH,
            body.len(),
            exchange::RECEIVED,
            self.received,
            exchange::SENT,
            self.confirmed,
            exchange::WAIT,
            wait.as_millis(),
        );
        // A server that refuses the body says so and reads no more of it.
        let _refused = connection.write_all(&[head.as_bytes(), &body].concat()).await;
        self.requests += 1;
        if self.session.is_some() && self.lost > 0 && self.requests.is_multiple_of(self.lost) {
            // The server hears of it whole and answers; the answer is lost.
            connection.read_u8().await?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let answer = read(&mut connection).await?;
        if answer.status == 200 {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

async fn read(connection: &mut TlsStream<TcpStream>) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(end + 4);
    let head = String::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let mut answer = Answer { status, head, body: Bytes::new() };
    let length = answer.header("content-length").and_then(|length| length.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    while body.len() < length {
        if connection.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    answer.body = body.into();
    Ok(answer)
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}
