//! A typed call on its way to becoming a frame, and its answer on the way back.

use std::future::Future;

use sovereign_proto::{
    Call,
    v1::{self, FailureCode},
};
use tokio::sync::oneshot;

use super::CallError;

/// What the server said, or why nothing was sent. Dropping the sender says `Disconnected`.
pub(super) type Answer = Result<v1::response::Body, CallError>;

/// A request that waits for its turn.
pub(super) struct Command {
    pub(super) body: v1::request::Body,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The command to queue and the future of its typed answer.
pub(super) fn prepare<C: Call>(request: C) -> (Command, impl Future<Output = Result<C::Response, CallError>> + Send + 'static)
where
    C::Response: 'static,
{
    let (answer, answered) = oneshot::channel();
    let response = async move {
        let body = answered.await.unwrap_or(Err(CallError::Disconnected))?;
        C::from_body(body).ok_or_else(|| {
            let message = format!("the server gave another request's answer to {}", C::NAME);
            CallError::Refused(v1::Failure { code: FailureCode::Internal.into(), message, ..v1::Failure::default() })
        })
    };
    (Command { body: request.into_body(), answer }, response)
}
