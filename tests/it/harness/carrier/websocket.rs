//! Frames over a WebSocket.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, header};
use sovereign_proto::{SUBPROTOCOL, SUBPROTOCOL_TOKEN_PREFIX};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_websockets::{ClientBuilder, Error, Message, WebSocketStream, upgrade};

use super::Ended;
use crate::harness::{raw::Carry, tls::Door};

pub type WebSocket = WebSocketStream<TlsStream<TcpStream>>;

/// Connects; the HTTP status if the upgrade is refused.
pub async fn connect(door: &Door, carry: Carry<'_>) -> Result<WebSocket, u16> {
    let stream = door.connect().await.expect("the server listens");
    let query = match carry {
        Carry::Ticket(ticket) => format!("?ticket={ticket}"),
        Carry::Query(key, value) => format!("?{key}={value}"),
        _ => String::new(),
    };
    let uri = format!("wss://localhost:{}/v1/ws{query}", door.port()).parse().expect("a uri");
    let subprotocols = match carry {
        Carry::Subprotocol(token) => format!("{SUBPROTOCOL}, {SUBPROTOCOL_TOKEN_PREFIX}{token}"),
        _ => SUBPROTOCOL.to_owned(),
    };
    let builder = ClientBuilder::from_uri(uri);
    let mut builder = builder.add_header(header::SEC_WEBSOCKET_PROTOCOL, value(&subprotocols)).expect("a header that is allowed");
    if let Carry::Header(token) = carry {
        let bearer = value(&format!("Bearer {token}"));
        builder = builder.add_header(header::AUTHORIZATION, bearer).expect("a header that is allowed");
    }
    match builder.connect_on(stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status))) => Err(status),
        Err(error) => panic!("the upgrade fails: {error}"),
    }
}

/// Sends any message. What follows on a socket that is closed already tells why it takes nothing.
pub async fn send(socket: &mut WebSocket, message: Message) {
    let _closed = socket.send(message).await;
}

/// The next binary message.
pub async fn next(socket: &mut WebSocket) -> Result<Bytes, Ended> {
    loop {
        let Some(Ok(message)) = socket.next().await else { return Err(Ended { code: None }) };
        if let Some((code, _)) = message.as_close() {
            return Err(Ended { code: Some(code.into()) });
        }
        if message.is_binary() {
            return Ok(Bytes::from(message.into_payload()));
        }
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a header value")
}
