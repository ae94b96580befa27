//! The least that can be reconnected to: TCP, TLS as the server offers it (suites, key exchange, tickets, a chain of a leaf
//! and its authority) and an upgrade to a WebSocket. A process of its own, so that its CPU is measured alone. It knows
//! nobody.

use std::{net::SocketAddr, sync::Arc};

use futures_util::{StreamExt as _, stream};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, ServerName},
    version::TLS13,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tokio_websockets::{ClientBuilder, ServerBuilder, WebSocketStream};

use super::itself::Itself;
use crate::{
    measure::{Taken, best, watch},
    scale::Scale,
};

/// Serves until it is killed. The first line on standard output is the port, the rest the authority's certificate.
pub async fn serve() {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let root = authority.self_signed(&authority_key).expect("a certificate");
    let key = KeyPair::generate().expect("a key");
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let leaf = CertificateParams::new(names).expect("names").signed_by(&key, &Issuer::new(authority, authority_key));
    let chain = vec![leaf.expect("a certificate").der().clone(), root.der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider speaks TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the certificate is the key's");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().expect("randomness");
    config.send_tls13_tickets = 1;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    print!("{}", root.pem());
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _gone = stream.set_nodelay(true);
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let Ok((_, mut socket)) = ServerBuilder::new().accept(stream).await else { return };
            while let Some(Ok(_)) = socket.next().await {}
        });
    }
}

/// A running door.
pub struct Door {
    itself: Itself,
    address: SocketAddr,
    roots: Arc<RootCertStore>,
}

type Inside = WebSocketStream<TlsStream<TcpStream>>;

impl Door {
    /// Starts this very program as a door.
    pub async fn start() -> Self {
        let itself = Itself::start("door").await;
        Self { address: SocketAddr::from(([127, 0, 0, 1], itself.port)), roots: Arc::new(itself.roots.clone()), itself }
    }

    /// So many come in, `at_once` at the same time: by full handshakes, and again resuming their sessions.
    pub async fn measure(&self, scale: &Scale, at_once: usize) -> (Taken, Taken) {
        let pid = self.itself.pid();
        let (mut full, mut resumed) = (Vec::new(), Vec::new());
        // The first round is not counted: memory is touched in it for the first time.
        for round in 0..=scale.rounds {
            let connectors: Vec<TlsConnector> = (0..scale.returning).map(|_| self.connector()).collect();
            let (first, inside) = watch(pid, self.arrive(&connectors, at_once, HandshakeKind::Full)).await;
            drop(inside);
            let (second, inside) = watch(pid, self.arrive(&connectors, at_once, HandshakeKind::Resumed)).await;
            drop(inside);
            if round > 0 {
                full.push(first);
                resumed.push(second);
            }
        }
        (best(full), best(resumed))
    }

    async fn arrive(&self, connectors: &[TlsConnector], at_once: usize, kind: HandshakeKind) -> Vec<Inside> {
        let arrivals = connectors.iter().map(|connector| async move {
            let tcp = TcpStream::connect(self.address).await.expect("the door is open");
            tcp.set_nodelay(true).expect("it is TCP");
            let name = ServerName::try_from("localhost").expect("a name");
            let tls = connector.connect(name, tcp).await.expect("the certificate is good");
            assert_eq!(tls.get_ref().1.handshake_kind(), Some(kind));
            let builder = ClientBuilder::new().uri("wss://localhost/").expect("a URI");
            builder.connect_on(tls).await.expect("it becomes a WebSocket").0
        });
        stream::iter(arrivals).buffered(at_once).collect().await
    }

    /// Somebody who has never been here.
    fn connector(&self) -> TlsConnector {
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .expect("the provider speaks TLS 1.3")
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsConnector::from(Arc::new(config))
    }
}
