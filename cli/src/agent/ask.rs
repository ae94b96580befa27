//! The side of a command that found its home owned.

use std::{io, path::Path};

use tokio::net::UnixStream;

use super::{
    Stopping, stop_asked,
    wire::{FromCommand, FromOwner, Lines, write},
};
use crate::{
    command::Request,
    exit::{self, Exit},
    home::AgentSocket,
    output::Output,
};

/// What became of a command that was handed over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It has ended.
    Ended(Exit),
    /// The owner has gone; what is left of the command is still to be done.
    Moved,
    /// Nobody listens, or nobody took it: nothing happened.
    NobodyThere,
}

/// Hands the command to the owner of the home and relays what it tells.
pub(crate) async fn ask(home: &Path, request: &Request, output: &mut impl Output, mut stopping: Stopping) -> io::Result<Asked> {
    let socket = AgentSocket::of(home)?;
    let stream = match UnixStream::connect(&socket.address).await {
        Ok(stream) => stream,
        Err(error) if nobody_answers(&error) => return Ok(Asked::NobodyThere),
        Err(error) => return Err(error),
    };
    let (reader, mut writer) = stream.into_split();
    let mut lines = Lines::new(reader);
    if write(&mut writer, request).await.is_err() {
        return Ok(Asked::NobodyThere);
    }
    let (mut started, mut stopped) = (false, false);
    loop {
        let line = tokio::select! {
            line = lines.next::<FromOwner>() => line,
            () = stop_asked(&mut stopping), if !stopped => {
                if !request.command.is_endless() {
                    return Ok(Asked::Ended(Exit::failed(exit::INTERRUPTED, "")));
                }
                stopped = true;
                // An owner that has gone is told by the next read.
                drop(write(&mut writer, &FromCommand::Stop).await);
                continue;
            }
        };
        match line {
            Ok(Some(FromOwner::Started)) => started = true,
            Ok(Some(FromOwner::Events(events))) => {
                output.emit(events).await?;
                drop(write(&mut writer, &FromCommand::Flushed).await);
            }
            Ok(Some(FromOwner::Exit(exit))) => return Ok(Asked::Ended(exit)),
            Ok(Some(FromOwner::Moved)) => return Ok(Asked::Moved),
            Ok(None) | Err(_) if !started => return Ok(Asked::NobodyThere),
            // A listener has lost nothing: what it had not confirmed comes again.
            Ok(None) | Err(_) if request.command.is_endless() => return Ok(Asked::Moved),
            Ok(None) | Err(_) => {
                let text = "the process that owns this home ended meanwhile; whether the command was done is not known";
                return Ok(Asked::Ended(Exit::failed(exit::TEMPORARY, text)));
            }
        }
    }
}

/// Whether the failure of a connection says that no owner serves for the moment: there is no socket, nobody listens on
/// it, its owner ended before it took this connection, or more wait for it than it holds.
fn nobody_answers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotFound, WouldBlock};
    matches!(error.kind(), NotFound | ConnectionRefused | ConnectionReset | ConnectionAborted | WouldBlock)
}
