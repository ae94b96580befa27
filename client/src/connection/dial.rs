//! Reaching the server: TCP, TLS, WebSocket upgrade, each under a deadline.

use std::{future::Future, time::Duration};

use sovereign_proto::SUBPROTOCOL;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_websockets::{ClientBuilder, Config, Limits, upgrade};

use super::{
    Endpoint,
    exchange::{Connect, Exchange, Failed},
    socket::Socket,
    tls::{self, TlsError},
};
use crate::clock::monotonic;

/// For name resolution and the TCP handshake.
const TCP_DEADLINE: Duration = Duration::from_secs(10);
/// For the TLS handshake, and for the upgrade.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(10);
/// Largest frame taken from the server.
const INCOMING_BYTES_MAX: usize = 16 << 20;

/// Makes connections. Tests stand another one in for it.
pub(super) trait Dial: Send + 'static {
    /// What the WebSocket runs over.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// One attempt.
    fn dial(&mut self) -> impl Future<Output = Result<Socket<Self::Stream>, DialError>> + Send;

    /// The server's first frame came through what was dialled last.
    fn heard(&mut self);
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum DialError {
    /// Another try may succeed.
    Network(String),
    /// Another try is of no use: whoever answers is not our server, or nobody could be believed.
    Untrusted(String),
}

/// `WebSockets` in a row that stood on good TLS and brought no frame, after which requests are made instead.
const CUT_MAX: u32 = 3;
/// How long requests are preferred before a WebSocket is tried again.
const PREFER_REQUESTS: Duration = Duration::from_mins(10);

/// Over the network. The TLS configuration is made once, so that sessions are resumed; clones made after the first dial,
/// or after [`Dialer::prepare`], share it.
#[derive(Clone)]
pub(super) struct Dialer {
    endpoint: Endpoint,
    connector: Option<TlsConnector>,
    /// `WebSockets` in a row of which nothing was heard.
    cut: u32,
    /// Requests were chosen for the last attempt.
    by_requests: bool,
    /// Since when they are known to work where `WebSockets` do not.
    requests_since: Option<Instant>,
}

impl Dialer {
    /// Nothing is reached out for yet.
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, connector: None, cut: 0, by_requests: false, requests_since: None }
    }

    /// The last attempt was a WebSocket that brought nothing, and the next ones lead to requests: worth going on at once
    /// where there is no reconnecting.
    pub(super) fn leads_to_requests(&self) -> bool {
        (1..=CUT_MAX).contains(&self.cut)
    }

    fn prefers_requests(&self) -> bool {
        match self.requests_since {
            Some(since) => since.elapsed() < PREFER_REQUESTS,
            // Every other attempt, so that a server that is merely in trouble is not met by requests alone.
            None => self.cut >= CUT_MAX && self.cut % 2 == CUT_MAX % 2,
        }
    }

    /// Makes the TLS configuration.
    pub(super) fn prepare(&mut self) -> Result<(), DialError> {
        self.connector().map(drop)
    }

    fn connector(&mut self) -> Result<TlsConnector, DialError> {
        if let Some(connector) = &self.connector {
            return Ok(connector.clone());
        }
        let connector = tls::connector(self.endpoint.ca_pin)?;
        Ok(self.connector.insert(connector).clone())
    }
}

impl Dial for Dialer {
    type Stream = TlsStream<TcpStream>;

    async fn dial(&mut self) -> Result<Socket<Self::Stream>, DialError> {
        let secured = Secured { endpoint: self.endpoint.clone(), connector: self.connector()? };
        self.by_requests = self.prefers_requests();
        if self.by_requests {
            self.cut += 1;
            return Ok(Socket::Exchange(Exchange::start(secured, self.endpoint.authority())));
        }
        let tls = secured.stream().await?;
        self.cut += 1;
        self.requests_since = None;
        timeout(UPGRADE_DEADLINE, upgrade(&self.endpoint, tls)).await.map_err(|_| slow(&self.endpoint))?
    }

    fn heard(&mut self) {
        if self.by_requests {
            self.requests_since.get_or_insert_with(monotonic);
        }
        self.cut = 0;
    }
}

/// Makes TLS connections to one server.
struct Secured {
    endpoint: Endpoint,
    connector: TlsConnector,
}

impl Secured {
    async fn stream(&self) -> Result<TlsStream<TcpStream>, DialError> {
        let Endpoint { host, port, .. } = &self.endpoint;
        let network = |error: &std::io::Error| DialError::Network(format!("{}: {error}", self.endpoint.authority()));
        let tcp = timeout(TCP_DEADLINE, TcpStream::connect((host.as_str(), *port)))
            .await
            .map_err(|_| DialError::Network(format!("{} does not answer", self.endpoint.authority())))?
            .map_err(|error| network(&error))?;
        tcp.set_nodelay(true).map_err(|error| network(&error))?;
        let secured = timeout(UPGRADE_DEADLINE, tls::handshake(&self.connector, host, tcp)).await;
        Ok(secured.map_err(|_| slow(&self.endpoint))??)
    }
}

