//! For tests: a client that trusts a local authority.

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The client's end of a connection.
pub(in crate::transport) type ClientStream = TlsStream<TcpStream>;

/// Trusts one authority and nobody else.
pub(in crate::transport) struct Client(TlsConnector);

impl Client {
    pub(in crate::transport) fn new(authority_pem: &str) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(authority_pem.as_bytes()).expect("PEM");
        roots.add(authority).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider speaks TLS 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self(TlsConnector::from(Arc::new(config)))
    }

    pub(in crate::transport) async fn connect(&self, stream: TcpStream) -> io::Result<ClientStream> {
        self.0.connect(ServerName::try_from("localhost").expect("a name"), stream).await
    }
}
