//! The end of a session that panicked: its peer is told, the log has an incident, and nobody else notices.

use std::{future::poll_fn, panic::AssertUnwindSafe};

use data_encoding::HEXLOWER;
use futures_util::FutureExt as _;

use super::{
    Session,
    link::{Event, Incoming, Link},
};
use crate::{entropy, limits, refusal::CloseCode};

/// Notes that something panicked; the id that stands in the log.
pub fn incident(what: &'static str) -> String {
    let incident = HEXLOWER.encode(&entropy::random::<8>());
    tracing::error!(incident, "{what}");
    incident
}

impl<L: Link> Session<L> {
    /// After a panic: nothing that the session knew is trusted any more. Its peer is told, and nobody else notices.
    pub(super) async fn broken(&mut self) {
        incident("a session panicked");
        (self.delivery, self.registration) = (None, None);
        self.work.clear();
        let code = CloseCode::Fault;
        let farewell = async {
            self.link.start_close(code as u16, code.reason());
            let ended = |event: &Event| {
                !matches!(
                    event,
                    Event::Flushed | Event::In(Incoming::Frame(_) | Incoming::Text(_) | Incoming::Ping | Incoming::Pong)
                )
            };
            while !ended(&poll_fn(|cx| self.link.poll(cx, true)).await) {}
        };
        // It may have been the link that panicked.
        drop(tokio::time::timeout(limits::CLOSE_DEADLINE, AssertUnwindSafe(farewell).catch_unwind()).await);
    }
}
