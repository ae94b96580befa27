//! What is true in a simulation: gathered from everything that travels, and held against the contract of delivery.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

pub type Device = [u8; 16];
pub type Group = [u8; 32];

/// A log by who may read it: a group's, or a device's own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Log {
    Own(Device),
    Group(Group),
}

/// An interval (join, leave] of a group's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub join: u64,
    pub leave: Option<u64>,
}

impl Window {
    pub fn holds(&self, seq: u64) -> bool {
        seq > self.join && self.leave.is_none_or(|leave| seq <= leave)
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counts {
    pub steps: u64,
    pub virtual_ms: u64,
    pub sessions: u64,
    pub frames: u64,
    pub sends: u64,
    pub commits: u64,
    pub deliveries: u64,
    pub server_crashes: u64,
    pub client_crashes: u64,
    pub network_faults: u64,
    pub revocations: u64,
    pub full_credit: u64,
    pub full_requests: u64,
    pub full_buffer: u64,
}

impl Counts {
    pub fn named(&self) -> [(&'static str, u64); 14] {
        [
            ("steps", self.steps),
            ("virtual_ms", self.virtual_ms),
            ("sessions", self.sessions),
            ("frames", self.frames),
            ("sends", self.sends),
            ("commits", self.commits),
            ("deliveries", self.deliveries),
            ("server_crashes", self.server_crashes),
            ("client_crashes", self.client_crashes),
            ("network_faults", self.network_faults),
            ("revocations", self.revocations),
            ("full_credit", self.full_credit),
            ("full_requests", self.full_requests),
            ("full_buffer", self.full_buffer),
        ]
    }
}

/// A device that may not come in any more.
#[derive(Clone, Debug)]
pub struct Revoked {
    pub at: u64,
    /// The last seq of every log that was known then.
    pub heads: BTreeMap<Log, u64>,
}

/// A session that is signed in.
struct Open {
    device: Device,
    /// Since when a newer one of the same device is signed in.
    superseded_at: Option<u64>,
}

/// How long a connection may last that has to end: of a revoked device, or beside a newer one.
const ENDING_MS: u64 = 1000;

#[derive(Default)]
pub struct Truth {
    pub now: u64,
    /// What happened, a line each: the same for the same seed, byte for byte.
    pub trace: String,
    /// Why the run has failed.
    pub violations: Vec<String>,
    pub counts: Counts,
    /// What stands where, by the hash of it.
    pub facts: BTreeMap<(Log, u64), [u8; 32]>,
    pub heads: BTreeMap<Log, u64>,
    pub windows: BTreeMap<(Device, Group), Vec<Window>>,
    /// Devices that joined by themselves: where their window begins is told to them alone.
    pub outsiders: BTreeSet<(Device, Group)>,
    /// How far each device's own log was shown to it.
    shown: BTreeMap<Device, u64>,
    /// How far a device has acknowledged, and in which life of the server.
    pub acknowledged: BTreeMap<(Device, Log), u64>,
    /// Bodies that travelled to a device.
    pub given: BTreeMap<(Device, Group), BTreeSet<u64>>,
    /// The epoch of a message, or the one that a commit has made.
    pub epochs: BTreeMap<(Group, u64), u64>,
    /// The epochs that commits would make, by their hashes, and those of messages, by their client ids.
    pub sent_epochs: BTreeMap<Vec<u8>, u64>,
    /// Messages the server has answered for.
    pub accepted: BTreeMap<[u8; 16], (Group, u64)>,
    pub revoked: BTreeMap<Device, Revoked>,
    /// Sessions that have not begun to close.
    sessions: BTreeMap<u64, Open>,
    names: BTreeMap<Device, String>,
}

/// Shared by everything that sees something.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Truth>>);

impl Ledger {
    pub fn look(&self) -> MutexGuard<'_, Truth> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Truth {
    pub fn note(&mut self, line: &str) {
        writeln!(self.trace, "{:>9} {line}", self.now).expect("a string takes everything");
    }

    pub fn violation(&mut self, mut text: String) {
        self.note(&format!("VIOLATION {text}"));
        text.insert_str(0, &format!("at {} ms: ", self.now));
        self.violations.push(text);
    }

    pub fn name(&mut self, device: Device, name: &str) {
        self.names.insert(device, name.to_owned());
    }

    pub fn name_of(&self, device: &Device) -> String {
        self.names.get(device).cloned().unwrap_or_else(|| short(device))
    }

    /// Something stands at a place of a log: the same, whoever is told and whenever.
    pub fn fact(&mut self, log: Log, seq: u64, hash: [u8; 32]) {
        let known = *self.facts.entry((log, seq)).or_insert(hash);
        if known != hash {
            self.violation(format!("FORK: {} {seq} was {} and is {}", log_name(&log), short(&known), short(&hash)));
        }
        let head = self.heads.entry(log).or_default();
        *head = (*head).max(seq);
    }

    /// What was sent under this hash or client id stands there.
    pub fn place(&mut self, group: Group, seq: u64, sent: &[u8]) {
        if let Some(epoch) = self.sent_epochs.get(sent) {
            self.epochs.entry((group, seq)).or_insert(*epoch);
        }
    }

    /// Whether a device should have what stands there: in one of its windows, and of an epoch that it was there in.
    pub fn is_due(&self, device: Device, group: Group, seq: u64) -> bool {
        let epoch = self.epochs.get(&(group, seq)).copied().unwrap_or(u64::MAX);
        let windows = self.windows.get(&(device, group)).map(Vec::as_slice).unwrap_or_default();
        let joined = |window: &Window| self.epochs.get(&(group, window.join)).copied().unwrap_or_default();
        windows.iter().any(|window| window.holds(seq) && joined(window) <= epoch)
    }

    /// Whether every window that a device had into a group has ended.
    pub fn is_closed(&self, device: Device, group: Group) -> bool {
        self.windows.get(&(device, group)).is_some_and(|windows| windows.iter().all(|window| window.leave.is_some()))
    }

    /// The first time that an entry of a device's own log is shown to it.
    pub fn is_news(&mut self, device: Device, seq: u64) -> bool {
        let shown = self.shown.entry(device).or_default();
        let news = seq > *shown;
        *shown = (*shown).max(seq);
        news
    }

    pub fn joined(&mut self, device: Device, group: Group, join: u64) {
        let windows = self.windows.entry((device, group)).or_default();
        if !windows.iter().any(|window| window.join == join) {
            windows.push(Window { join, leave: None });
        }
    }

    pub fn left(&mut self, device: Device, group: Group, leave: u64) {
        let windows = self.windows.entry((device, group)).or_default();
        if let Some(window) = windows.iter_mut().find(|window| window.leave.is_none() && window.join <= leave) {
            window.leave = Some(leave);
        }
    }

    pub fn accept(&mut self, client_id: [u8; 16], group: Group, seq: u64) {
        self.counts.sends += u64::from(!self.accepted.contains_key(&client_id));
        let known = *self.accepted.entry(client_id).or_insert((group, seq));
        if known != (group, seq) {
            self.violation(format!("DUPLICATE_EFFECT: a message was accepted at {} and at {seq}", known.1));
        }
    }

    pub fn revoke(&mut self, device: Device) {
        let (at, heads) = (self.now, self.heads.clone());
        self.counts.revocations += 1;
        self.revoked.insert(device, Revoked { at, heads });
    }

    /// A session has signed in.
    pub fn session_begins(&mut self, session: u64, device: Device) {
        if self.revoked.contains_key(&device) {
            let name = self.name_of(&device);
            self.violation(format!("LATE_EVENT: {name} has signed in, and is revoked"));
        }
        for (_, other) in self.sessions.iter_mut().filter(|(_, other)| other.device == device) {
            other.superseded_at.get_or_insert(self.now);
        }
        self.sessions.insert(session, Open { device, superseded_at: None });
    }

    /// It begins to close, or is gone.
    pub fn session_ends(&mut self, session: u64) {
        self.sessions.remove(&session);
    }

    /// Sessions that should have ended.
    pub fn check_sessions(&mut self) {
        let late = |since: u64| self.now > since + ENDING_MS;
        let revoked = |open: &Open| self.revoked.get(&open.device).is_some_and(|revoked| late(revoked.at));
        let wrong = self.sessions.values().find_map(|open| {
            let what = if revoked(open) { "revoked" } else { "superseded" };
            (revoked(open) || open.superseded_at.is_some_and(late)).then_some((open.device, what))
        });
        if let Some((device, what)) = wrong {
            let name = self.name_of(&device);
            self.violation(format!("LATE_EVENT: a session of {name} lives on, {what} for more than {ENDING_MS} ms"));
        }
    }

    /// What travelled to a device outside of its windows.
    pub fn leaks(&self) -> Vec<String> {
        let mut leaks = Vec::new();
        for ((device, group), seqs) in &self.given {
            if self.outsiders.contains(&(*device, *group)) {
                continue;
            }
            let windows = self.windows.get(&(*device, *group)).map(Vec::as_slice).unwrap_or_default();
            let outside = seqs.iter().filter(|seq| !windows.iter().any(|window| window.holds(**seq)));
            leaks.extend(outside.map(|seq| format!("LEAK: {} got {} {seq}", self.name_of(device), short(group))));
        }
        leaks
    }
}

/// Enough of an id to tell it from others.
pub fn short(bytes: &[u8]) -> String {
    bytes.iter().take(3).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

pub fn log_name(log: &Log) -> String {
    match log {
        Log::Own(device) => format!("own:{}", short(device)),
        Log::Group(group) => short(group),
    }
}
