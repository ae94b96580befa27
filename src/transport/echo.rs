//! Sessions for the tests of this folder: every frame comes back.

use std::{future::poll_fn, sync::Arc};

use super::{Readiness, Sessions};
use crate::{
    limits::HELD_IN_ALL,
    memory::Memory,
    session::{
        Peer,
        link::{Event, Incoming, Link},
    },
};

#[derive(Clone, Copy)]
pub(super) struct Echo;

impl Sessions for Echo {
    #[expect(clippy::manual_async_fn, reason = "the future must not borrow self")]
    fn run<L: Link>(&self, mut link: L, _peer: Peer) -> impl Future<Output = ()> + Send + 'static {
        async move {
            loop {
                match poll_fn(|cx| link.poll(cx, true)).await {
                    Event::In(Incoming::Frame(frame)) => link.feed(frame),
                    Event::In(Incoming::Closed(_) | Incoming::Io) => return,
                    Event::In(Incoming::Text(_)) => link.start_close(1003, "text"),
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
