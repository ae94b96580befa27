//! HTTP requests: the upgrade to a WebSocket with its credentials, and exchange sessions.
//!
//! Requests stand behind one another as in [`crate::parts`], each as `METHOD PATH`, header lines, an empty line, and the
//! body. `$SESSION` stands for the exchange session that was opened last.

use std::{
    future::poll_fn,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use sovereign::{
    limits::HELD_IN_ALL,
    memory::Memory,
    session::{
        Peer,
        link::{Event, Incoming, Link},
    },
    transport::{Deadlines, Options, Origins, Readiness, Sessions, routes},
};
use sovereign_proto::exchange;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

use crate::parts;

/// Requests of one input.
const REQUESTS_MAX: usize = 16;

/// Sessions that send every frame back.
#[derive(Clone)]
struct Echo;

impl Sessions for Echo {
    #[expect(clippy::manual_async_fn, reason = "the future must not borrow self")]
    fn run<L: Link>(&self, mut link: L, _peer: Peer) -> impl Future<Output = ()> + Send + 'static {
        async move {
            loop {
                match poll_fn(|cx| link.poll(cx, true)).await {
                    Event::In(Incoming::Frame(frame)) => link.feed(frame),
                    Event::In(Incoming::Closed(_) | Incoming::Io) => return,
                    Event::In(Incoming::TooBig) => link.start_close(1009, "too big"),
                    _ => {}
                }
            }
        }
    }

    fn memory(&self) -> Arc<Memory> {
        Arc::new(Memory::new(HELD_IN_ALL))
    }

    fn readiness(&self) -> Readiness {
        Readiness::Ready
    }
}

pub(crate) fn requests(data: &[u8]) {
    static RUNTIME: LazyLock<Mutex<Runtime>> =
        LazyLock::new(|| Mutex::new(Builder::new_current_thread().enable_all().build().expect("a runtime")));
    let runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    runtime.block_on(async {
        let options = Options {
            connections_max: 8,
            connections_per_address_max: 4,
            frame_bytes_before_authentication: 16 * 1024,
            deadlines: Deadlines::default(),
            origins: Origins::new(["https://chat.example".to_owned()]),
            drain: Duration::ZERO,
        };
        let routes = routes(options, IpAddr::V4(Ipv4Addr::LOCALHOST), Echo);
        let mut session = String::new();
        for part in parts(data).into_iter().take(REQUESTS_MAX) {
            if let Some(request) = request(part, &session) {
                ask(&routes, request, &mut session).await;
            }
        }
    });
}

/// What HTTP would make of the text; `None`: it would not come this far.
fn request(part: &[u8], session: &str) -> Option<Request<Body>> {
    let end = part.windows(2).position(|pair| pair == b"\n\n").unwrap_or(part.len());
    let head = String::from_utf8_lossy(&part[..end]).replace("$SESSION", session);
    let mut lines = head.lines();
    let (method, path) = lines.next()?.split_once(' ')?;
    let mut builder = Request::builder().method(method).uri(path);
    for line in lines.take(100) {
        let (name, value) = line.split_once(": ")?;
        // Nobody waits here for what does not come.
        let value = if name.eq_ignore_ascii_case(exchange::WAIT) && value.parse::<u64>().is_ok() { "1" } else { value };
        builder = builder.header(name, value);
    }
    builder.body(Body::from(part.get(end + 2..).unwrap_or_default().to_vec())).ok()
}

async fn ask(routes: &Router, request: Request<Body>, session: &mut String) {
    let method = request.method().clone();
    let answered = tokio::time::timeout(Duration::from_secs(30), routes.clone().oneshot(request)).await;
    let response = answered.expect("a request is answered").unwrap_or_else(|never| match never {});
    let (status, headers) = (response.status(), response.headers());
    assert!(!status.is_server_error() || status == StatusCode::SERVICE_UNAVAILABLE, "{method} is answered with {status}");
    if let Some(id) = headers.get(exchange::SESSION) {
        id.to_str().expect("an id is text").clone_into(session);
        let closed = headers.contains_key(exchange::CLOSED);
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        let frames = exchange::split(&body).expect("an answer is made of whole frames");
        assert!(!closed || frames.count() < 1024, "an end that goes on");
    }
}
