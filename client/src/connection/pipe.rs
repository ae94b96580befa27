//! Connections over streams of the caller's making, in place of TLS over the network: for a client that lives in one
//! process with its server, as in a simulation.

use std::{fmt, io, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    dial::{Dial, DialError, builder},
    socket::Socket,
};

/// Both directions of a connection.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Makes a stream for every attempt to connect. The WebSocket begins with its first byte, without an upgrade.
#[derive(Clone)]
pub struct Pipes(Arc<dyn Fn() -> io::Result<Box<dyn Stream>> + Send + Sync>);

impl Pipes {
    /// `make` is called once for every attempt; an error is a network that does not lead there now.
    pub fn new(make: impl Fn() -> io::Result<Box<dyn Stream>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }
}

impl fmt::Debug for Pipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pipes")
    }
}

impl Dial for Pipes {
    type Stream = Box<dyn Stream>;

    async fn dial(&mut self) -> Result<Socket<Self::Stream>, DialError> {
        let stream = (self.0)().map_err(|error| DialError::Network(error.to_string()))?;
        Ok(Socket::new(builder().take_over(stream)))
    }

    fn heard(&mut self) {}
}
