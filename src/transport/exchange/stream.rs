//! The two numbered streams of one exchange session, shared by its link and by the requests that carry it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::sessions::Farewell;
use crate::clock::{Instant, monotonic};

/// Frames are taken while those that wait for the session have fewer bytes than this.
pub(super) const INCOMING_BYTES: usize = 256 * 1024;
/// What a frame that waits costs besides its bytes, so that empty ones are bounded, too.
const FRAME_COST: usize = 128;
/// Bytes of frames of one answer, unless a single one is larger.
pub(super) const ANSWER_BYTES: usize = 512 * 1024;

/// What requests and the link share.
pub(super) struct Stream {
    state: Mutex<State>,
    /// Something came for the request that waits, or a newer one takes its turn.
    changed: Notify,
}

/// The state behind the lock.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set by another side")]
pub(super) struct State {
    /// From the client, not taken by the session yet.
    pub(super) incoming: VecDeque<Bytes>,
    incoming_bytes: usize,
    /// Frames of the client taken so far.
    accepted: u64,
    /// To the client, not confirmed yet.
    outgoing: VecDeque<Bytes>,
    outgoing_bytes: usize,
    /// Frames the client has confirmed.
    confirmed: u64,
    /// The session is to be told when all is confirmed.
    pub(super) announce: bool,
    pub(super) pinged: bool,
    /// The client ends the session.
    left: bool,
    /// The client announced a frame above the limit.
    pub(super) too_big: bool,
    frame_limit: usize,
    /// The session closes with this code.
    pub(super) closed: Option<u16>,
    /// That it does was part of an answer.
    told_end: bool,
    /// The link is gone.
    over: bool,
    /// Numbers the requests: the newest one may wait.
    turn: u64,
    pub(super) heard: Instant,
    session: Option<Waker>,
}

/// A request's place in the order of requests.
#[derive(Clone, Copy)]
pub(super) struct Turn(u64);

/// What a request is answered.
pub(super) struct Reply {
    pub(super) frames: Vec<Bytes>,
    /// Frames before these.
    pub(super) sent: u64,
    /// Frames of the client taken so far.
    pub(super) received: u64,
    pub(super) closed: Option<u16>,
}

/// Why a request is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its numbers leave a gap in one of the streams.
    Gap,
    /// The session has ended.
    Over,
}

impl Stream {
    pub(super) fn new(frame_limit: usize) -> Self {
        let state = State {
            incoming: VecDeque::new(),
            incoming_bytes: 0,
            accepted: 0,
            outgoing: VecDeque::new(),
            outgoing_bytes: 0,
            confirmed: 0,
            announce: false,
            pinged: false,
            left: false,
            too_big: false,
            frame_limit,
            closed: None,
            told_end: false,
            over: false,
            turn: 0,
            heard: monotonic(),
            session: None,
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    /// Nothing panics between the steps of a change, so a poisoned state is still right.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn frame_limit(&self) -> usize {
        self.lock().frame_limit
    }

    /// Takes what a request brings: `received` frames are confirmed, and `frames` are those from number `sent` on.
    /// What was taken before is passed over; what there is no room for (`room` bytes) is left to be sent again.
    pub(super) fn take(
        &self,
        received: u64,
        sent: u64,
        frames: impl IntoIterator<Item = Bytes>,
        room: usize,
    ) -> Result<Turn, Refused> {
        let mut state = self.lock();
        if state.over {
            return Err(Refused::Over);
        }
        let given = state.confirmed + state.outgoing.len() as u64;
        if sent > state.accepted || received > given {
            return Err(Refused::Gap);
        }
        while state.confirmed < received {
            let frame = state.outgoing.pop_front().expect("counted above");
            state.outgoing_bytes -= frame.len();
            state.confirmed += 1;
        }
        let known = usize::try_from(state.accepted - sent).unwrap_or(usize::MAX);
        for frame in frames.into_iter().skip(known) {
            if state.incoming_bytes >= room || state.too_big {
                break;
            }
            state.too_big |= frame.len() > state.frame_limit;
            state.accepted += 1;
            state.incoming_bytes += frame.len() + FRAME_COST;
            // A copy: a small frame would keep the whole body it came in.
            state.incoming.push_back(Bytes::copy_from_slice(&frame));
        }
        state.heard = monotonic();
        state.turn += 1;
        let turn = Turn(state.turn);
        state.wake_session();
        drop(state);
        self.changed.notify_waiters();
        Ok(turn)
    }

    /// Waits until there is something to say, at most for `wait`, and no longer than it is this request's turn. `room` is
    /// asked then how many bytes of frames may be said, unless a single one is larger.
    pub(super) async fn reply(&self, turn: Turn, wait: Duration, room: impl Fn() -> usize) -> Reply {
        let until = monotonic() + wait;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(reply) = self.lock().reply(turn, monotonic() >= until, room()) {
                return reply;
            }
            // Out of time: answered as it is by the next look.
            let _ = tokio::time::timeout_at(until, changed).await;
        }
    }

