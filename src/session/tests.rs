//! A session over a link of the test's own.

use std::{
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Sleep;

use super::{
    Credential, Peer, close_code,
    link::{Event, Incoming, Link},
    run,
};
use crate::{
    clock::{Instant, monotonic},
    refusal::CloseCode,
    server::tests::server,
    store::StoreError,
};

/// A socket that takes nothing.
#[derive(Clone, Default)]
struct Stuck {
    closed: Arc<Mutex<Option<u16>>>,
    fed: usize,
}

impl Link for Stuck {
    fn poll(&mut self, _: &mut Context<'_>, _: bool) -> Poll<Event> {
        if self.closed.lock().expect("not poisoned").is_some() { Poll::Ready(Event::In(Incoming::Io)) } else { Poll::Pending }
    }

    fn feed(&mut self, frame: Bytes) {
        self.fed += frame.len();
    }

    fn feed_ping(&mut self) {}

    fn start_close(&mut self, code: u16, _: &str) {
        *self.closed.lock().expect("not poisoned") = Some(code);
    }

    fn pending(&self) -> usize {
        self.fed
    }

    fn set_frame_limit(&mut self, _: usize) {}
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_is_closed_as_a_slow_reader() {
    let (server, _directory) = server();
    let link = Stuck::default();
    let closed = Arc::clone(&link.closed);
    let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None, operator: false };
    run(link, Arc::new(server), peer).await;
    assert_eq!(*closed.lock().expect("not poisoned"), Some(CloseCode::SlowReader as u16));
}

/// A socket that took `Hello`, brings pings and takes no pong, nor anything else.
#[derive(Clone, Default)]
struct Pinging {
    closed: Arc<Mutex<Option<u16>>>,
    polled: usize,
}

impl Link for Pinging {
    fn poll(&mut self, _: &mut Context<'_>, read: bool) -> Poll<Event> {
        if self.closed.lock().expect("not poisoned").is_some() {
            return Poll::Ready(Event::In(Incoming::Io));
        }
        match self.polled {
            0 => {
                self.polled += 1;
                Poll::Ready(Event::Flushed)
            }
            1..=100 if read => {
                self.polled += 1;
                Poll::Ready(Event::In(Incoming::Ping))
            }
            _ => Poll::Pending,
        }
    }

    fn feed(&mut self, _: Bytes) {}

    fn feed_ping(&mut self) {}

    fn start_close(&mut self, code: u16, _: &str) {
        *self.closed.lock().expect("not poisoned") = Some(code);
    }

    /// Large pongs, so that few of them fill the buffer.
    fn pending(&self) -> usize {
        self.polled.saturating_sub(1) * 64 * 1024
    }

    fn set_frame_limit(&mut self, _: usize) {}
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_no_pong_is_closed_as_a_slow_reader() {
    let (server, _directory) = server();
    let link = Pinging::default();
    let closed = Arc::clone(&link.closed);
    let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None, operator: true };
    let ended = tokio::time::timeout(std::time::Duration::from_mins(10), run(link, Arc::new(server), peer)).await;
    assert!(ended.is_ok(), "it is never closed");
    assert_eq!(*closed.lock().expect("not poisoned"), Some(CloseCode::SlowReader as u16));
}

#[test]
fn a_store_that_cannot_be_read_ends_the_connection_with_what_to_do() {
    assert_eq!(close_code(StoreError::Busy), CloseCode::Overloaded);
    assert_eq!(close_code(StoreError::Unread), CloseCode::Fault);
    assert_eq!(close_code(StoreError::Failed), CloseCode::Fault);
}

/// A socket that takes so many bytes a second of a backlog that never ends.
struct Slow {
    bytes_per_second: usize,
    since: Instant,
    /// When the peer goes away by itself.
    end: Pin<Box<Sleep>>,
    closed: Arc<Mutex<Option<u16>>>,
    fed: usize,
}

impl Link for Slow {
    fn poll(&mut self, cx: &mut Context<'_>, _: bool) -> Poll<Event> {
        let over = self.closed.lock().expect("not poisoned").is_some() || self.end.as_mut().poll(cx).is_ready();
        if over { Poll::Ready(Event::In(Incoming::Io)) } else { Poll::Pending }
    }

    fn feed(&mut self, frame: Bytes) {
        self.fed += frame.len();
    }

    fn feed_ping(&mut self) {}

    fn start_close(&mut self, code: u16, _: &str) {
        *self.closed.lock().expect("not poisoned") = Some(code);
    }

    fn pending(&self) -> usize {
        let seconds = usize::try_from(self.since.elapsed().as_secs()).expect("a test is short");
        self.fed + 100_000_000 - self.bytes_per_second * seconds
    }

    fn set_frame_limit(&mut self, _: usize) {}
}

#[tokio::test(start_paused = true)]
async fn a_slow_socket_that_makes_progress_is_left_alone_and_one_that_hardly_does_is_not() {
    for (bytes_per_second, expected) in [(1, Some(CloseCode::SlowReader as u16)), (4096, None)] {
        let (server, _directory) = server();
        let closed = Arc::default();
        let end = Box::pin(tokio::time::sleep_until(monotonic() + Duration::from_mins(5)));
        let link = Slow { bytes_per_second, since: monotonic(), end, closed: Arc::clone(&closed), fed: 0 };
        let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None, operator: false };
        run(link, Arc::new(server), peer).await;
        assert_eq!(*closed.lock().expect("not poisoned"), expected, "{bytes_per_second} bytes a second");
    }
}

/// A socket in which something is wrong.
#[derive(Clone, Default)]
struct Cursed {
    closed: Arc<Mutex<Option<u16>>>,
}

impl Link for Cursed {
    fn poll(&mut self, _: &mut Context<'_>, _: bool) -> Poll<Event> {
        let closed = self.closed.lock().map_or(None, |closed| *closed);
        if closed.is_some() { Poll::Ready(Event::In(Incoming::Closed(closed))) } else { panic!("a bug of a test") }
    }

    fn feed(&mut self, _: Bytes) {}

    fn feed_ping(&mut self) {}

    fn start_close(&mut self, code: u16, _: &str) {
        *self.closed.lock().expect("not poisoned") = Some(code);
    }

    fn pending(&self) -> usize {
        0
    }

    fn set_frame_limit(&mut self, _: usize) {}
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_own_connection_as_a_fault_of_the_server() {
    let (server, _directory) = server();
    let server = Arc::new(server);
    let link = Cursed::default();
    let peer = || Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None, operator: false };
    run(link.clone(), Arc::clone(&server), peer()).await;
    assert_eq!(*link.closed.lock().expect("not poisoned"), Some(CloseCode::Fault as u16));
    let other = Stuck::default();
    run(other.clone(), server, peer()).await;
    assert_eq!(*other.closed.lock().expect("not poisoned"), Some(CloseCode::SlowReader as u16), "others live on");
}
