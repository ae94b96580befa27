//! The owner's side.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use tokio::{
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::{
    Execute, Stopping, stop_asked,
    wire::{FromCommand, FromOwner, Lines, write},
};
use crate::{
    command::Request,
    event::Event,
    exit::{self, Exit},
    home::AgentSocket,
    output::Output,
};

/// Commands served at once; further ones wait to be accepted.
const SERVED_MAX: usize = 32;
/// For a command to say what it is.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// Serves other commands until it is asked to finish.
pub(crate) struct Agent {
    closing: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts serving on a home whose vault this process owns (so a socket that is already there is a stale one).
pub(crate) fn serve<E: Execute>(home: &Path, executor: E) -> io::Result<Agent> {
    let socket = AgentSocket::of(home)?;
    match fs::remove_file(&socket.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&socket.address)?;
    fs::set_permissions(&socket.path, fs::Permissions::from_mode(0o600))?;
    let (closing, closed) = watch::channel(false);
    let task = tokio::spawn(accept(listener, socket, executor, closed));
    Ok(Agent { closing, task })
}

impl Agent {
    /// Takes no more commands, lets listeners go on without this process, and returns when the others are done. The
    /// vault must stay owned until then.
    pub(crate) async fn finish(self) {
        self.closing.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the agent has failed");
        }
    }
}

async fn accept<E: Execute>(listener: UnixListener, socket: AgentSocket, executor: E, mut closing: Stopping) {
    let mut served = JoinSet::new();
    loop {
        tokio::select! {
            () = stop_asked(&mut closing) => break,
            accepted = listener.accept(), if served.len() < SERVED_MAX => match accepted {
                Ok((stream, _)) => {
                    served.spawn(serve_one(stream, executor.clone(), closing.clone()));
                }
                // Out of descriptors, most likely: those that are served free some.
                Err(error) => {
                    tracing::warn!(%error, "a command could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = served.join_next() => {}
        }
    }
    drop(listener);
    if let Err(error) = fs::remove_file(&socket.path) {
        tracing::warn!(%error, "the agent's socket could not be removed");
    }
    while served.join_next().await.is_some() {}
}

async fn serve_one<E: Execute>(stream: UnixStream, executor: E, closing: Stopping) {
    let (reader, writer) = stream.into_split();
    let mut lines = Lines::new(reader);
    let mut relay = Relay::new(writer);
    let ended = match timeout(REQUEST_DEADLINE, lines.next::<Request>()).await {
        Ok(Ok(Some(request))) => run(&mut lines, &mut relay, request, executor, closing).await,
        Ok(Err(error)) => Some(FromOwner::Exit(Exit::failed(exit::USAGE, format!("another version of sov runs here: {error}")))),
        Ok(Ok(None)) | Err(_) => None,
    };
    if let Some(ended) = ended {
        // A command that has gone needs no answer.
        drop(write(&mut relay.writer, &ended).await);
    }
}

/// `None` when the command has gone.
async fn run<E: Execute>(
    lines: &mut Lines<OwnedReadHalf>,
    relay: &mut Relay,
    request: Request,
    executor: E,
    mut closing: Stopping,
) -> Option<FromOwner> {
    write(&mut relay.writer, &FromOwner::Started).await.ok()?;
    let (confirm, confirmed) = mpsc::channel(1);
    relay.confirmed = confirmed;
    let (stop, stopping) = watch::channel(false);
    let may_move = request.command.is_endless();
    let mut moved = false;
    let mut work = std::pin::pin!(executor.execute(request, relay, stopping));
    loop {
        tokio::select! {
            exit = &mut work => {
                return Some(if moved && exit.code == exit::OK { FromOwner::Moved } else { FromOwner::Exit(exit) });
            }
            line = lines.next::<FromCommand>() => match line {
                // More confirmations than outputs are a fault of the command; the surplus says nothing.
                Ok(Some(FromCommand::Flushed)) => drop(confirm.try_send(())),
                Ok(Some(FromCommand::Stop)) => drop(stop.send_replace(true)),
                // Dropping the work ends the command.
                Ok(None) | Err(_) => return None,
            },
            () = stop_asked(&mut closing), if may_move && !moved => {
                moved = true;
                stop.send_replace(true);
            }
        }
    }
}

/// Output that is written by another process.
struct Relay {
    writer: OwnedWriteHalf,
    confirmed: mpsc::Receiver<()>,
}

impl Relay {
    fn new(writer: OwnedWriteHalf) -> Self {
        Self { writer, confirmed: mpsc::channel(1).1 }
    }
}

impl Output for Relay {
    async fn emit(&mut self, events: Vec<Event>) -> io::Result<()> {
        write(&mut self.writer, &FromOwner::Events(events)).await?;
        self.confirmed.recv().await.ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}
