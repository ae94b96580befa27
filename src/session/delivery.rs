//! What a device has been sent of each of its logs, and what comes next: positions instead of queues.
//!
//! A reader that stops costs a few numbers here. Decides only; reading and writing are done by the session.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use sovereign_proto::v1::{self, push};

use crate::{
    codec,
    ids::{DeviceId, LogId, Seq},
    limits::Flow,
    store::{Item, LogPosition, Page, StoredEntry},
    wire::{entry, group_id},
};

/// The logs of one live device.
pub struct Delivery {
    device: DeviceId,
    flow: Flow,
    logs: HashMap<LogId, Reading>,
    /// Logs that may have something to send, each once.
    waiting: VecDeque<LogId>,
    /// Bytes sent and not acknowledged.
    outstanding: usize,
    /// Entries framed since somebody took the number.
    delivered: u64,
    /// Logs not yet brought to where they stood at sign-in.
    snapshot: HashSet<LogId>,
    live: bool,
}

#[derive(Default)]
struct Reading {
    /// `None` until the store was asked for the cursor.
    sent: Option<Seq>,
    /// Up to where it was sent before the window that is asked for now: the next one lies behind.
    before: Seq,
    /// The last seq of the window, once known.
    end: Option<Seq>,
    /// Where the log stood when the store was first asked.
    snapshot_head: Seq,
    waits: bool,
    unacknowledged: VecDeque<(Seq, usize)>,
}

/// The next thing the session has to do for a log.
pub enum Step {
    /// Nothing until a wake-up or an acknowledgement.
    Rest,
    /// Everything up to the snapshot was sent: say `Live`, once.
    Live,
    /// Ask the store where the log stands.
    Position(LogId),
    /// Read a page behind this position from the store.
    Page(LogId, Seq),
    /// Send this frame.
    Send(Bytes),
}

impl Delivery {
    /// Starts with the logs that have, or may have, news.
    #[must_use]
    pub fn new(device: DeviceId, flow: Flow, news: Vec<LogId>) -> Self {
        let mut delivery = Self {
            device,
            flow,
            logs: HashMap::new(),
            waiting: VecDeque::new(),
            outstanding: 0,
            delivered: 0,
            snapshot: news.iter().copied().collect(),
            live: false,
        };
        news.into_iter().for_each(|log| delivery.wake(log));
        delivery
    }

    /// The log may have grown.
    pub fn wake(&mut self, log: LogId) {
        let reading = self.logs.entry(log).or_default();
        if !std::mem::replace(&mut reading.waits, true) {
            self.waiting.push_back(log);
        }
    }

    /// A window of this log has become readable (or another one than before): ask the store where to go on. What was
    /// sent and is not acknowledged yet stays so, and is not sent again.
    pub fn reopen(&mut self, log: LogId) {
        if let Some(reading) = self.logs.get_mut(&log) {
            reading.before = reading.sent.take().unwrap_or(reading.before);
            reading.end = None;
        }
        self.wake(log);
    }

    /// What comes next. `tail` gives the entries behind a position, if all of them are in memory.
    pub fn step(&mut self, mut tail: impl FnMut(LogId, Seq) -> Option<Vec<Arc<StoredEntry>>>) -> Step {
        loop {
            if self.snapshot.is_empty() && !std::mem::replace(&mut self.live, true) {
                return Step::Live;
            }
            let Some(log) = self.waiting.front().copied() else { return Step::Rest };
            let reading = self.logs.entry(log).or_default();
            let Some(sent) = reading.sent else { return Step::Position(log) };
            if reading.end.is_some_and(|end| sent >= end) {
                self.caught_up(log);
                continue;
            }
            if self.outstanding >= self.flow.entries_credit {
                return Step::Rest;
            }
            let tail = if reading.end.is_none() { tail(log, sent) } else { None };
            let Some(entries) = tail else { return Step::Page(log, sent) };
            if entries.is_empty() {
                self.caught_up(log);
                continue;
            }
            let items = entries.into_iter().map(Item::Entry).collect();
            return Step::Send(self.send(log, first_page(items, self.flow)));
        }
    }

    /// The store's answer to [`Step::Position`]; `None`: the device has no readable window there.
    pub fn positioned(&mut self, log: LogId, position: Option<LogPosition>) {
        match position {
            Some(position) => {
                let reading = self.logs.entry(log).or_default();
                reading.sent = Some(position.cursor.max(reading.before));
                // What is in memory may go on behind the end of the window.
                reading.end = position.end;
                reading.snapshot_head = position.head;
                self.note_progress(log);
            }
            None => self.caught_up(log),
        }
    }

