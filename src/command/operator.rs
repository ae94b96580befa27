//! Requests of the operator: over the control socket of the server that runs, else to a server composed for this one
//! request. Either way the same session and the same handlers answer.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use prost::Message as _;
use sovereign_proto::{
    Call,
    v1::{Envelope, FailureCode, Request, envelope::Body},
};
use tokio::runtime;

use super::{
    compose,
    failure::{Exit, Failure},
    serve::Live,
};
use crate::{
    config::Config,
    session::{Credential, Peer},
    store::DataDir,
    transport::{FramedLink, Sessions as _, control},
};

const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// A process has one request in flight.
const REQUEST_ID: u64 = 1;

/// Asks, and waits for the answer.
pub(super) fn call<C: Call>(config: &Config, request: C) -> Result<C::Response, Failure> {
    match control::connect(&config.data) {
        Ok(stream) => exchange(stream, request),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            alone(config, request)
        }
        Err(error) => Err(Failure::io("the control socket", &error)),
    }
}

/// Whether a server runs on this data directory.
pub(super) fn is_running(config: &Config) -> bool {
    control::connect(&config.data).is_ok()
}

fn alone<C: Call>(config: &Config, request: C) -> Result<C::Response, Failure> {
    let failed = |error: io::Error| Failure::io("this process", &error);
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(failed)?;
    let _entered = runtime.enter();
    let directory = DataDir::open(&config.data)?;
    let clock = compose::clock(config);
    let tls = compose::tls(config, &clock)?;
    let server = compose::server(config, &directory, &tls, compose::base_url(config, config.listen.port()), clock)?;
    let (near, far) = UnixStream::pair().map_err(failed)?;
    near.set_nonblocking(true).map_err(failed)?;
    let near = tokio::net::UnixStream::from_std(near).map_err(failed)?;
    let peer = Peer { address: std::net::Ipv4Addr::LOCALHOST.into(), credential: Credential::None, operator: true };
    let session = runtime.spawn(Live(server.clone()).run(FramedLink::new(near, config.frame_bytes_max), peer));
    let answer = exchange(far, request);
    runtime.block_on(async {
        // The far end is closed, so the session ends.
        let _ = session.await;
        server.store.close().await.map_err(|_| Failure::new(Exit::Io, "the database could not be closed in order"))
    })?;
    answer
}

fn exchange<C: Call>(mut stream: UnixStream, request: C) -> Result<C::Response, Failure> {
    let failed = |error: io::Error| Failure::io("the server does not answer", &error);
    stream.set_read_timeout(Some(ANSWER_DEADLINE)).map_err(failed)?;
    let body = Some(Body::Request(Request { body: Some(request.into_body()) }));
    let envelope = Envelope { request_id: REQUEST_ID, body }.encode_to_vec();
    let length = u32::try_from(envelope.len()).map_err(|_| Failure::new(Exit::Usage, "the request is too long"))?;
    stream.write_all(&[length.to_be_bytes().as_slice(), &envelope].concat()).map_err(failed)?;
    loop {
        let envelope = read(&mut stream).map_err(failed)?;
        if envelope.request_id != REQUEST_ID {
            continue;
        }
        return match envelope.body {
            Some(Body::Response(response)) => response.body.and_then(C::from_body).ok_or_else(nonsense),
            Some(Body::Failure(failure)) => Err(Failure::new(exit(failure.code()), failure.message)),
            _ => Err(nonsense()),
        };
    }
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
