//! What a session tells its peer unasked: pages of the logs, hints, pushes, the goodbye of a drain.

use std::sync::Arc;

use sovereign_proto::v1::{self, push};

use super::{
    Phase, Session,
    delivery::{Delivery, Step},
    link::Link,
    work::{self, Work},
};
use crate::{
    caller::Identity,
    codec,
    ids::{DeviceId, LogId, Seq},
    limits,
    refusal::CloseCode,
    server::{Server, reconnect_after_ms},
    store::Page,
    wire,
};

impl<L: Link> Session<L> {
    /// Feeds what may be sent now: pages of the logs, as long as the socket takes them.
    pub(super) fn pump(&mut self) {
        while self.phase == Phase::Open && !self.reading && self.link.pending() < self.send_room() {
            let Some(delivery) = &mut self.delivery else { return };
            match delivery.step(|log, after| self.server.store.tail(log, after)) {
                Step::Rest => return,
                Step::Live => self.feed(codec::push(push::Body::Live(v1::Live {}))),
                Step::Send(frame) => self.feed_entries(frame),
                Step::Position(log) => self.read_from_store(|server, device| work::position(server, device, log)),
                Step::Page(log, after) => self.read_from_store(|server, device| work::page(server, device, log, after)),
            }
        }
    }

    /// Feeds what may be coalesced, in its newest state, when the socket takes it. Until then it waits in the inbox.
    pub(super) fn pump_hints(&mut self) {
        let Identity::Active(device) = &self.connection.identity else { return };
        if self.phase != Phase::Open || self.link.pending() >= self.flow().send_buffer {
            return;
        }
        let Some(hints) = self.connection.inbox.take_hints() else { return };
        if !hints.presence.is_empty() {
            let (number, seen) = self.server.hub.look(device.device, &self.connection.inbox, &hints.presence);
            self.feed(codec::push(push::Body::Presence(v1::PresenceChanged { accounts: wire::presences(seen), number })));
        }
        for (group, progress) in hints.receipts {
            let receipts = progress.into_iter().map(|(account, progress)| wire::receipt(account, progress)).collect();
            let changed = v1::ReceiptsChanged { group_id: wire::group_id(LogId::Group(group)), receipts };
            self.feed(codec::push(push::Body::Receipts(changed)));
        }
    }

    pub(super) fn read_from_store(&mut self, work: impl FnOnce(&Arc<Server>, DeviceId) -> Work) {
        let Identity::Active(device) = &self.connection.identity else { return };
        let work = work(&self.server, device.device);
        self.reading = true;
        self.start(work);
    }

    pub(super) fn read_mail(&mut self) {
        let mail = self.connection.inbox.take();
        if let Some(delivery) = &mut self.delivery {
            mail.reopened.into_iter().for_each(|log| delivery.reopen(log));
            mail.woken.into_iter().for_each(|log| delivery.wake(log));
        } else {
            // The device is registered and its snapshot read, and its sign-in not answered yet.
            self.woken_early.extend(mail.reopened.into_iter().chain(mail.woken));
        }
        for body in mail.pushes {
            if self.link.pending() < self.flow().send_buffer_hard {
                self.feed(codec::push(body));
            }
        }
        let live = self.delivery.as_ref().is_some_and(Delivery::is_live);
        for signal in mail.signals {
            // The first to go where there is no room, and nothing for who is still catching up.
            if live && self.link.pending() < limits::SIGNAL_BUFFER {
                self.feed(signal.frame);
            }
        }
        match mail.close {
            Some(CloseCode::Restart) if self.phase == Phase::Open => self.phase = Phase::Draining,
            Some(code) if self.phase == Phase::Open || self.phase == Phase::Draining => self.close(code),
            _ => {}
        }
    }

    /// While draining: once nothing is in flight, says goodbye. Operators come and go by themselves.
    pub(super) fn drain(&mut self) {
        let operator = matches!(self.connection.identity, Identity::Operator);
        if self.phase == Phase::Open && !operator && self.server.is_draining() {
            self.phase = Phase::Draining;
        }
        if self.phase == Phase::Draining && self.in_flight.is_empty() {
            let code = CloseCode::Restart;
            let reconnect_after_ms = reconnect_after_ms();
            let closing = v1::Closing { code: code as u32, reason: code.reason().into(), reconnect_after_ms };
            self.feed(codec::push(push::Body::Closing(closing)));
            self.close(code);
        }
    }

    /// The store's answer to [`Step::Page`]. Where answers have taken the room meanwhile it is let go, and read again once
    /// there is room: no entries are fed on top of a full buffer.
    pub(super) fn read_page(&mut self, log: LogId, after: Seq, page: Option<Page>) {
        if self.link.pending() >= self.send_room() {
            return;
        }
        if let Some(frame) = self.delivery.as_mut().and_then(|delivery| delivery.paged(log, after, page)) {
            self.feed_entries(frame);
        }
    }

    /// Feeds entries of a log.
    fn feed_entries(&mut self, frame: bytes::Bytes) {
        if let Some(delivery) = &mut self.delivery {
            self.server.metrics.delivered(delivery.take_delivered());
        }
        self.feed(frame);
    }
}
