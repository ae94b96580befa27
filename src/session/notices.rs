//! What a device says without asking for an answer: how far it has read, and signals.

use sovereign_proto::v1::{self, push};

use super::{Session, allowance::Verdict, link::Link, work};
use crate::{caller::Identity, clock::monotonic, codec, hub::Relayed, ids::GroupId, limits, refusal::CloseCode, wire};

impl<L: Link> Session<L> {
    /// Notices of a newer client say nothing here.
    pub(super) fn notice(&mut self, notice: v1::Notice) {
        match notice.body {
            Some(v1::notice::Body::Acknowledge(acknowledge)) => self.acknowledge(acknowledge),
            Some(v1::notice::Body::Signal(signal)) => self.signal(signal),
            // A newer client's.
            None => {}
        }
    }

    fn acknowledge(&mut self, acknowledge: v1::Acknowledge) {
        let (Identity::Active(device), Some(delivery)) = (&self.connection.identity, &mut self.delivery) else {
            return self.close(CloseCode::Order);
        };
        let positions: Vec<_> = acknowledge
            .positions
            .into_iter()
            .take(limits::POSITIONS)
            .filter_map(|position| Some((wire::log(&position.group_id, device.device)?, position.seq)))
            .filter(|(log, _)| delivery.knows(*log))
            .collect();
        let mut now = false;
        for (log, seq) in &positions {
            now |= delivery.acknowledged(*log, *seq);
        }
        let device = device.device;
        if now {
            self.acknowledging = true;
            self.start(work::acknowledge(&self.server, device, positions));
        } else {
            self.server.store.acknowledge(device, positions);
        }
    }

    /// Never answered: whatever is wrong with a signal, it is dropped.
    fn signal(&mut self, signal: v1::Signal) {
        let Identity::Active(device) = &self.connection.identity else { return self.close(CloseCode::Order) };
        let (device, size) = (device.device, signal.ciphertext.len());
        match self.signals.spend(size.div_ceil(limits::SIGNAL).max(1) as u64, monotonic()) {
            Verdict::Relay => {}
            Verdict::Drop => return,
            Verdict::Abuse => return self.close(CloseCode::RateAbuse),
        }
        let Ok(group) = GroupId::try_from(&signal.group_id[..]) else { return };
        if !(1..=limits::SIGNAL).contains(&size) {
            return;
        }
        let frame = codec::push(push::Body::Signal(signal));
        if let Relayed::Unsettled(change) = self.server.hub.relay(group, device, &frame) {
            self.settling = true;
            self.start(work::settle(&self.server, group, device, change, frame));
        }
    }
}
