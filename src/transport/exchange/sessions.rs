//! The exchange sessions there are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::HeaderValue;
use data_encoding::BASE64URL_NOPAD;
use lru::LruCache;
use tokio::sync::Semaphore;

use super::{intake::Intake, link::ExchangeLink, stream::Stream};
use crate::{
    entropy,
    limits::FAREWELLS,
    session::Peer,
    transport::{Origins, Sessions, admission::Admission},
};

/// What an exchange session is known by: random, and a secret of its client.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Id([u8; 32]);

impl Id {
    pub(super) fn parse(text: &str) -> Option<Self> {
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().map(Self).ok()
    }

    pub(super) fn value(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&BASE64URL_NOPAD.encode(&self.0)).expect("base64url is a header value");
        value.set_sensitive(true);
        value
    }
}

/// How a session ended that was closed with a code: said again to whoever asks, since the answer that said it may have
/// been lost, and who was superseded or revoked has to know.
#[derive(Clone, Copy)]
pub(super) struct Farewell {
    pub(super) code: u16,
    /// Frames of the client that were taken.
    pub(super) accepted: u64,
}

/// The open sessions, by id, and the farewells of the last that ended.
pub(super) struct Open(Mutex<Table>);

struct Table {
    open: HashMap<Id, Arc<Stream>>,
    farewells: LruCache<Id, Farewell>,
}

impl Default for Open {
    fn default() -> Self {
        Self(Mutex::new(Table { open: HashMap::new(), farewells: LruCache::new(FAREWELLS) }))
    }
}

impl Open {
    pub(super) fn end(&self, id: &Id, farewell: Option<Farewell>) {
        let mut table = self.lock();
        table.open.remove(id);
        if let Some(farewell) = farewell {
            table.farewells.put(*id, farewell);
        }
    }

    /// Every change leaves the table right at each step, so a poisoned one is still right.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What requests to the endpoint work with.
pub(in crate::transport) struct Exchanges<S> {
    open: Arc<Open>,
    /// An exchange session takes a place like a connection, besides those of the connections that carry it.
    admission: Admission,
    origins: Arc<Origins>,
    intake: Intake,
    sessions: S,
    frame_limit: usize,
}

impl<S: Sessions> Exchanges<S> {
    /// Large bodies take one of `large_frames` while they come in.
    pub(in crate::transport) fn new(
        admission: Admission,
        origins: Arc<Origins>,
        large_frames: Arc<Semaphore>,
        sessions: S,
        frame_limit: usize,
    ) -> Self {
        let intake = Intake::new(sessions.memory(), large_frames);
        Self { open: Arc::default(), admission, origins, intake, sessions, frame_limit }
    }

    pub(super) fn intake(&self) -> &Intake {
        &self.intake
    }

    pub(super) fn origins(&self) -> &Origins {
        &self.origins
    }

    pub(super) fn find(&self, id: &Id) -> Option<Arc<Stream>> {
        self.open.lock().open.get(id).cloned()
    }

    /// What a session that is over has left to say.
    pub(super) fn farewell(&self, id: &Id) -> Option<Farewell> {
        self.open.lock().farewells.get(id).copied()
    }

    /// Opens a session, if there is a place for one more of its address.
    pub(super) fn open(&self, peer: Peer) -> Option<(Id, Arc<Stream>)> {
        let place = self.admission.admit(peer.address)?;
        let (id, stream) = (Id(entropy::random()), Arc::new(Stream::new(self.frame_limit)));
        self.open.lock().open.insert(id, Arc::clone(&stream));
        let link = ExchangeLink::new(Arc::clone(&stream), Arc::clone(&self.open), id);
        let session = Box::pin(self.sessions.run(link, peer));
        tokio::spawn(async move {
            session.await;
            drop(place);
        });
        Some((id, stream))
    }
}
