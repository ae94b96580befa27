//! Somebody who speaks plain HTTP to the TLS port is told so.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// First byte of a TLS record that holds a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// Bytes of a plain request that are read so that its sender gets to see the answer.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;

const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 41\r\n\
    connection: close\r\n\r\n\
    This port speaks TLS only: use https://.\n";

/// Whether the first byte can be that of a TLS handshake; `None` if the peer went away without one.
pub(super) async fn speaks_tls(stream: &TcpStream) -> Option<bool> {
    let mut first = [0];
    let length = stream.peek(&mut first).await.ok()?;
    (length == 1).then_some(first[0] == TLS_HANDSHAKE)
}

/// Answers what begins like a word with 400; everything else is junk and gets nothing.
pub(super) async fn answer(stream: &mut TcpStream) {
    let mut first = [0];
    let is_text = stream.peek(&mut first).await.is_ok_and(|length| length == 1) && first[0].is_ascii_alphabetic();
    if !is_text || stream.write_all(ANSWER).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    // Closing with unread bytes would reset the connection under the answer.
    let _ = tokio::io::copy(&mut stream.take(REQUEST_BYTES_MAX), &mut tokio::io::sink()).await;
}
