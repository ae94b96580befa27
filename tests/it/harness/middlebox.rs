//! A box in the middle of the network that opens TLS, lets ordinary requests pass and cuts `WebSockets`. It has the
//! server's own certificate, since clients trust no other.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{TestServer, tls::Door};

/// A running box; it ends when this is dropped.
pub struct Middlebox {
    /// The port of the server behind it.
    behind: String,
    /// Where it listens, on 127.0.0.1.
    port: u16,
    cut: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Middlebox {
    /// Starts in front of a server.
    pub async fn start(server: &TestServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let acceptor = acceptor(server);
        let cut = Arc::new(AtomicUsize::new(0));
        let (counter, door) = (Arc::clone(&cut), Door::of(server));
        let behind = door.port().to_owned();
        let accepting = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, counter, door) = (acceptor.clone(), Arc::clone(&counter), door.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        pass(stream, &door, &counter).await;
                    }
                });
            }
        });
        Self { behind, port, cut, accepting }
    }

    /// The link to the server, leading through this box.
    pub fn lead(&self, link: &str) -> String {
        link.replacen(&format!(":{}/", self.behind), &format!(":{}/", self.port), 1)
    }

    /// How many `WebSockets` it has cut.
    pub fn cut(&self) -> usize {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Drop for Middlebox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Looks at the first request of a connection; all that follows it passes.
async fn pass(mut stream: TlsStream<TcpStream>, door: &Door, cut: &AtomicUsize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    if String::from_utf8_lossy(&head).to_ascii_lowercase().contains("upgrade: websocket") {
        cut.fetch_add(1, Ordering::Relaxed);
        let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        let _gone = stream.shutdown().await;
        return;
    }
    // A server that is away is away behind a box, too.
    let Ok(mut onward) = door.connect().await else { return };
    if onward.write_all(&head).await.is_ok() {
        let _gone = copy_bidirectional(&mut stream, &mut onward).await;
    }
}

fn acceptor(server: &TestServer) -> TlsAcceptor {
    let directory = server.data().join("tls");
    // Clients look for the pinned authority among what is sent along.
    let certificate = |name: &str| {
        let pem = fs::read(directory.join(name)).expect("the server has made its certificates");
        CertificateDer::from_pem_slice(&pem).expect("a certificate")
    };
    let chain = vec![certificate("server.pem"), certificate("ca.pem")];
    let key = fs::read(directory.join("server.key")).expect("the server has a key");
    let key = PrivateKeyDer::from_pem_slice(&key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("certificate and key belong together");
    TlsAcceptor::from(Arc::new(config))
}