    /// The store's answer to [`Step::Page`]: a frame to send, if there was something.
    pub fn paged(&mut self, log: LogId, after: Seq, page: Option<Page>) -> Option<Bytes> {
        let reading = self.logs.get_mut(&log)?;
        if reading.sent != Some(after) {
            // Reopened meanwhile: the log is asked for again.
            return None;
        }
        let Some(page) = page else {
            self.caught_up(log);
            return None;
        };
        if page.ended {
            reading.end = Some(page.head);
        }
        let (more, empty) = (page.more, page.items.is_empty());
        let frame = (!empty).then(|| self.send(log, page.items));
        if !more && empty {
            self.caught_up(log);
        }
        frame
    }

    /// Whether everything up to the snapshot was sent.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Whether something of the log was sent, or may have been: only then is there something to acknowledge.
    #[must_use]
    pub fn knows(&self, log: LogId) -> bool {
        matches!(log, LogId::Device(_)) || self.logs.contains_key(&log)
    }

    /// The device has acknowledged the log up to `seq`. True where the store must know at once, because something may
    /// become readable by it: on the device's own log, and at the end of a window.
    #[must_use]
    pub fn acknowledged(&mut self, log: LogId, seq: Seq) -> bool {
        let Some(reading) = self.logs.get_mut(&log) else { return matches!(log, LogId::Device(_)) };
        while reading.unacknowledged.front().is_some_and(|(sent, _)| *sent <= seq) {
            let (_, bytes) = reading.unacknowledged.pop_front().unwrap_or_default();
            self.outstanding -= bytes;
        }
        matches!(log, LogId::Device(_)) || reading.end.is_some_and(|end| seq >= end)
    }

    /// How many entries were framed since the last time.
    pub fn take_delivered(&mut self) -> u64 {
        std::mem::take(&mut self.delivered)
    }

    fn caught_up(&mut self, log: LogId) {
        self.snapshot.remove(&log);
        self.waiting.retain(|waiting| *waiting != log);
        if let Some(reading) = self.logs.get_mut(&log) {
            reading.waits = false;
        }
    }

    fn note_progress(&mut self, log: LogId) {
        let reached = self.logs.get(&log).is_some_and(|reading| reading.sent >= Some(reading.snapshot_head));
        if reached {
            self.snapshot.remove(&log);
        }
    }

    /// Frames the items and moves the position behind them. The log goes to the back of the line.
    fn send(&mut self, log: LogId, mut items: Vec<Item>) -> Bytes {
        let device = self.device;
        let removed_at = items.iter().position(|item| matches!(item, Item::Entry(entry) if entry.removes.contains(&device)));
        #[cfg(feature = "sabotage")]
        let removed_at = removed_at.filter(|_| !crate::sabotage::breaks("leak"));
        let reading = self.logs.entry(log).or_default();
        if let Some(index) = removed_at {
            items.truncate(index + 1);
            reading.end = items.last().map(last_seq);
        }
        let last = items.last().map_or(0, last_seq);
        let frame = frame(log, device, &items);
        self.delivered += items.len() as u64;
        reading.sent = Some(last);
        reading.unacknowledged.push_back((last, frame.len()));
        self.outstanding += frame.len();
        self.waiting.rotate_left(1);
        self.note_progress(log);
        frame
    }
}

/// As many of the items as one push takes.
fn first_page(mut items: Vec<Item>, flow: Flow) -> Vec<Item> {
    let mut bytes = 0;
    let mut fits = 0;
    for item in items.iter().take(flow.entries_per_page) {
        bytes += if let Item::Entry(entry) = item { entry.body.len() + 64 } else { 64 };
        if fits > 0 && bytes > flow.bytes_per_page {
            break;
        }
        fits += 1;
    }
    items.truncate(fits);
    items
}

fn last_seq(item: &Item) -> Seq {
    match item {
        Item::Entry(entry) => entry.seq,
        Item::Skipped { to, .. } => *to,
    }
}

