//! SIGKILL in the middle of traffic: nothing acknowledged is missing, nothing is doubled.

use std::collections::BTreeMap;

use sovereign::entropy;
use sovereign_proto::v1::{self, entry::Body, own::What};

use crate::harness::{
    Raw, TestServer,
    scene::{Seat, pair, send_request},
};

/// Every message with what its sender was told.
#[derive(Default)]
struct Sent {
    requests: Vec<v1::SendMessageRequest>,
    acknowledged: BTreeMap<usize, u64>,
}

impl Sent {
    /// Sends everything that is unanswered and takes answers until the connection ends or all are in.
    async fn push_on(&mut self, raw: &mut Raw, answers: usize) {
        let open: Vec<usize> = (0..self.requests.len()).filter(|index| !self.acknowledged.contains_key(index)).collect();
        let mut ids = BTreeMap::new();
        for index in open {
            ids.insert(raw.send(self.requests[index].clone()).await, index);
        }
        for _ in 0..answers.min(ids.len()) {
            let Ok(envelope) = raw.any_answer().await else { return };
            let Some(v1::envelope::Body::Response(response)) = envelope.body else { panic!("a message was refused") };
            let Some(v1::response::Body::SendMessage(sent)) = response.body else { panic!("another answer") };
            self.acknowledged.insert(ids[&envelope.request_id], sent.seq);
        }
    }
}

async fn reconnect(server: &TestServer, seat: &mut Seat) {
    seat.person.raw = Raw::sign_in(server, &seat.person.keys).await.0;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_with_sends_outstanding_lose_and_double_nothing() {
    let seed = entropy::random::<8>();
    println!("seed {seed:?}");
    let mut server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let mut sent = [Sent::default(), Sent::default()];
    for round in 0..50_usize {
        for (seat, sent) in [&mut ada, &mut bob].into_iter().zip(&mut sent) {
            for number in 0..8 {
                let message = seat.person.member.message(&mut seat.group, &format!("{round}.{number}"));
                sent.requests.push(send_request(&id, message));
            }
        }
        // Between no answer and all of them; the rest is outstanding when the process dies.
        let answers = usize::from(seed[round % 8]).wrapping_mul(round + 1) % 9;
        let [adas, bobs] = &mut sent;
        tokio::join!(adas.push_on(&mut ada.person.raw, answers), bobs.push_on(&mut bob.person.raw, answers / 2));
        server.kill().await;
        server.restart().await;
        tokio::join!(reconnect(&server, &mut ada), reconnect(&server, &mut bob));
    }
    let [adas, bobs] = &mut sent;
    adas.push_on(&mut ada.person.raw, usize::MAX).await;
    bobs.push_on(&mut bob.person.raw, usize::MAX).await;
    for (seat, sent) in [&mut ada, &mut bob].into_iter().zip(&sent) {
        assert_eq!(sent.acknowledged.len(), sent.requests.len(), "everything is answered in the end");
        verify(seat, sent, &id).await;
    }
}

/// The whole log as one of the two reads it: contiguous, each of its own messages once and where it was told.
async fn verify(seat: &mut Seat, told: &Sent, id: &[u8]) {
    let mut own = BTreeMap::new();
    let (mut after, mut reached, mut foreign) = (1, 1, 0);
    loop {
        let request = v1::FetchEntriesRequest { group_id: id.to_vec().into(), from_seq: after, backward: false, limit: 256 };
        let page = seat.person.raw.call(request).await.expect("a page");
        for entry in &page.entries {
            reached += 1;
            assert_eq!(entry.seq, reached, "the log has no hole");
            match &entry.body {
                Some(Body::Own(v1::Own { what: Some(What::ClientId(client_id)), .. })) => {
                    assert!(own.insert(client_id.clone(), entry.seq).is_none(), "a message stands twice in the log");
                }
                Some(Body::Message(_)) => foreign += 1,
                _ => panic!("an entry that nobody sent"),
            }
        }
        after = reached;
        if !page.more {
            break;
        }
    }
    for (index, seq) in &told.acknowledged {
        let client_id = &told.requests[*index].message.as_ref().expect("a message").client_id;
        assert_eq!(own.get(client_id), Some(seq), "an acknowledged message stands where it was acknowledged");
    }
    assert_eq!((own.len(), foreign), (told.requests.len(), told.requests.len()), "every message of both stands once");
}
