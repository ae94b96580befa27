//! The operator's end of the control socket: Envelopes behind a length.

use bytes::Bytes;
use prost::Message as _;
use sovereign_proto::{
    Call,
    v1::{self, Envelope, Failure, envelope},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

use super::{TestServer, within};

/// A connection to the control socket.
pub struct Control {
    stream: UnixStream,
}

impl Control {
    /// Connects as whoever may open the socket.
    pub async fn connect(server: &TestServer) -> Self {
        Self { stream: UnixStream::connect(server.data().join("control.sock")).await.expect("the control socket is there") }
    }

    /// Sends a request and waits for its answer.
    pub async fn call<C: Call>(&mut self, request: C) -> Result<C::Response, Failure> {
        match self.ask(request.into_body()).await.body {
            Some(envelope::Body::Response(response)) => Ok(response.body.and_then(C::from_body).expect("the right answer")),
            Some(envelope::Body::Failure(failure)) => Err(failure),
            _ => panic!("neither response nor failure"),
        }
    }

    /// Sends a request of whatever kind; what answers it.
    pub async fn ask(&mut self, body: v1::request::Body) -> Envelope {
        let body = Some(envelope::Body::Request(v1::Request { body: Some(body) }));
        let frame = Envelope { request_id: 1, body }.encode_to_vec();
        let length = u32::try_from(frame.len()).expect("a frame is short");
        self.stream.write_all(&[&length.to_be_bytes()[..], &frame].concat()).await.expect("the socket takes it");
        let mut bytes = vec![0; within("an answer", self.stream.read_u32()).await.expect("an answer") as usize];
        self.stream.read_exact(&mut bytes).await.expect("the whole answer");
        Envelope::decode(Bytes::from(bytes)).expect("an Envelope")
    }
}
