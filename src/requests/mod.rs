//! One file per request of the service block. The gate around them (caller, deadline, panic, reply) is written once, here.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use data_encoding::HEXLOWER;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, CatchUnwind},
};
use sovereign_proto::{
    Call,
    v1::{FailureCode, request, response},
};

use crate::{
    caller::{Caller, Connection},
    clock::{Instant, monotonic},
    entropy,
    limits::HANDLER_DEADLINE,
    refusal::Refusal,
    server::Server,
};

pub mod admission;
mod answers;
mod back_up;
mod change_password;
mod claim_key_packages;
mod confirm_epoch;
mod count_key_packages;
mod create_group;
mod create_invite;
mod delete_account;
mod end_session;
mod fetch_entries;
mod find_account;
mod get_group_info;
mod get_receipts;
mod get_status;
mod get_usage;
mod issue_ticket;
mod issue_token;
mod leave_group;
mod list_account_devices;
mod list_accounts;
mod list_devices;
mod list_groups;
mod list_invites;
mod list_manifests;
mod list_relations;
mod list_sessions;
mod mark_read;
pub mod nomination;
pub mod notices;
mod overviews;
mod parse;
mod ping;
pub mod presence;
mod propose;
mod publish_key_packages;
mod publish_manifest;
pub mod receipts;
mod reserve_group;
mod reset_group;
mod reset_password;
mod revive_group;
mod revoke_device;
mod revoke_invite;
mod send_message;
mod send_notice;
mod set_account_enabled;
mod set_presence;
mod set_privacy;
mod set_relation;
mod show_account;
mod sign_in;
mod sign_in_with_password;
mod sign_out;
mod sign_up;
mod submit_commit;
#[cfg(test)]
mod tests;
pub mod throttle;
mod watch_presence;

use self::throttle::{Charge, Verdict};
pub use create_invite::new_invite;

/// What a handler file says of its request: who may ask, and what is done.
pub trait Handle: Call + Send + 'static {
    /// Who may ask.
    type Caller: Caller + Send;

    /// Does it. What has to happen in the order of the connection's frames happens before the first await.
    fn handle(self, caller: Self::Caller, server: &Arc<Server>) -> impl Future<Output = Result<Self::Response, Refusal>> + Send;
}

/// Answers a request: exactly one result, also when the handler panics, takes too long or the server drains.
pub fn handle(server: Arc<Server>, connection: Arc<Connection>, body: request::Body) -> Handling {
    let (index, started) = (index(&body), monotonic());
    let (handler, charge): (Handler, _) = if server.is_draining() {
        let restarts = Refusal::unavailable("the server restarts", crate::server::reconnect_after_ms());
        (Box::pin(std::future::ready(Err(restarts))), None)
    } else {
        match throttle::admit(&server, &connection, &body, started) {
            Verdict::Go(charge) => (dispatch(Arc::clone(&server), connection, body), Some(charge)),
            Verdict::Refused(refusal) => (Box::pin(std::future::ready(Err(refusal))), None),
            Verdict::Busy(busy) => (Box::pin(busy.refused(Arc::clone(&server))), None),
        }
    };
    Handling { server, index, started, charge, handler: bounded(started, handler) }
}

/// A request being handled. Its deadline is looked at whenever it is polled, so that it needs no timer of its own: who
/// drives it polls it again at [`Handling::deadline`].
pub struct Handling {
    server: Arc<Server>,
    index: usize,
    started: Instant,
    charge: Option<Charge>,
    handler: Bounded<Handler>,
}

/// What a handler does, whichever it is.
type Handler = BoxFuture<'static, Result<response::Body, Refusal>>;

impl Handling {
    /// When the request is refused if it is not done.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.handler.deadline
    }
}

impl Future for Handling {
    type Output = Result<response::Body, Refusal>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.handler).poll(cx));
        if let Some(charge) = self.charge.take() {
            charge.settle(&self.server, &result);
        }
        self.server.metrics.request(self.index, result.as_ref().err().map(Refusal::code), self.started.elapsed());
        Poll::Ready(result)
    }
}

/// The result of a handler, or a refusal in its place if it panics or takes too long.
struct Bounded<F> {
    handler: CatchUnwind<AssertUnwindSafe<F>>,
    deadline: Instant,
}

fn bounded<F: Future>(started: Instant, handler: F) -> Bounded<F> {
    Bounded { handler: AssertUnwindSafe(handler).catch_unwind(), deadline: started + HANDLER_DEADLINE }
}

impl<T, F: Future<Output = Result<T, Refusal>> + Unpin> Future for Bounded<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.handler).poll(cx) {
            Poll::Ready(Ok(result)) => Poll::Ready(result),
            Poll::Ready(Err(_panic)) => {
                let incident = HEXLOWER.encode(&entropy::random::<8>());
                tracing::error!(incident, "a handler panicked");
                Poll::Ready(Err(Refusal::internal(&incident)))
            }
            Poll::Pending if monotonic() >= self.deadline => Poll::Ready(Err(Refusal::new(
                FailureCode::DeadlineExceeded,
                "it took too long: whether it was done is unknown, so ask again",
            ))),
            Poll::Pending => Poll::Pending,
        }
    }
}

async fn gate<R: Handle>(server: &Arc<Server>, connection: &Arc<Connection>, request: R) -> Result<R::Response, Refusal> {
    let caller = R::Caller::admit(connection)?;
    let result = request.handle(caller, server).await;
    let refused = result.as_ref().err().map(Refusal::code);
    tracing::trace!(request = R::NAME, identity = ?connection.identity, ?refused, "handled");
    result
}

macro_rules! dispatch {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        fn dispatch(server: Arc<Server>, connection: Arc<Connection>, body: request::Body) -> Handler {
            match body {
                $(request::Body::$name(request) => {
                    Box::pin(async move { gate(&server, &connection, request).await.map(response::Body::$name) })
                })*
            }
        }

        /// The request's place in the service block.
        fn index(body: &request::Body) -> usize {
            match body {
                $(request::Body::$name(_) => <sovereign_proto::v1::$request as Call>::INDEX,)*
            }
        }
    };
}

sovereign_proto::for_each_request!(dispatch);