/// The push of these items. That of a single entry somebody else sent is made once and shared by all who read it.
fn frame(log: LogId, device: DeviceId, items: &[Item]) -> Bytes {
    if let [Item::Entry(entry)] = items
        && entry.sender != Some(device)
    {
        return entry.frame.get_or_init(|| push_of(log, device, items)).clone();
    }
    push_of(log, device, items)
}

fn push_of(log: LogId, device: DeviceId, items: &[Item]) -> Bytes {
    let entries = items.iter().map(|item| entry(item, device)).collect();
    #[cfg(feature = "sabotage")]
    let entries = crate::sabotage::twisted(entries);
    codec::push(push::Body::Entries(v1::Entries { group_id: group_id(log), entries }))
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use sovereign_proto::log::Kind;

    use super::*;
    use crate::{
        ids::{ClientId, GroupId},
        store::SenderRef,
    };

    const LOG: LogId = LogId::Group(GroupId([1; 32]));

    fn message(seq: Seq) -> StoredEntry {
        StoredEntry {
            seq,
            time: seq,
            kind: Kind::Message,
            sender: None,
            sender_ref: SenderRef::Message(ClientId([3; 16])),
            entry_hash: [0; 32],
            body: Bytes::from_static(b"ciphertext"),
            removes: Box::default(),
            expires_at: None,
            urgent: false,
            frame: OnceLock::new(),
        }
    }

    fn entries(seqs: impl Iterator<Item = Seq>) -> Vec<Arc<StoredEntry>> {
        seqs.map(|seq| Arc::new(message(seq))).collect()
    }

    fn position(cursor: Seq, head: Seq) -> LogPosition {
        LogPosition { log: LOG, first_available: 1, head, cursor, end: None }
    }

    /// Sends what stands in memory up to `head`, until there is nothing to do; the last seq that was sent.
    fn send_up_to(delivery: &mut Delivery, head: Seq) -> Seq {
        while let Step::Send(_) = delivery.step(|_, after| Some(entries(after + 1..=head))) {}
        delivery.logs[&LOG].sent.expect("the store was asked")
    }

    #[test]
    fn what_was_sent_and_is_not_acknowledged_is_sent_once_when_a_window_opens() {
        let mut delivery = Delivery::new(DeviceId([2; 16]), Flow::default(), vec![LOG]);
        delivery.positioned(LOG, Some(position(0, 5)));
        assert_eq!(send_up_to(&mut delivery, 5), 5);
        let outstanding = delivery.outstanding;
        assert!(outstanding > 0);

        delivery.reopen(LOG);
        assert_eq!(delivery.outstanding, outstanding, "the credit is still used");
        assert!(matches!(delivery.step(|_, _| None), Step::Live | Step::Position(_)));
        // The device has acknowledged less than it was sent.
        delivery.positioned(LOG, Some(position(3, 7)));
        assert_eq!(delivery.logs[&LOG].sent, Some(5), "it goes on behind what was sent");
        assert_eq!(send_up_to(&mut delivery, 7), 7);
        assert!(!delivery.acknowledged(LOG, 7));
        assert_eq!(delivery.outstanding, 0, "each byte once");
    }

    #[test]
    fn who_was_removed_gets_nothing_behind_that_also_if_it_is_in_memory() {
        for cursor in 3..=5 {
            let mut delivery = Delivery::new(DeviceId([2; 16]), Flow::default(), vec![LOG]);
            delivery.positioned(LOG, Some(LogPosition { end: Some(5), ..position(cursor, 5) }));
            delivery.wake(LOG);
            let next = delivery.step(|_, after| Some(entries(after + 1..=9)));
            let page = matches!(next, Step::Page(LOG, after) if after == cursor && after < 5);
            assert!(page || matches!(next, Step::Live), "read to {cursor}, the window ends with 5");
        }
    }

    #[test]
    fn a_log_that_is_reopened_twice_before_the_store_answers_forgets_nothing() {
        let mut delivery = Delivery::new(DeviceId([2; 16]), Flow::default(), vec![LOG]);
        delivery.positioned(LOG, Some(position(0, 5)));
        send_up_to(&mut delivery, 5);
        delivery.reopen(LOG);
        delivery.reopen(LOG);
        delivery.positioned(LOG, Some(position(0, 5)));
        assert_eq!(delivery.logs[&LOG].sent, Some(5));
        delivery.reopen(LOG);
        delivery.positioned(LOG, Some(position(9, 12)));
        assert_eq!(delivery.logs[&LOG].sent, Some(9), "the next window lies behind");
    }
}
