//! The server as the engine sees it: requests with answers, and notices. The connection is one, tests have another.

use std::{future::Future, pin::Pin};

use sovereign_proto::{
    Call,
    v1::{self, request, response},
};

use crate::connection::{CallError, Connection};

/// The answer to a request, to come.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<response::Body, CallError>> + Send>>;

/// Where requests go. They leave in the order of the calls of `begin`.
pub(crate) trait Remote: Send + Sync {
    /// Queues the request now.
    fn begin(&self, request: request::Body) -> Answer;
    /// Tells something that is never answered.
    fn notify(&self, notice: v1::Notice);
    /// Ends for good.
    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Queues a request and waits for the answer of its type.
pub(crate) async fn call<C: Call>(remote: &dyn Remote, request: C) -> Result<C::Response, CallError> {
    answer::<C>(remote.begin(request.into_body())).await
}

/// The typed answer.
pub(crate) async fn answer<C: Call>(answer: Answer) -> Result<C::Response, CallError> {
    C::from_body(answer.await?).ok_or_else(|| CallError::Unsendable("the server answered another request".to_owned()))
}

macro_rules! begin_by_name {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        fn begin_on(connection: &Connection, request: request::Body) -> Answer {
            match request {
                $(request::Body::$name(request) => {
                    let answer = connection.begin(request);
                    Box::pin(async move { answer.await.map(response::Body::$name) })
                })*
            }
        }
    };
}

sovereign_proto::for_each_request!(begin_by_name);

impl Remote for Connection {
    fn begin(&self, request: request::Body) -> Answer {
        begin_on(self, request)
    }

    fn notify(&self, notice: v1::Notice) {
        Self::notify(self, notice);
    }

    fn stop(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Self::stop(self))
    }
}
