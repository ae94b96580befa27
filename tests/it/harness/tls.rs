//! TLS to a server, checked against that server's own authority.

use std::{fs, io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::TestServer;

/// Where a server is reached, and by what it is believed. Stays good over restarts.
#[derive(Clone)]
pub struct Door {
    address: String,
    connector: TlsConnector,
}

impl Door {
    /// Of a server that runs.
    pub fn of(server: &TestServer) -> Self {
        let pem = fs::read(server.data().join("tls/ca.pem")).expect("the server has made its authority");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem).expect("a certificate")).expect("the authority is good");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider speaks TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { address: server.address.clone(), connector: TlsConnector::from(Arc::new(config)) }
    }

    /// The port.
    pub fn port(&self) -> &str {
        self.address.rsplit(':').next().expect("an address has a port")
    }

    /// A connection, unless the server is away.
    pub async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await?;
        // A request is two writes: nobody waits for the first one's acknowledgement.
        stream.set_nodelay(true)?;
        self.over(stream).await
    }

    /// The same over a connection that is there.
    pub async fn over(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").expect("a name");
        self.connector.connect(name, stream).await
    }
}

/// A connection to a server that runs.
pub async fn tls(server: &TestServer) -> TlsStream<TcpStream> {
    Door::of(server).connect().await.expect("the server listens and shows its certificate")
}

/// The same over a connection that is there.
#[allow(dead_code, reason = "the benches ask for less")]
pub async fn tls_on(server: &TestServer, stream: TcpStream) -> TlsStream<TcpStream> {
    Door::of(server).over(stream).await.expect("the TLS handshake succeeds")
}
