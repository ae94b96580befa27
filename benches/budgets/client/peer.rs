//! A member at work in one group: sends, sees, acknowledges.

use bytes::Bytes;
use sovereign_client::load::Heard;
use sovereign_proto::v1;
use tokio::task::JoinSet;

use super::{Connection, Mint};
use crate::scale::Scale;

/// A live device in a group.
pub struct Peer {
    /// Its connection.
    pub connection: Connection,
    /// What it sends.
    pub mint: Mint,
}

/// What a peer does before it is done.
#[derive(Clone, Copy, Default)]
pub struct Work {
    /// Messages to send.
    pub send: usize,
    /// How many of them wait for their answer at most.
    pub outstanding: usize,
    /// Messages of the group to see and acknowledge, its own included.
    pub see: usize,
}

#[derive(Default)]
struct Progress {
    accepted: usize,
    seen: usize,
    /// Seen and not acknowledged.
    newest: Option<u64>,
}

impl Peer {
    /// Does it. Whatever has arrived together is acknowledged together, and written together with what is sent.
    pub async fn drive(&mut self, work: Work) {
        let mut progress = Progress::default();
        let mut sent = 0;
        loop {
            let mut fed = false;
            while sent < work.send && sent - progress.accepted < work.outstanding {
                let request = self.mint.next_request();
                self.connection.feed(request);
                (sent, fed) = (sent + 1, true);
            }
            if let Some(seq) = progress.newest.take() {
                self.connection.feed_acknowledgement(self.mint.group_id().clone(), seq);
                fed = true;
            }
            if fed {
                self.connection.flush().await;
            }
            if progress.accepted == work.send && progress.seen == work.see {
                return;
            }
            let mut next = Some(self.connection.next().await);
            while let Some(heard) = next {
                self.note(&mut progress, heard);
                next = self.connection.ready();
            }
        }
    }

    /// Plays signals back and forth with another peer: sends the first few, and one for each that comes, until as many
    /// were sent and seen.
    pub async fn play(&mut self, first: usize, count: usize) {
        let signal = v1::Signal {
            group_id: self.mint.group_id().clone(),
            epoch: 1,
            ciphertext: Bytes::from_static(&[0xa5; Scale::MESSAGE_BYTES]),
        };
        let (mut sent, mut seen) = (first.min(count), 0);
        for _ in 0..sent {
            self.connection.feed_signal(signal.clone());
        }
        self.connection.flush().await;
        while sent < count || seen < count {
            let mut next = Some(self.connection.next().await);
            let mut fed = false;
            while let Some(heard) = next {
                if heard == Heard::Signal {
                    seen += 1;
                    if sent < count {
                        self.connection.feed_signal(signal.clone());
                        (sent, fed) = (sent + 1, true);
                    }
                }
                next = self.connection.ready();
            }
            if fed {
                self.connection.flush().await;
            }
        }
    }

    fn note(&self, progress: &mut Progress, heard: Heard) {
        match heard {
            Heard::Accepted { .. } => progress.accepted += 1,
            Heard::Entries { log, last, messages } if log == self.mint.group_id() => {
                progress.newest = Some(last);
                progress.seen += messages.len();
            }
            Heard::Refused { code, .. } => panic!("a message is refused: {code}"),
            _ => {}
        }
    }
}

/// Lets all of them work at the same time; gives them back when all are done.
pub async fn drive_all(peers: Vec<(Peer, Work)>) -> Vec<Peer> {
    let mut working = JoinSet::new();
    let count = peers.len();
    for (index, (mut peer, work)) in peers.into_iter().enumerate() {
        working.spawn(async move {
            peer.drive(work).await;
            (index, peer)
        });
    }
    let mut done: Vec<Option<Peer>> = std::iter::repeat_with(|| None).take(count).collect();
    while let Some(joined) = working.join_next().await {
        let (index, peer) = joined.expect("no peer fails");
        done[index] = Some(peer);
    }
    done.into_iter().flatten().collect()
}
