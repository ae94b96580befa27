//! Requests of the operator: over the control socket of the server that runs, else to a server composed for them. Either
//! way the same session and the same handlers answer.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    sync::Arc,
    time::Duration,
};

use prost::Message as _;
use sovereign_proto::{
    Call,
    v1::{CreateInviteRequest, Envelope, FailureCode, Request, envelope::Body},
};
use tokio::{
    runtime::{self, Runtime},
    task::JoinHandle,
};

use super::{
    compose,
    failure::{Exit, Failure},
    serve::Live,
};
use crate::{
    config::Config,
    limits::HANDLER_DEADLINE,
    server::Server,
    session::{Credential, Peer},
    store::DataDir,
    transport::{FramedLink, Sessions as _, control},
};

/// What a handler may take, and a little for the way.
const ANSWER_DEADLINE: Duration = HANDLER_DEADLINE.saturating_add(Duration::from_secs(5));
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u32 = 16 * 1024 * 1024;

/// Asks one thing, and waits for the answer.
pub(super) fn call<C: Call>(config: &Config, request: C) -> Result<C::Response, Failure> {
    // Invites may be made before the first start.
    let fresh = C::NAME == CreateInviteRequest::NAME;
    with(config, fresh, |operator| operator.ask(request))
}

/// Asks several things of the same server.
pub(super) fn ask_on<T>(config: &Config, work: impl FnOnce(&mut Operator) -> Result<T, Failure>) -> Result<T, Failure> {
    with(config, false, work)
}

/// Whether a server runs on this data directory.
pub(super) fn is_running(config: &Config) -> bool {
    control::connect(&config.data).is_ok()
}

/// The way to a server.
pub(super) struct Operator {
    stream: UnixStream,
    last_id: u64,
    alone: Option<Alone>,
}

/// A server composed for a few requests.
struct Alone {
    runtime: Runtime,
    server: Arc<Server>,
    session: JoinHandle<()>,
}

impl Operator {
    /// Asks, and waits for the answer.
    pub(super) fn ask<C: Call>(&mut self, request: C) -> Result<C::Response, Failure> {
        let failed = |error: io::Error| Failure::io("the server does not answer", &error);
        self.last_id += 1;
        let body = Some(Body::Request(Request { body: Some(request.into_body()) }));
        let envelope = Envelope { request_id: self.last_id, body }.encode_to_vec();
        let length = u32::try_from(envelope.len()).map_err(|_| Failure::new(Exit::Usage, "the request is too long"))?;
        self.stream.write_all(&[length.to_be_bytes().as_slice(), &envelope].concat()).map_err(failed)?;
        loop {
            let envelope = read(&mut self.stream).map_err(failed)?;
            if envelope.request_id != self.last_id {
                continue;
            }
            return match envelope.body {
                Some(Body::Response(response)) => response.body.and_then(C::from_body).ok_or_else(nonsense),
                Some(Body::Failure(failure)) => Err(Failure::new(exit(failure.code()), failure.message)),
                _ => Err(nonsense()),
            };
        }
    }

    /// No server runs: this process has taken the data directory for itself.
    pub(super) fn is_alone(&self) -> bool {
        self.alone.is_some()
    }

    fn open(config: &Config, fresh: bool) -> Result<Self, Failure> {
        let (stream, alone) = match control::connect(&config.data) {
            Ok(stream) => (stream, None),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                if !fresh && !config.data.join("sovereign.db").exists() {
                    let text = format_args!("no server has run on {}: name its directory with --data", config.data.display());
                    return Err(Failure::new(Exit::Configuration, text));
                }
                let (stream, alone) = alone(config)?;
                (stream, Some(alone))
            }
            Err(error) => return Err(Failure::io("the control socket", &error)),
        };
        stream.set_read_timeout(Some(ANSWER_DEADLINE)).map_err(|error| Failure::io("the control socket", &error))?;
        Ok(Self { stream, last_id: 0, alone })
    }

    fn close(self) -> Result<(), Failure> {
        drop(self.stream);
        let Some(Alone { runtime, server, session }) = self.alone else { return Ok(()) };
        runtime.block_on(async {
            // The far end is closed, so the session ends.
            let _ = session.await;
            server.store.close().await.map_err(|_| Failure::new(Exit::Io, "the database could not be closed in order"))
        })
    }
}

fn with<T>(config: &Config, fresh: bool, work: impl FnOnce(&mut Operator) -> Result<T, Failure>) -> Result<T, Failure> {
    let mut operator = Operator::open(config, fresh)?;
    let answer = work(&mut operator);
    let closed = operator.close();
    let answer = answer?;
    closed.map(|()| answer)
}

fn alone(config: &Config) -> Result<(UnixStream, Alone), Failure> {
    let failed = |error: io::Error| Failure::io("this process", &error);
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)?;
    let entered = runtime.enter();
    let directory = DataDir::open(&config.data)?;
    let clock = compose::clock(config);
    let tls = compose::tls(config, &clock)?;
    let server = compose::server(config, &directory, &tls, compose::base_url(config, config.listen.port()), clock)?;
    let (near, far) = UnixStream::pair().map_err(failed)?;
    near.set_nonblocking(true).map_err(failed)?;
    let near = tokio::net::UnixStream::from_std(near).map_err(failed)?;
    let peer = Peer { address: std::net::Ipv4Addr::LOCALHOST.into(), credential: Credential::None, operator: true };
    let session = runtime.spawn(Live(server.clone()).run(FramedLink::new(near, config.frame_bytes_max), peer));
    drop(entered);
    Ok((far, Alone { runtime, server, session }))
}

fn read(stream: &mut UnixStream) -> io::Result<Envelope> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > ANSWER_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
    }
    let mut envelope = Vec::new();
    stream.take(length.into()).read_to_end(&mut envelope)?;
    Envelope::decode(envelope.as_slice()).map_err(io::Error::other)
}

fn nonsense() -> Failure {
    Failure::new(Exit::Bug, "the server answered something else: do both have the same version?")
}

/// What the operator asked for wrongly is a matter of usage, everything else of the server.
fn exit(code: FailureCode) -> Exit {
    match code {
        FailureCode::InvalidArgument | FailureCode::NotFound | FailureCode::Conflict | FailureCode::TooLarge => Exit::Usage,
        FailureCode::Internal => Exit::Bug,
        _ => Exit::Io,
    }
}
