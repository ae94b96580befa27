//! The exchange sessions there are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::HeaderValue;
use data_encoding::BASE64URL_NOPAD;

use super::{link::ExchangeLink, stream::Stream};
use crate::{
    entropy,
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

/// The open ones, by id.
#[derive(Default)]
pub(super) struct Open(Mutex<HashMap<Id, Arc<Stream>>>);

impl Open {
    pub(super) fn forget(&self, id: &Id) {
        self.lock().remove(id);
    }

    /// Every change is one insertion or removal, so a poisoned map is still right.
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<Stream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What requests to the endpoint work with.
pub(in crate::transport) struct Exchanges<S> {
    open: Arc<Open>,
    /// An exchange session takes a place like a connection, besides those of the connections that carry it.
    admission: Admission,
    origins: Arc<Origins>,
    sessions: S,
    frame_limit: usize,
}

impl<S: Sessions> Exchanges<S> {
    pub(in crate::transport) fn new(admission: Admission, origins: Arc<Origins>, sessions: S, frame_limit: usize) -> Self {
        Self { open: Arc::default(), admission, origins, sessions, frame_limit }
    }

    pub(super) fn origins(&self) -> &Origins {
        &self.origins
    }

    pub(super) fn find(&self, id: &Id) -> Option<Arc<Stream>> {
        self.open.lock().get(id).cloned()
    }

    /// Opens a session, if there is a place for one more of its address.
    pub(super) fn open(&self, peer: Peer) -> Option<(Id, Arc<Stream>)> {
        let place = self.admission.admit(peer.address)?;
        let (id, stream) = (Id(entropy::random()), Arc::new(Stream::new(self.frame_limit)));
        self.open.lock().insert(id, Arc::clone(&stream));
        let link = ExchangeLink::new(Arc::clone(&stream), Arc::clone(&self.open), id);
        let session = Box::pin(self.sessions.run(link, peer));
        tokio::spawn(async move {
            session.await;
            drop(place);
        });
        Some((id, stream))
    }
}
