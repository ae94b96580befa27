//! What a session waits for: its requests being handled, and its reads from the store.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sovereign_proto::v1::{request, response};

use crate::{
    caller::Connection,
    clock::Instant,
    hub::Relayed,
    ids::{DeviceId, GroupId, LogId, Seq},
    limits::{BYTES_PER_PAGE, BYTES_PER_STALE_ANSWER, LARGEST_ANSWER},
    refusal::Refusal,
    requests::{self, Handling},
    server::Server,
    store::{LogPosition, Page, StoreError},
};

/// Something under way for one session.
pub enum Work {
    /// A request, by its id.
    Request(u64, Handling),
    /// A read or a write of the session's own.
    Own(BoxFuture<'static, Done>),
}

impl Work {
    /// When it has to be polled, whatever wakes it before.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Request(_, handling) => Some(handling.deadline()),
            Self::Own(_) => None,
        }
    }
}

impl Future for Work {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Done> {
        match &mut *self {
            Self::Request(id, handling) => Pin::new(handling).poll(cx).map(|result| Done::Answered { id: *id, result }),
            Self::Own(own) => own.as_mut().poll(cx),
        }
    }
}

/// How it ended.
pub enum Done {
    /// Exactly one for every request.
    Answered {
        id: u64,
        result: Result<response::Body, Refusal>,
    },
    Position(LogId, Result<Option<LogPosition>, StoreError>),
    Page(LogId, Seq, Result<Option<Page>, StoreError>),
    /// Groups that have become readable.
    Acknowledged(Result<Vec<GroupId>, StoreError>),
    /// A signal went its way, or nowhere.
    Settled,
}

/// How often the store is asked about one signal, if membership changes meanwhile.
const SETTLINGS: usize = 3;

/// What the answer may hold beyond what the request itself does. Small requests with large answers would otherwise pile
/// up for a peer that asks and does not read.
pub fn answer_bytes(body: &request::Body) -> usize {
    match body {
        request::Body::GetGroupInfo(_) | request::Body::ClaimKeyPackages(_) => LARGEST_ANSWER,
        request::Body::FetchEntries(_) | request::Body::ListManifests(_) => BYTES_PER_PAGE,
        request::Body::SendMessage(_) | request::Body::SubmitCommit(_) | request::Body::Propose(_) => BYTES_PER_STALE_ANSWER,
        _ => 0,
    }
}

/// Handles a request.
pub fn request(server: Arc<Server>, connection: Arc<Connection>, id: u64, body: request::Body) -> Work {
    Work::Request(id, requests::handle(server, connection, body))
}

/// Asks where a log stands.
pub fn position(server: &Arc<Server>, device: DeviceId, log: LogId) -> Work {
    let position = server.store.position(log, device);
    Work::Own(Box::pin(async move { Done::Position(log, position.await) }))
}

/// Reads a page.
pub fn page(server: &Arc<Server>, device: DeviceId, log: LogId, after: Seq) -> Work {
    let flow = &server.settings.limits.flow;
    let page = server.store.page(log, device, after, flow.entries_per_page, flow.bytes_per_page);
    Work::Own(Box::pin(async move { Done::Page(log, after, page.await) }))
}

/// Makes acknowledgements durable.
pub fn acknowledge(server: &Arc<Server>, device: DeviceId, positions: Vec<(LogId, Seq)>) -> Work {
    let acknowledged = server.store.acknowledge_now(device, positions);
    Work::Own(Box::pin(async move { Done::Acknowledged(acknowledged.await) }))
}

/// Asks who is a member of a group, and relays the signal that had to wait for it.
pub fn settle(server: &Arc<Server>, group: GroupId, from: DeviceId, change: u64, frame: Bytes) -> Work {
    let server = Arc::clone(server);
    Work::Own(Box::pin(async move {
        let mut change = change;
        for _ in 0..SETTLINGS {
            // A signal promises nothing: not that the store has the time for it, either.
            let Ok(leaves) = server.store.roster(group).await else { break };
            server.hub.settle(group, change, &leaves);
            match server.hub.relay(group, from, &frame) {
                Relayed::Done => break,
                Relayed::Unsettled(next) => change = next,
            }
        }
        Done::Settled
    }))
}

#[cfg(test)]
mod tests {
    use sovereign_proto::v1;

    use super::*;

    #[test]
    fn whatever_may_be_answered_with_entries_counts_them() {
        let stale = [
            request::Body::SendMessage(v1::SendMessageRequest::default()),
            request::Body::SubmitCommit(v1::SubmitCommitRequest::default()),
            request::Body::Propose(v1::ProposeRequest::default()),
        ];
        assert!(stale.iter().all(|body| answer_bytes(body) == BYTES_PER_STALE_ANSWER));
        assert_eq!(answer_bytes(&request::Body::FetchEntries(v1::FetchEntriesRequest::default())), BYTES_PER_PAGE);
        assert_eq!(answer_bytes(&request::Body::Ping(v1::PingRequest::default())), 0);
    }
}
