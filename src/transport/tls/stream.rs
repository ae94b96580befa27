//! The handshake, and the stream it gives.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::Tls;
use crate::transport::{HANDSHAKE_BYTES_MAX, counted::Limited};

/// A connection inside TLS.
pub(in crate::transport) type Stream = TlsStream<Limited<TcpStream>>;

impl Tls {
    /// Shakes hands, reading [`HANDSHAKE_BYTES_MAX`] bytes at most; the caller sets the deadline.
    pub(in crate::transport) async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        let limited = Limited::new(stream, HANDSHAKE_BYTES_MAX);
        let mut stream = TlsAcceptor::from(self.config.clone()).accept(limited).await?;
        stream.get_mut().0.lift();
        Ok(stream)
    }
}
