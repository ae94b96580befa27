//! What somebody sends before, during and after a fault, and what became of it.

use sovereign_proto::v1::{self, FailureCode, envelope};

use crate::harness::{
    Raw, TestServer,
    scene::{Seat, send_request},
};

/// Every message of one sender with the seq it was accepted at, if it was.
#[derive(Default)]
pub struct Sent(Vec<(v1::SendMessageRequest, Option<u64>)>);

impl Sent {
    /// Sends so many new messages; the ids of their requests.
    pub async fn send(&mut self, seat: &mut Seat, count: usize) -> Vec<(u64, usize)> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let text = format!("message {}", self.0.len());
            let message = seat.person.member.message(&mut seat.group, &text);
            let request = send_request(seat.group.group_id().as_slice(), message);
            ids.push((seat.person.raw.send(request.clone()).await, self.0.len()));
            self.0.push((request, None));
        }
        ids
    }

    /// Takes answers until all are in or the connection ends; those that were refused.
    pub async fn answers(&mut self, raw: &mut Raw, ids: &[(u64, usize)]) -> Vec<FailureCode> {
        let mut refused = Vec::new();
        for _ in ids {
            let Ok(answer) = raw.any_answer().await else { break };
            let (_, index) = ids.iter().find(|(id, _)| *id == answer.request_id).expect("an answer to one of these");
            match answer.body {
                Some(envelope::Body::Response(v1::Response { body: Some(v1::response::Body::SendMessage(sent)) })) => {
                    self.0[*index].1 = Some(sent.seq);
                }
                Some(envelope::Body::Failure(failure)) => refused.push(failure.code()),
                _ => panic!("another answer"),
            }
        }
        refused
    }

    /// How many were accepted.
    pub fn accepted(&self) -> usize {
        self.0.iter().filter(|(_, seq)| seq.is_some()).count()
    }

    /// Everything is sent again, as by a client that knows of no answer: what was accepted gets the same answer, and the
    /// rest a place behind it.
    pub async fn all_again(&mut self, raw: &mut Raw) {
        for (request, accepted) in &mut self.0 {
            let sent = raw.call(request.clone()).await.unwrap_or_else(|failure| panic!("refused: {}", failure.message));
            if let Some(seq) = accepted {
                assert_eq!((sent.seq, sent.duplicate), (*seq, true), "it was acknowledged before the fault");
            }
            *accepted = Some(sent.seq);
        }
        let mut seqs: Vec<u64> = self.0.iter().filter_map(|(_, seq)| *seq).collect();
        seqs.sort_unstable();
        let first = seqs[0];
        assert_eq!(seqs, (first..).take(seqs.len()).collect::<Vec<_>>(), "no hole, and nothing twice");
    }
}

/// Connects again.
pub async fn back(server: &TestServer, seat: &mut Seat) {
    seat.person.raw = Raw::sign_in(server, &seat.person.keys).await.0;
}
