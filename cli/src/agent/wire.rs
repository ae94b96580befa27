//! The lines between a command and the owner of its home.

use std::io;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};

use crate::{event::Event, exit::Exit};

/// Longest line taken: a page of history with the largest messages, escaped.
const LINE_BYTES_MAX: usize = 32 << 20;

/// What the command says after its first line, which is the request itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromCommand {
    /// The events of the last `Events` have been written and flushed.
    Flushed,
    /// End where nothing is lost.
    Stop,
}

/// What the owner says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FromOwner {
    /// The command runs from here on. An end before this line means that nothing happened.
    Started,
    /// Output; the next comes after `Flushed`.
    Events(Vec<Event>),
    /// The command has ended.
    Exit(Exit),
    /// The owner ends and the command has not: go on without it.
    Moved,
}

/// Writes one line.
pub(super) async fn write<W: AsyncWrite + Unpin>(writer: &mut W, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.flush().await
}

/// Reads lines, keeping a partial one over a cancelled read.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    partial: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), partial: Vec::new() }
    }

    /// The next line; `None` at the end. Cancel safe.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return if self.partial.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            self.partial.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
            let taken = end.map_or(chunk.len(), |end| end + 1);
            self.reader.consume(taken);
            if end.is_some() {
                return serde_json::from_slice(&std::mem::take(&mut self.partial)).map(Some).map_err(io::Error::from);
            }
            if self.partial.len() > LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "an endless line"));
            }
        }
    }
}