    /// The client ends the session.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.left = true;
        state.wake_session();
    }

    /// Queues a frame for the client.
    pub(super) fn feed(&self, frame: Bytes) {
        let mut state = self.lock();
        state.outgoing_bytes += frame.len();
        state.outgoing.push_back(frame);
        state.announce = true;
        drop(state);
        self.changed.notify_waiters();
    }

    /// The session closes: said with the next answer.
    pub(super) fn close(&self, code: u16) {
        self.lock().closed = Some(code);
        self.changed.notify_waiters();
    }

    /// What is to be said again once the link is gone.
    pub(super) fn farewell(&self) -> Option<Farewell> {
        let state = self.lock();
        state.closed.map(|code| Farewell { code, accepted: state.accepted })
    }

    /// The link is gone: requests are answered with what is left.
    pub(super) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_waiters();
    }

    pub(super) fn set_frame_limit(&self, bytes: usize) {
        self.lock().frame_limit = bytes;
    }

    /// Bytes fed and not confirmed.
    pub(super) fn pending(&self) -> usize {
        self.lock().outgoing_bytes
    }

    /// Bytes taken that the session has not read.
    pub(super) fn unread(&self) -> usize {
        self.lock().incoming_bytes
    }
}

impl State {
    /// The next frame for the session.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let frame = self.incoming.pop_front()?;
        self.incoming_bytes -= frame.len() + FRAME_COST;
        Some(frame)
    }

    /// The client has ended the session, and everything it sent before was taken.
    pub(super) fn has_left(&self) -> bool {
        self.left && self.incoming.is_empty()
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// The client was told that the session closes.
    pub(super) fn has_told_end(&self) -> bool {
        self.told_end
    }

    pub(super) fn remember(&mut self, waker: &Waker) {
        match &mut self.session {
            Some(known) => known.clone_from(waker),
            None => self.session = Some(waker.clone()),
        }
    }

    fn wake_session(&mut self) {
        if let Some(waker) = self.session.take() {
            waker.wake();
        }
    }

    fn reply(&mut self, turn: Turn, late: bool, room: usize) -> Option<Reply> {
        let superseded = turn.0 < self.turn;
        let ready = !self.outgoing.is_empty() || self.closed.is_some() || self.over || self.left;
        if !(superseded || late || ready) {
            return None;
        }
        let mut frames = Vec::new();
        if !superseded {
            let mut bytes = 0;
            for frame in &self.outgoing {
                bytes += frame.len();
                if bytes > room && !frames.is_empty() {
                    break;
                }
                frames.push(frame.clone());
            }
            self.heard = monotonic();
        }
        let all = frames.len() == self.outgoing.len();
        // Without a code there was no goodbye: 1006 is what a broken WebSocket would have told.
        let closed = self.closed.or(self.over.then_some(1006)).filter(|_| all && !superseded);
        self.told_end |= closed.is_some();
        Some(Reply { frames, sent: self.confirmed, received: self.accepted, closed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(texts: &[&'static str]) -> Vec<Bytes> {
        texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
    }

    fn taken(stream: &Stream) -> Vec<Bytes> {
        std::iter::from_fn(|| stream.lock().next()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_made_again_changes_nothing() {
        let stream = Stream::new(100);
        for _ in 0..2 {
            let turn = stream.take(0, 0, frames(&["a", "b"]), INCOMING_BYTES).expect("taken");
            assert_eq!(stream.reply(turn, Duration::ZERO, || ANSWER_BYTES).await.received, 2);
        }
        stream.take(0, 1, frames(&["b", "c"]), INCOMING_BYTES).expect("taken");
        assert_eq!(taken(&stream), frames(&["a", "b", "c"]), "each once");
        assert_eq!(stream.take(0, 4, Vec::new(), INCOMING_BYTES).err(), Some(Refused::Gap));
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_told_until_they_are_confirmed() {
        let stream = Stream::new(100);
        stream.feed(Bytes::from_static(b"x"));
        stream.feed(Bytes::from_static(b"y"));
        for _ in 0..2 {
            let turn = stream.take(0, 0, Vec::new(), INCOMING_BYTES).expect("taken");
            let reply = stream.reply(turn, Duration::ZERO, || ANSWER_BYTES).await;
            assert_eq!((reply.sent, reply.frames), (0, frames(&["x", "y"])));
        }
        assert_eq!(stream.pending(), 2);
        let turn = stream.take(0, 0, Vec::new(), INCOMING_BYTES).expect("taken");
        assert_eq!(stream.reply(turn, Duration::ZERO, || 1).await.frames, frames(&["x"]), "as many as there is room for");
        let turn = stream.take(1, 0, Vec::new(), INCOMING_BYTES).expect("taken");
        assert_eq!(stream.reply(turn, Duration::ZERO, || ANSWER_BYTES).await.frames, frames(&["y"]));
        assert_eq!(
            stream.take(3, 0, Vec::new(), INCOMING_BYTES).err(),
            Some(Refused::Gap),
            "what was never sent cannot be confirmed"
        );
        stream.take(2, 0, Vec::new(), INCOMING_BYTES).expect("taken");
        assert!(stream.lock().is_confirmed());
        assert_eq!(stream.pending(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_request_ends_the_older_one_empty() {
        let stream = Stream::new(100);
        let first = stream.take(0, 0, Vec::new(), INCOMING_BYTES).expect("taken");
        let (older, newer) = tokio::join!(stream.reply(first, Duration::from_secs(25), || ANSWER_BYTES), async {
            let second = stream.take(0, 0, Vec::new(), INCOMING_BYTES).expect("taken");
            stream.feed(Bytes::from_static(b"x"));
            stream.reply(second, Duration::from_secs(25), || ANSWER_BYTES).await
        });
        assert!(older.frames.is_empty() && newer.frames == frames(&["x"]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_the_session_is_bounded() {
        let stream = Stream::new(usize::MAX);
        let large: Vec<Bytes> = (0..10).map(|_| Bytes::from(vec![0; INCOMING_BYTES / 2])).collect();
        let turn = stream.take(0, 0, large.clone(), INCOMING_BYTES).expect("taken");
        assert_eq!(stream.reply(turn, Duration::ZERO, || ANSWER_BYTES).await.received, 2, "the rest is left to be sent again");
        let empty = Stream::new(usize::MAX);
        let turn = empty.take(0, 0, vec![Bytes::new(); 10 * INCOMING_BYTES / FRAME_COST], INCOMING_BYTES).expect("taken");
        let room = INCOMING_BYTES / FRAME_COST;
        assert_eq!(empty.reply(turn, Duration::ZERO, || ANSWER_BYTES).await.received, room as u64, "empty ones cost, too");
        assert_eq!(taken(&stream).len(), 2);
        stream.take(0, 2, large[2..].to_vec(), INCOMING_BYTES).expect("taken");
        assert_eq!(taken(&stream).len(), 2);
        stream.take(0, 4, large[4..].to_vec(), INCOMING_BYTES / 4).expect("taken");
        assert_eq!(stream.unread(), INCOMING_BYTES / 2 + FRAME_COST, "where memory is short one frame is taken all the same");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_told_with_the_last_frames() {
        let stream = Stream::new(100);
        stream.feed(Bytes::from_static(b"last"));
        stream.close(4009);
        let turn = stream.take(0, 0, Vec::new(), INCOMING_BYTES).expect("taken");
        let reply = stream.reply(turn, Duration::from_secs(25), || ANSWER_BYTES).await;
        assert_eq!((reply.frames, reply.closed), (frames(&["last"]), Some(4009)));
        stream.end();
        assert_eq!(stream.take(1, 0, Vec::new(), INCOMING_BYTES).err(), Some(Refused::Over));
    }
}
