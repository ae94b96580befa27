//! A connection that knows the protocol and nothing else: for what no honest client would do.

use std::collections::VecDeque;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use prost::Message as _;
use sovereign::entropy;
use sovereign_proto::{
    Call,
    manifest::{Body, Device},
    signed,
    v1::{self, Envelope, Failure, FailureCode, Hello, envelope, push},
};
use tokio::{io::AsyncReadExt as _, net::TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_websockets::Message;

pub use super::carrier::Ended;
use super::{
    TestServer,
    carrier::{Carrier, Exchange, Socket, websocket},
    tls::Door,
    within,
};

/// A device's keys, and those of its account.
#[derive(Clone)]
pub struct Keys {
    /// 16 random bytes.
    pub account: [u8; 16],
    /// 16 random bytes.
    pub device: [u8; 16],
    /// Signs manifest 1.
    pub identity: SigningKey,
    /// Signs everything else.
    pub key: SigningKey,
}

impl Keys {
    /// A new account with its first device.
    pub fn new() -> Self {
        let key = || SigningKey::from_bytes(&entropy::random());
        Self { account: entropy::random(), device: entropy::random(), identity: key(), key: key() }
    }

    /// A further device of the same account.
    pub fn further_device(&self) -> Self {
        Self { device: entropy::random(), key: SigningKey::from_bytes(&entropy::random()), ..self.clone() }
    }

    /// Manifest 1, listing this device.
    pub fn genesis(&self) -> v1::Manifest {
        let body = self.body(1, [0; 32], &[self]);
        let signature = self.identity.sign(&signed::manifest(&body));
        v1::Manifest { body: body.into(), signer_device_id: Bytes::new(), signature: signature.to_bytes().to_vec().into() }
    }

    /// The version behind `previous`, listing `devices`, signed by this device.
    pub fn next_manifest(&self, previous: &v1::Manifest, devices: &[&Keys]) -> v1::Manifest {
        let version = Body::decode(&previous.body).expect("the previous manifest is good").version + 1;
        let body = self.body(version, Body::hash(&previous.body), devices);
        let signature = self.key.sign(&signed::manifest(&body));
        let signer_device_id = Bytes::copy_from_slice(&self.device);
        v1::Manifest { body: body.into(), signer_device_id, signature: signature.to_bytes().to_vec().into() }
    }

    fn body(&self, version: u64, previous: [u8; 32], devices: &[&Keys]) -> Vec<u8> {
        let listed =
            |keys: &&Keys| Device { device_id: keys.device, device_key: keys.key.verifying_key().to_bytes(), signer: true };
        let devices = devices.iter().map(listed).collect();
        Body { account_id: self.account, version, previous, issued_at_ms: 0, devices }.encode()
    }

    /// A proof over a `Hello`'s challenge.
    pub fn proof(&self, hello: &Hello, account: [u8; 16], purpose: &str) -> v1::DeviceProof {
        let client_nonce: [u8; 32] = entropy::random();
        let signed = signed::SignIn {
            server_id: &hello.server_id,
            account_id: &account,
            device_id: &self.device,
            challenge: &hello.challenge,
            client_nonce: &client_nonce,
            purpose,
        };
        let signature = self.key.sign(&signed.to_bytes()).to_bytes().to_vec().into();
        v1::DeviceProof { client_nonce: Bytes::copy_from_slice(&client_nonce), signature }
    }
}

/// One connection.
pub struct Raw {
    socket: Socket,
    /// From its first frame.
    pub hello: Hello,
    next_id: u64,
    pushes: VecDeque<push::Body>,
    answers: Vec<Envelope>,
}

/// What a connection brings to authenticate by, or to be refused for. All but the header is for upgrades alone.
pub enum Carry<'a> {
    Nothing,
    Header(&'a str),
    Subprotocol(&'a str),
    Ticket(&'a str),
    Query(&'a str, &'a str),
}

impl Raw {
    /// Connects and takes the `Hello`.
    pub async fn connect(server: &TestServer) -> Self {
        Self::connect_over(server.carrier, server).await
    }

    /// The same, whatever the server's stories are carried by.
    pub async fn connect_over(carrier: Carrier, server: &TestServer) -> Self {
        let raw = Self::introduced(carrier, server, Carry::Nothing).await;
        raw.unwrap_or_else(|status| panic!("the connection is refused with {status}"))
    }

    /// Connects with a credential; the HTTP status if that is refused.
    pub async fn connect_with(server: &TestServer, carry: Carry<'_>) -> Result<Self, u16> {
        let of_an_upgrade = matches!(carry, Carry::Subprotocol(_) | Carry::Ticket(_) | Carry::Query(..));
        let carrier = if of_an_upgrade { Carrier::WebSocket } else { server.carrier };
        Self::introduced(carrier, server, carry).await
    }

    async fn introduced(carrier: Carrier, server: &TestServer, carry: Carry<'_>) -> Result<Self, u16> {
        within("a connection", async {
            let door = Door::of(server);
            let token = if let Carry::Header(token) = carry { Some(token) } else { None };
            let socket = match carrier {
                Carrier::WebSocket => Socket::WebSocket(Box::new(websocket::connect(&door, carry).await?)),
                Carrier::Exchange => Socket::Exchange(Box::new(Exchange::open(&door, token).await?)),
            };
            let mut raw = Self { socket, hello: Hello::default(), next_id: 1, pushes: VecDeque::new(), answers: Vec::new() };
            match raw.push().await {
                push::Body::Hello(hello) => raw.hello = hello,
                _ => panic!("the first frame is no Hello"),
            }
            Ok(raw)
        })
        .await
    }

    /// Waits for the session that an upgrade's credential brought.
    pub async fn signed_in(&mut self) -> v1::Session {
        loop {
            if let push::Body::SignedIn(session) = self.push().await {
                return session;
            }
        }
    }

    /// Connects and signs up a new account.
    pub async fn sign_up(server: &TestServer, username: &str) -> (Self, Keys) {
        // Before the connection, which may not be silent for long.
        let invite_code = server.invite_code().await;
        let (mut raw, keys) = (Self::connect(server).await, Keys::new());
        let request = raw.sign_up_request(&keys, username, &invite_code);
        raw.call(request).await.unwrap_or_else(|failure| panic!("sign-up refused: {}", failure.message));
        (raw, keys)
    }

    /// A sign-up that is in order.
    pub fn sign_up_request(&self, keys: &Keys, username: &str, invite_code: &str) -> v1::SignUpRequest {
        v1::SignUpRequest {
            username: username.to_owned(),
            invite_code: invite_code.to_owned(),
            identity_key: Bytes::copy_from_slice(keys.identity.verifying_key().as_bytes()),
            manifest: Some(keys.genesis()),
            password: String::new(),
            proof: Some(keys.proof(&self.hello, keys.account, signed::PURPOSE_SIGN_UP)),
        }
    }

    /// Connects and signs in.
    pub async fn sign_in(server: &TestServer, keys: &Keys) -> (Self, v1::Session) {
        Self::sign_in_over(server.carrier, server, keys).await
    }

    /// The same, whatever the server's stories are carried by.
    pub async fn sign_in_over(carrier: Carrier, server: &TestServer, keys: &Keys) -> (Self, v1::Session) {
        let mut raw = Self::connect_over(carrier, server).await;
        let request = raw.sign_in_request(keys);
        let response = raw.call(request).await.unwrap_or_else(|failure| panic!("sign-in refused: {}", failure.message));
        (raw, response.session.expect("a sign-in brings a session"))
    }

    /// A sign-in that is in order.
    pub fn sign_in_request(&self, keys: &Keys) -> v1::SignInRequest {
        v1::SignInRequest {
            account_id: Bytes::copy_from_slice(&keys.account),
            device_id: Bytes::copy_from_slice(&keys.device),
            proof: Some(keys.proof(&self.hello, keys.account, signed::PURPOSE_SIGN_IN)),
            incarnation: 0,
            positions: Vec::new(),
        }
    }

    /// Sends a request and waits for what answers it. Pushes that come meanwhile are kept.
    pub async fn call<C: Call>(&mut self, request: C) -> Result<C::Response, Failure> {
        let id = self.send(request).await;
        self.answer::<C>(id).await
    }

    /// The failure code with which a request is refused; fails if it is not.
    pub async fn refused<C: Call>(&mut self, request: C) -> FailureCode {
        match self.call(request).await {
            Ok(_) => panic!("{} was not refused", C::NAME),
            Err(failure) => failure.code(),
        }
    }

    /// Sends a request; its id.
    pub async fn send<C: Call>(&mut self, request: C) -> u64 {
        self.send_body(request.into_body()).await
    }

    /// Sends a request of whatever kind; its id.
    pub async fn send_body(&mut self, body: v1::request::Body) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let body = Some(envelope::Body::Request(v1::Request { body: Some(body) }));
        self.frame(Envelope { request_id: id, body }.encode_to_vec()).await;
        id
    }

    /// What answers an earlier request of whatever kind, or how the connection ended instead.
    pub async fn answer_to(&mut self, id: u64) -> Result<Envelope, Ended> {
        loop {
            if let Some(index) = self.answers.iter().position(|envelope| envelope.request_id == id) {
                return Ok(self.answers.swap_remove(index));
            }
            self.read().await?;
        }
    }

    /// The answer to an earlier request.
    pub async fn answer<C: Call>(&mut self, id: u64) -> Result<C::Response, Failure> {
        let answered = self.answer_to(id).await;
        let envelope = answered.unwrap_or_else(|ended| panic!("{} got no answer: closed with {:?}", C::NAME, ended.code));
        match envelope.body {
            Some(envelope::Body::Response(response)) => {
                Ok(response.body.and_then(C::from_body).unwrap_or_else(|| panic!("{} got somebody else's answer", C::NAME)))
            }
            Some(envelope::Body::Failure(failure)) => Err(failure),
            _ => panic!("{} got an answer without a body", C::NAME),
        }
    }

    /// One-way.
    pub async fn acknowledge(&mut self, group_id: &[u8], seq: u64) {
        let positions = vec![v1::Position { group_id: Bytes::copy_from_slice(group_id), seq }];
        let notice = v1::Notice { body: Some(v1::notice::Body::Acknowledge(v1::Acknowledge { positions })) };
        self.frame(Envelope { request_id: 0, body: Some(envelope::Body::Notice(notice)) }.encode_to_vec()).await;
    }

    /// One-way: a signal, whatever stands in it.
    pub async fn signal(&mut self, group_id: &[u8], ciphertext: &[u8]) {
        self.frame(signal_frame(group_id, ciphertext)).await;
    }

    /// The ciphertexts of the signals that have come by the time the server answers, other pushes passed over: to show that
    /// none has come. Whoever should have heard some waits for them ([`Raw::hears`]), since answers wait for nothing else.
    pub async fn signals(&mut self) -> Vec<Bytes> {
        for _ in 0..10 {
            self.call(v1::PingRequest { client_time_ms: 0 }).await.unwrap_or_else(|failure| panic!("{}", failure.message));
        }
        let pushes = std::mem::take(&mut self.pushes);
        let signal = |push| if let push::Body::Signal(signal) = push { Some(signal.ciphertext) } else { None };
        pushes.into_iter().filter_map(signal).collect()
    }

    /// Waits for these signals, and shows that no other one comes with them.
    pub async fn hears(&mut self, ciphertexts: &[&str]) {
        for ciphertext in ciphertexts {
            assert_eq!(self.next_signal().await.ciphertext, ciphertext.as_bytes());
        }
        assert!(self.signals().await.is_empty(), "and nothing else");
    }

    /// The next signal, other pushes passed over.
    pub async fn next_signal(&mut self) -> v1::Signal {
        loop {
            if let push::Body::Signal(signal) = self.push().await {
                return signal;
            }
        }
    }

    /// Sends the bytes as one frame, whatever they are. A connection that has ended takes nothing: what follows tells why.
    pub async fn frame(&mut self, bytes: Vec<u8>) {
        self.socket.send(bytes.into()).await;
    }

    /// Sends any WebSocket message.
    pub async fn message(&mut self, message: Message) {
        websocket::send(self.socket.websocket(), message).await;
    }

    /// The exchange session that carries it, for stories that are about nothing else.
    #[allow(dead_code, reason = "the benches ask for less")]
    pub fn exchange(&self) -> &Exchange {
        match &self.socket {
            Socket::Exchange(exchange) => exchange,
            Socket::WebSocket(_) => {
                panic!("this story is about exchange: it starts its server with TestServer::over(Carrier::Exchange, …)")
            }
        }
    }

    /// The network below an exchange session loses one answer in so many from here on.
    pub fn lose_one_answer_in(&mut self, lost: usize) {
        if let Socket::Exchange(exchange) = &mut self.socket {
            exchange.lose_one_answer_in(lost);
        }
    }

    /// The next push.
    pub async fn push(&mut self) -> push::Body {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return push;
            }
            self.read().await.unwrap_or_else(|ended| panic!("waited for a push: closed with {:?}", ended.code));
        }
    }

    /// The pushes that have come and were not waited for.
    pub fn waiting_pushes(&mut self) -> impl Iterator<Item = push::Body> + '_ {
        self.pushes.drain(..)
    }

    /// The next entries of a log, other pushes passed over.
    pub async fn entries(&mut self, group_id: &[u8]) -> Vec<v1::Entry> {
        loop {
            if let push::Body::Entries(entries) = self.push().await
                && entries.group_id == group_id
            {
                return entries.entries;
            }
        }
    }

    /// Leaves entries to whoever waits for some of this log next.
    pub fn leave(&mut self, group_id: &[u8], entries: Vec<v1::Entry>) {
        let group_id = Bytes::copy_from_slice(group_id);
        self.pushes.push_front(push::Body::Entries(v1::Entries { group_id, entries }));
    }

    /// Waits for `Live`; the entries that came before it, by log.
    pub async fn until_live(&mut self) -> Vec<v1::Entries> {
        let mut seen = Vec::new();
        loop {
            match self.push().await {
                push::Body::Live(_) => return seen,
                push::Body::Entries(entries) => seen.push(entries),
                _ => {}
            }
        }
    }

    /// The next failure or response, whatever it answers.
    pub async fn any_answer(&mut self) -> Result<Envelope, Ended> {
        loop {
            if !self.answers.is_empty() {
                return Ok(self.answers.remove(0));
            }
            self.read().await?;
        }
    }

    /// The stream below the framing.
    pub fn stream(&mut self) -> &mut TlsStream<TcpStream> {
        self.socket.websocket().get_mut()
    }

    /// Goes without waiting for a word, so that the server notices at once: a socket that ends, or a last request.
    pub async fn hang_up(self) {
        if let Socket::Exchange(exchange) = self.socket {
            exchange.say_goodbye().await;
        }
    }

    /// Gives up the framing: from here on nothing is answered, pings neither.
    pub fn deaf(self) -> Deaf {
        Deaf { stream: self.socket.into_stream() }
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.read().await {
                return ended;
            }
        }
    }

    async fn read(&mut self) -> Result<(), Ended> {
        let frame = within("a frame of the server", self.socket.next()).await?;
        let envelope = Envelope::decode(frame).expect("the server sends Envelopes");
        match envelope.body {
            Some(envelope::Body::Push(v1::Push { body: Some(body) })) => self.pushes.push_back(body),
            _ => self.answers.push(envelope),
        }
        Ok(())
    }
}

/// A signal of epoch 1 as it travels to the server.
pub fn signal_frame(group_id: &[u8], ciphertext: &[u8]) -> Vec<u8> {
    let (group_id, ciphertext) = (Bytes::copy_from_slice(group_id), Bytes::copy_from_slice(ciphertext));
    let body = Some(v1::notice::Body::Signal(v1::Signal { group_id, epoch: 1, ciphertext }));
    Envelope { request_id: 0, body: Some(envelope::Body::Notice(v1::Notice { body })) }.encode_to_vec()
}

/// A peer that reads and never answers.
pub struct Deaf {
    stream: TlsStream<TcpStream>,
}

impl Deaf {
    /// Reads up to the close frame, which a server sends unmasked and unfragmented; its code.
    pub async fn close_code(&mut self) -> Option<u16> {
        let mut bytes = Vec::new();
        while within("the end", self.stream.read_buf(&mut bytes)).await.is_ok_and(|length| length > 0) {
            let last = bytes.windows(2).rposition(|pair| pair[0] == 0x88 && pair[1] >= 2);
            if let Some(at) = last.filter(|at| at + 2 + usize::from(bytes[at + 1]) == bytes.len()) {
                return Some(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
            }
        }
        None
    }
}
