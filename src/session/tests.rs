//! A session over a link of the test's own.

mod tokens;

use std::{
    net::{IpAddr, Ipv4Addr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use prost::Message as _;
use sovereign_proto::v1::{self, Envelope, envelope};
use tokio::{runtime, time::Sleep};

use super::{
    Credential, Peer, Session, close_code,
    delivery::Step,
    link::{Event, Incoming, Link},
    run,
    work::Done,
};
use crate::{
    caller::{Admission, Device, Identity},
    clock::{Instant, monotonic},
    hub::Inbox,
    ids::{AccountId, DeviceId, GroupId, LogId, Seq},
    refusal::CloseCode,
    server::{Server, tests::server},
    store::{Item, LogPosition, Page, SkipReason, StoreError},
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

#[tokio::test(start_paused = true)]
async fn what_is_stored_while_a_sign_in_is_under_way_is_looked_for_behind_its_answer() {
    let (server, _directory) = server();
    let server = Arc::new(server);
    let log = LogId::Group(GroupId([7; 32]));
    // Behind the snapshot, which knows nothing of it.
    let mut session = signed_in(&server, |inbox| inbox.wake(log)).await;
    let delivery = session.delivery.as_mut().expect("it is active");
    assert!(matches!(delivery.step(|_, _| None), Step::Live));
    assert!(matches!(delivery.step(|_, _| None), Step::Position(next) if next == log));
}

/// A session over a socket that takes nothing, signed in; `meanwhile` something comes for it.
async fn signed_in(server: &Arc<Server>, meanwhile: impl FnOnce(&Inbox)) -> Session<Stuck> {
    let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None, operator: false };
    let mut session = Session::open(Stuck::default(), Arc::clone(server), peer).await.expect("it takes Hello");
    let (account, device) = (AccountId([1; 16]), DeviceId([1; 16]));
    let registration = server.hub.register(device, account, Arc::clone(&session.connection.inbox));
    meanwhile(&session.connection.inbox);
    session.read_mail();
    let device = Device { account, device, key: [1; 32], challenge: session.connection.challenge };
    let admission = Admission { identity: Identity::Active(device), registration, news: Vec::new(), expires_at: None };
    *session.connection.admission.lock().expect("not poisoned") = Some(admission);
    session.admit();
    session
}

#[tokio::test(start_paused = true)]
async fn a_page_that_finds_no_room_any_more_is_read_again_later() {
    let (server, _directory) = server();
    let log = LogId::Group(GroupId([7; 32]));
    let mut session = signed_in(&Arc::new(server), |inbox| inbox.wake(log)).await;
    session.delivery.as_mut().expect("it is active").positioned(log, Some(position(log, 5)));
    session.reading = true;
    // An answer of all the room there is comes before the page does.
    let room = session.send_room();
    session.feed(Bytes::from(vec![0; room]));
    let full = session.link.fed;
    session.finished(Done::Page(log, 0, Ok(Some(page_to(5)))));
    assert_eq!(session.link.fed, full, "nothing on top of a full buffer");

    session.link.fed = 0;
    let delivery = session.delivery.as_mut().expect("it is active");
    while !matches!(delivery.step(|_, _| None), Step::Page(of, 0) if of == log) {}
    session.finished(Done::Page(log, 0, Ok(Some(page_to(5)))));
    assert!(session.link.fed > 0, "it comes once there is room");
    assert!(!session.reading);
}

fn position(log: LogId, head: Seq) -> LogPosition {
    LogPosition { log, first_available: 1, head, cursor: 0, end: None }
}

/// A page that says in one item that there is nothing for the device up to `head`.
fn page_to(head: Seq) -> Page {
    let skipped = Item::Skipped { from: 1, to: head, reason: SkipReason::Restored, time: 1, running_hash: [0; 32] };
    Page { items: vec![skipped], head, more: false, ended: false }
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

/// A socket that always has another frame, whatever is said to it.
#[derive(Clone)]
struct Flooding {
    frame: Bytes,
    closed: Arc<Mutex<Option<u16>>>,
}

impl Link for Flooding {
    fn poll(&mut self, _: &mut Context<'_>, read: bool) -> Poll<Event> {
        Poll::Ready(if read { Event::In(Incoming::Frame(self.frame.clone())) } else { Event::Flushed })
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

#[test]
fn whoever_never_pauses_is_held_to_deadlines_like_anybody() {
    let ping = v1::request::Body::Ping(v1::PingRequest { client_time_ms: 0 });
    let body = Some(envelope::Body::Request(v1::Request { body: Some(ping) }));
    let frame = Bytes::from(Envelope { request_id: 1, body }.encode_to_vec());
    let link = Flooding { frame, closed: Arc::default() };
    // Looks at its timers after every turn, also while everybody is busy.
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).event_interval(1).build();
    runtime.expect("a runtime").block_on(async {
        let (mut server, _directory) = server();
        server.settings.authentication_deadline = Duration::from_secs(10);
        let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None, operator: false };
        let session = tokio::spawn(run(link.clone(), Arc::new(server), peer));
        let mut seconds = 0;
        while !session.is_finished() {
            assert!(seconds < 60, "it goes on for ever, closed or not: {:?}", link.closed);
            tokio::time::advance(Duration::from_secs(1)).await;
            seconds += 1;
        }
    });
    assert_eq!(*link.closed.lock().expect("not poisoned"), Some(CloseCode::AuthenticationDeadline as u16));
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
