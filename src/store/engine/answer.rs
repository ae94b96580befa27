//! What a verb gives at once: a future of its answer. The work is queued already when the caller holds it.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::sync::oneshot;

use crate::store::types::StoreError;

/// The answer of a verb. Dropping it does not undo the verb.
#[must_use = "a verb's outcome decides what the caller may say"]
pub struct Answer<T>(State<T>);

enum State<T> {
    Ready(Option<Result<T, StoreError>>),
    Waiting(oneshot::Receiver<Result<T, StoreError>>),
}

impl<T> Answer<T> {
    pub(in crate::store) fn ready(value: T) -> Self {
        Self(State::Ready(Some(Ok(value))))
    }

    pub(in crate::store) fn refused(error: StoreError) -> Self {
        Self(State::Ready(Some(Err(error))))
    }

    pub(in crate::store) fn waiting(receiver: oneshot::Receiver<Result<T, StoreError>>) -> Self {
        Self(State::Waiting(receiver))
    }
}

impl<T: Unpin> Future for Answer<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(answer) => Poll::Ready(answer.take().unwrap_or(Err(StoreError::Failed))),
            // A job that was dropped unanswered means that its thread has ended.
            State::Waiting(receiver) => Poll::Ready(ready!(Pin::new(receiver).poll(context)).unwrap_or(Err(StoreError::Failed))),
        }
    }
}