impl Connect for Secured {
    type Stream = TlsStream<TcpStream>;

    async fn connect(&self) -> Result<Self::Stream, Failed> {
        self.stream().await.map_err(|error| match error {
            DialError::Network(text) => Failed::Network(text),
            DialError::Untrusted(text) => Failed::Refused(text),
        })
    }
}

fn slow(endpoint: &Endpoint) -> DialError {
    DialError::Network(format!("{} takes too long to answer", endpoint.authority()))
}

/// The limits and the buffering of a client's WebSocket: what is fed is queued and written while reading goes on, so
/// that neither side can wait for the other; what may be queued is bounded by the requests in flight.
pub(super) fn builder<'a>() -> ClientBuilder<'a> {
    ClientBuilder::new()
        .limits(Limits::default().max_payload_len(Some(INCOMING_BYTES_MAX)))
        .config(Config::default().flush_threshold(usize::MAX))
}

async fn upgrade<S>(endpoint: &Endpoint, stream: S) -> Result<Socket<S>, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let protocol = "sec-websocket-protocol";
    let builder = builder()
        .uri(&format!("wss://{}/v1/ws", endpoint.authority()))
        .map_err(|error| DialError::Network(format!("{}: {error}", endpoint.authority())))?
        .add_header(
            protocol.parse().expect("a valid header name"),
            SUBPROTOCOL.parse().expect("the subprotocol is visible ASCII"),
        )
        .expect("the builder reserves other headers than the subprotocol's");
    let (stream, response) = builder.connect_on(stream).await.map_err(|error| match error {
        tokio_websockets::Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status)) => {
            DialError::Network(format!("{} refuses the WebSocket (HTTP status {status})", endpoint.authority()))
        }
        other => DialError::Network(format!("{}: {other}", endpoint.authority())),
    })?;
    if response.headers().get(protocol).is_none_or(|chosen| chosen.as_bytes() != SUBPROTOCOL.as_bytes()) {
        return Err(DialError::Network(format!("{} does not speak {SUBPROTOCOL}", endpoint.authority())));
    }
    Ok(Socket::new(stream))
}

impl From<TlsError> for DialError {
    fn from(error: TlsError) -> Self {
        match error {
            TlsError::Untrusted(text) | TlsError::NoRoots(text) => Self::Untrusted(text),
            TlsError::Network(text) => Self::Network(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_websockets::ServerBuilder;

    use super::*;

    /// A server on loopback that takes one connection and names `subprotocol` in its answer.
    async fn server(subprotocol: Option<&'static str>) -> Endpoint {
        let (pin, acceptor) = tls::tests::acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.expect("dialled");
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let mut builder = ServerBuilder::new();
            if let Some(subprotocol) = subprotocol {
                let (name, value) = ("sec-websocket-protocol".parse(), subprotocol.parse());
                builder = builder.add_header(name.expect("a name"), value.expect("a value")).expect("allowed");
            }
            if let Ok((request, mut socket)) = builder.accept(tls).await {
                assert_eq!(request.uri().path(), "/v1/ws");
                assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL);
                drop(futures_util::StreamExt::next(&mut socket).await);
            }
        });
        Endpoint { host: "127.0.0.1".to_owned(), port, server_id: [0; 32], ca_pin: Some(pin) }
    }

    #[tokio::test]
    async fn reaches_the_pinned_server_and_tells_why_not_another() {
        assert!(Dialer::new(server(Some(SUBPROTOCOL)).await).dial().await.is_ok());

        let other_pin = Endpoint { ca_pin: Some([0; 32]), ..server(Some(SUBPROTOCOL)).await };
        assert!(matches!(Dialer::new(other_pin).dial().await, Err(DialError::Untrusted(text)) if text.contains("authority")));

        let other_name = Endpoint { host: "localhost".to_owned(), ..server(Some(SUBPROTOCOL)).await };
        assert!(matches!(Dialer::new(other_name).dial().await, Err(DialError::Untrusted(text)) if text.contains("another name")));

        for subprotocol in [None, Some("other.v1")] {
            let refused = Dialer::new(server(subprotocol).await).dial().await;
            assert!(matches!(refused, Err(DialError::Network(text)) if text.contains("does not speak")));
        }

        let nobody = server(None).await;
        Dialer::new(nobody.clone()).dial().await.err();
        assert!(matches!(Dialer::new(nobody).dial().await, Err(DialError::Network(_))));
    }
}
