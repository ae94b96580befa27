//! What carries Envelopes: a WebSocket, or requests to `/v1/exchange`. A story that can go differently over the two is
//! written once and told over both ([`over_both`]); with `SOVEREIGN_TEST_CARRIER=exchange` all others go by requests
//! too, but those whose matter is a WebSocket.

pub mod exchange;
pub mod websocket;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_websockets::Message;

pub use self::exchange::Exchange;
use self::websocket::WebSocket;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// RFC 6455.
    WebSocket,
    /// `POST /v1/exchange`.
    Exchange,
}

impl Carrier {
    /// The variable that asks for one. No server may see it: to a server it is a key that it does not know.
    pub const CHOICE: &str = "SOVEREIGN_TEST_CARRIER";

    /// What the environment asks for.
    pub fn chosen() -> Self {
        match std::env::var(Self::CHOICE).as_deref() {
            Err(_) | Ok("websocket") => Self::WebSocket,
            Ok("exchange") => Self::Exchange,
            Ok(other) => panic!("SOVEREIGN_TEST_CARRIER={other}: neither websocket nor exchange"),
        }
    }
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// The close code; `None`: it ended without one.
    pub code: Option<u16>,
}

/// One connection, whatever carries it.
pub enum Socket {
    WebSocket(Box<WebSocket>),
    Exchange(Box<Exchange>),
}

impl Socket {
    /// Sends the bytes as one frame, whatever they are. A connection that has ended takes nothing.
    pub async fn send(&mut self, frame: Bytes) {
        match self {
            Self::WebSocket(socket) => websocket::send(socket, Message::binary(frame)).await,
            Self::Exchange(exchange) => exchange.send(frame).await,
        }
    }

    /// The next frame of the server.
    pub async fn next(&mut self) -> Result<Bytes, Ended> {
        match self {
            Self::WebSocket(socket) => websocket::next(socket).await,
            Self::Exchange(exchange) => exchange.next().await,
        }
    }

    /// The WebSocket, for stories that are about nothing else.
    pub fn websocket(&mut self) -> &mut WebSocket {
        match self {
            Self::WebSocket(socket) => socket,
            Self::Exchange(_) => panic!("{ABOUT_WEBSOCKETS}"),
        }
    }

    /// The stream below the framing of a WebSocket.
    pub fn into_stream(self) -> TlsStream<TcpStream> {
        match self {
            Self::WebSocket(socket) => socket.into_inner(),
            Self::Exchange(_) => panic!("{ABOUT_WEBSOCKETS}"),
        }
    }
}

const ABOUT_WEBSOCKETS: &str =
    "this story is about a WebSocket: it starts its server with TestServer::over(Carrier::WebSocket, …)";
