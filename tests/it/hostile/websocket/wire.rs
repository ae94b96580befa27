//! A client of RFC 6455 written byte by byte, so that no library decides what may be sent, and a reader that takes the
//! server at its word: whatever it sends has to be in order itself.

use bytes::{Buf as _, Bytes, BytesMut};
use prost::Message as _;
use sovereign_proto::{
    Call as _,
    v1::{self, Envelope, Hello, envelope, push},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::harness::{TestServer, raw::Keys, tls::tls, within};

/// The last frame of a message, or its only one.
pub const FIN: u8 = 0x80;
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

/// A mask that changes every byte.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// How a length is written.
#[derive(Clone, Copy)]
pub enum Length {
    /// As RFC 6455, section 5.2 wants it.
    Shortest,
    Sixteen,
    SixtyFour,
}

/// A masked frame.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, payload, Length::Shortest, Some(MASK))
}

/// A frame with every choice.
pub fn frame_with(first: u8, payload: &[u8], length: Length, mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match (length, payload.len()) {
        (Length::Shortest, short @ 0..126) => bytes.push(masked | u8::try_from(short).expect("a short payload")),
        (Length::Shortest, 126..65_536) | (Length::Sixteen, _) => {
            bytes.push(masked | 0x7e);
            bytes.extend(u16::try_from(payload.len()).expect("sixteen bits").to_be_bytes());
        }
        (Length::Shortest | Length::SixtyFour, _) => {
            bytes.push(masked | 0x7f);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    let Some(mask) = mask else {
        bytes.extend(payload);
        return bytes;
    };
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A head that claims a length and brings nothing of it.
pub fn head_of(first: u8, claimed: u64) -> Vec<u8> {
    let length = match u16::try_from(claimed) {
        Ok(short) => [&[0xfe][..], &short.to_be_bytes()].concat(),
        Err(_) => [&[0xff][..], &claimed.to_be_bytes()].concat(),
    };
    [&[first][..], &length, &MASK].concat()
}

/// A close frame's payload.
pub fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

/// A request that anybody may ask.
pub fn ping_request(id: u64) -> Vec<u8> {
    let body = Some(v1::PingRequest { client_time_ms: 1 }.into_body());
    Envelope { request_id: id, body: Some(envelope::Body::Request(v1::Request { body })) }.encode_to_vec()
}

/// The same in exactly so many bytes: what is added is a field of the future.
pub fn ping_request_of(id: u64, length: usize) -> Vec<u8> {
    let mut bytes = ping_request(id);
    for padding in (0..length).rev() {
        let mut longer = bytes.clone();
        prost::encoding::encode_key(200, prost::encoding::WireType::LengthDelimited, &mut longer);
        prost::encoding::encode_varint(padding as u64, &mut longer);
        if longer.len() + padding == length {
            longer.resize(length, 7);
            bytes = longer;
            break;
        }
    }
    assert_eq!(bytes.len(), length, "no padding makes this length");
    bytes
}

/// What the server said, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Answer(u64),
    Pong(Vec<u8>),
    Close(Option<u16>),
    /// The end of TLS, said as it should be.
    End,
    /// The end of the connection without that.
    Cut,
}

/// A connection.
pub struct Wire {
    stream: TlsStream<TcpStream>,
    received: BytesMut,
    pub hello: Hello,
}

impl Wire {
    /// Connects, upgrades and takes the `Hello`.
    pub async fn connect(server: &TestServer) -> Self {
        let mut stream = tls(server).await;
        let head = "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Protocol: sovereign.v1\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("the server reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(within("the upgrade", stream.read_u8()).await.expect("a head"));
        }
        let answer = String::from_utf8(answer).expect("a head is text");
        assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
        let mut wire = Self { stream, received: BytesMut::new(), hello: Hello::default() };
        let envelope = Envelope::decode(wire.frame().await.expect("a frame").1).expect("an Envelope");
        match envelope.body {
            Some(envelope::Body::Push(v1::Push { body: Some(push::Body::Hello(hello)) })) => wire.hello = hello,
            _ => panic!("the first frame is no Hello"),
        }
        wire
    }

    /// Connects and signs in.
    pub async fn sign_in(server: &TestServer, keys: &Keys) -> Self {
        let mut wire = Self::connect(server).await;
        let request = v1::SignInRequest {
            account_id: Bytes::copy_from_slice(&keys.account),
            device_id: Bytes::copy_from_slice(&keys.device),
            proof: Some(keys.proof(&wire.hello, keys.account, sovereign_proto::signed::PURPOSE_SIGN_IN)),
            ..v1::SignInRequest::default()
        };
        let body = Some(envelope::Body::Request(v1::Request { body: Some(request.into_body()) }));
        wire.write(&frame(FIN | BINARY, &Envelope { request_id: 1, body }.encode_to_vec())).await;
        assert_eq!(wire.said().await, Said::Answer(1));
        wire
    }

    /// Writes bytes, whatever they are. A connection that is closed already takes nothing: what follows tells why.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _closed = self.stream.write_all(bytes).await;
        let _closed = self.stream.flush().await;
    }

    /// The next thing said; pushes are passed over.
    pub async fn said(&mut self) -> Said {
        loop {
            let (opcode, payload) = match self.frame().await {
                Ok(frame) => frame,
                Err(end) => return end,
            };
            match opcode {
                BINARY => {
                    let envelope = Envelope::decode(payload).expect("the server sends Envelopes");
                    if envelope.request_id != 0 {
                        assert!(matches!(envelope.body, Some(envelope::Body::Response(_))), "a request was refused");
                        return Said::Answer(envelope.request_id);
                    }
                }
                PONG => return Said::Pong(payload.to_vec()),
                CLOSE => {
                    assert!(payload.len() != 1, "half a close code");
                    let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                    assert!(std::str::from_utf8(payload.get(2..).unwrap_or_default()).is_ok(), "the reason is text");
                    return Said::Close(code);
                }
                PING => {}
                other => panic!("the server sends opcode {other}"),
            }
        }
    }

    /// The next frame: opcode and payload. Everything about it has to be in order.
    async fn frame(&mut self) -> Result<(u8, Bytes), Said> {
        self.need(2).await?;
        let (first, second) = (self.received[0], self.received[1]);
        assert_eq!(first & 0x70, 0, "no extension was negotiated");
        assert_eq!(first & FIN, FIN, "the server sends whole messages");
        assert!(second < 0x80, "a server does not mask");
        let (head, length) = match second {
            126 => {
                self.need(4).await?;
                (4, usize::from(u16::from_be_bytes([self.received[2], self.received[3]])))
            }
            127 => {
                self.need(10).await?;
                let length = self.received[2..10].try_into().expect("eight bytes");
                (10, usize::try_from(u64::from_be_bytes(length)).expect("a length that fits"))
            }
            short => (2, usize::from(short)),
        };
        assert!(head == 2 || length >= if head == 4 { 126 } else { 65_536 }, "the shortest length");
        assert!(first & 0x8 == 0 || head == 2, "a control frame is short");
        self.need(head + length).await?;
        self.received.advance(head);
        Ok((first & 0xf, self.received.split_to(length).freeze()))
    }

    async fn need(&mut self, length: usize) -> Result<(), Said> {
        while self.received.len() < length {
            match within("the server", self.stream.read_buf(&mut self.received)).await {
                Ok(0) if self.received.is_empty() => return Err(Said::End),
                Ok(0) | Err(_) => return Err(Said::Cut),
                Ok(_) => {}
            }
        }
        Ok(())
    }
}
