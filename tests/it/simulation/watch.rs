//! Looks at every frame of a session, from between it and its transport, and at what the session may and may not do.

use std::{
    collections::{BTreeMap, VecDeque},
    task::{Context, Poll},
};

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use sovereign::{
    limits::Flow,
    mls::{inspect_handshake, inspect_message},
    session::link::{Event, Incoming, Link},
};
use sovereign_proto::{
    log::{Kind, entry_hash},
    v1::{self, entry, envelope, notice, own, push, request, response, submit_commit_response::Outcome},
};

use super::ledger::{Device, Group, Ledger, Log, Truth, log_name, short};

/// A link that is watched.
pub struct Watched<L> {
    link: L,
    watch: Watch,
}

struct Watch {
    ledger: Ledger,
    number: u64,
    /// Of the connection, for the trace.
    name: String,
    flow: Flow,
    asked: BTreeMap<u64, Asked>,
    device: Option<Device>,
    logs: BTreeMap<Log, Sent>,
    outstanding: usize,
    live: bool,
    closing: bool,
}

/// What a request was about.
enum Asked {
    Send(Group, [u8; 16]),
    Commit(Group, Vec<u8>),
    Other,
}

#[derive(Default)]
struct Sent {
    last: u64,
    unacknowledged: VecDeque<(u64, usize)>,
}

impl<L: Link> Watched<L> {
    pub fn new(link: L, ledger: Ledger, name: String, flow: Flow) -> Self {
        let mut truth = ledger.look();
        truth.counts.sessions += 1;
        let number = truth.counts.sessions;
        truth.note(&format!("{name} opens"));
        drop(truth);
        let (asked, logs) = (BTreeMap::new(), BTreeMap::new());
        let watch = Watch { ledger, number, name, flow, asked, device: None, logs, outstanding: 0, live: false, closing: false };
        Self { link, watch }
    }
}

impl<L: Link> Link for Watched<L> {
    fn poll(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<Event> {
        self.watch.polled(read, self.link.pending());
        let event = self.link.poll(cx, read);
        if let Poll::Ready(Event::In(incoming)) = &event {
            self.watch.came(incoming);
        }
        event
    }

    fn feed(&mut self, frame: Bytes) {
        self.watch.fed(&frame, self.link.pending());
        self.link.feed(frame);
    }

    fn feed_ping(&mut self) {
        self.watch.note("> ping");
        self.link.feed_ping();
    }

    fn start_close(&mut self, code: u16, reason: &str) {
        self.watch.note(&format!("> close {code}"));
        self.watch.closing = true;
        self.watch.ledger.look().session_ends(self.watch.number);
        self.link.start_close(code, reason);
    }

    fn pending(&self) -> usize {
        self.link.pending()
    }

    fn set_frame_limit(&mut self, bytes: usize) {
        self.link.set_frame_limit(bytes);
    }
}

/// A process that crashes closes nothing: what was asked of it stays unanswered.
impl Drop for Watch {
    fn drop(&mut self) {
        self.note("gone");
        self.ledger.look().session_ends(self.number);
    }
}

impl Watch {
    fn note(&self, what: &str) {
        self.ledger.look().note(&format!("{} {what}", self.name));
    }

    fn violation(&self, what: &str) {
        self.ledger.look().violation(format!("{}: {what}", self.name));
    }

    fn polled(&mut self, read: bool, pending: usize) {
        if self.closing {
            return;
        }
        let full = (self.asked.len() >= self.flow.requests_in_flight, pending >= self.flow.send_buffer_hard);
        if read && (full.0 || full.1) {
            self.violation(&format!("BOUND: reads on with {} requests in flight and {pending} bytes unsent", self.asked.len()));
        }
        let truth = &mut *self.ledger.look();
        truth.counts.full_requests += u64::from(full.0);
        truth.counts.full_buffer += u64::from(pending >= self.flow.send_buffer);
    }

    fn came(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Frame(frame) => match v1::Envelope::decode(frame.clone()) {
                Ok(v1::Envelope { request_id, body: Some(envelope::Body::Request(v1::Request { body: Some(body) })) }) => {
                    self.asked(request_id, &body);
                }
                Ok(v1::Envelope { body: Some(envelope::Body::Notice(v1::Notice { body: Some(body) })), .. }) => self.told(&body),
                _ => self.violation("the client sent what is neither a request nor a notice"),
            },
            Incoming::Text(_) | Incoming::TooBig | Incoming::Malformed => self.violation("the client broke the framing"),
            other => self.note(&format!("< {other:?}")),
        }
    }

    fn asked(&mut self, id: u64, body: &request::Body) {
        let group = |id: &Bytes| Group::try_from(&id[..]).unwrap_or_default();
        let device = self.device;
        let asked = match body {
            request::Body::SendMessage(request) => {
                let client_id = request.message.as_ref().map(|message| message.client_id.clone()).unwrap_or_default();
                Asked::Send(group(&request.group_id), client_id[..].try_into().unwrap_or_default())
            }
            request::Body::SubmitCommit(request) => {
                Asked::Commit(group(&request.group_id), Sha256::digest(&request.commit).to_vec())
            }
            _ => Asked::Other,
        };
        let truth = &mut *self.ledger.look();
        truth.counts.frames += 1;
        truth.note(&format!("{} < {id} {}", self.name, request_name(body)));
        note_epoch(truth, body);
        match (body, device) {
            (request::Body::CreateGroup(request), Some(device)) => truth.joined(device, group(&request.group_id), 0),
            (request::Body::SubmitCommit(request), Some(device)) => {
                let key = (device, group(&request.group_id));
                let open = truth.windows.get(&key).is_some_and(|windows| windows.iter().any(|window| window.leave.is_none()));
                if !open {
                    truth.outsiders.insert(key);
                }
            }
            _ => {}
        }
        if self.asked.insert(id, asked).is_some() {
            truth.violation(format!("{}: the client has used request id {id} twice", self.name));
        }
    }

    fn told(&mut self, body: &notice::Body) {
        let (notice::Body::Acknowledge(acknowledge), Some(device)) = (body, self.device) else { return };
        for v1::Position { group_id, seq } in &acknowledge.positions {
            let Some(log) = log(group_id, device) else { continue };
            let truth = &mut *self.ledger.look();
            truth.note(&format!("{} < acknowledges {} {seq}", self.name, log_name(&log)));
            let acknowledged = truth.acknowledged.entry((device, log)).or_default();
            *acknowledged = (*acknowledged).max(*seq);
            let Some(sent) = self.logs.get_mut(&log) else { continue };
            while sent.unacknowledged.front().is_some_and(|(last, _)| last <= seq) {
                self.outstanding -= sent.unacknowledged.pop_front().map_or(0, |(_, bytes)| bytes);
            }
        }
    }

    fn fed(&mut self, frame: &Bytes, pending: usize) {
        if self.closing {
            self.violation("says something after its close");
        }
        self.ledger.look().counts.frames += 1;
        let envelope = match v1::Envelope::decode(frame.clone()) {
            Ok(envelope) => envelope,
            Err(error) => return self.violation(&format!("the server sent what is no Envelope: {error}")),
        };
        let id = envelope.request_id;
        match envelope.body {
            Some(envelope::Body::Response(v1::Response { body: Some(body) })) => self.answered(id, Ok(&body)),
            Some(envelope::Body::Failure(failure)) => self.answered(id, Err(&failure)),
            Some(envelope::Body::Push(v1::Push { body: Some(body) })) => self.pushed(body, frame.len(), pending),
            _ => self.violation("the server sent what is no answer and no push"),
        }
    }

    fn answered(&mut self, id: u64, answer: Result<&response::Body, &v1::Failure>) {
        let Some(asked) = self.asked.remove(&id) else {
            return self.violation(&format!("answers request {id}, which is not in flight"));
        };
        let truth = &mut *self.ledger.look();
        match answer {
            Ok(body) => truth.note(&format!("{} > {id} {}", self.name, response_name(body))),
            Err(failure) => truth.note(&format!("{} > {id} {:?} {}", self.name, failure.code(), failure.message)),
        }
        match (asked, answer) {
            (
                _,
                Ok(
                    response::Body::SignIn(v1::SignInResponse { session: Some(session) })
                    | response::Body::SignUp(v1::SignUpResponse { session: Some(session) }),
                ),
            ) => {
                let device = Device::try_from(&session.device_id[..]).unwrap_or_default();
                truth.session_begins(self.number, device);
                self.device = Some(device);
                self.name = format!("{}={}", self.name, truth.name_of(&device));
            }
            (Asked::Send(group, client_id), Ok(response::Body::SendMessage(sent))) => {
                truth.accept(client_id, group, sent.seq);
                truth.place(group, sent.seq, &client_id);
                let head = truth.heads.entry(Log::Group(group)).or_default();
                *head = (*head).max(sent.seq);
            }
            (Asked::Commit(group, hash), Ok(response::Body::SubmitCommit(answer))) => {
                if let (Some(Outcome::Accepted(accepted)), Some(device)) = (&answer.outcome, self.device) {
                    truth.counts.commits += u64::from(!accepted.duplicate);
                    truth.place(group, accepted.seq, &hash);
                    if !accepted.running_hash.is_empty() {
                        truth.joined(device, group, accepted.seq);
                    }
                }
            }
            _ => {}
        }
    }

    fn pushed(&mut self, body: push::Body, bytes: usize, pending: usize) {
        match body {
            push::Body::Entries(entries) => self.entries(&entries, bytes, pending),
            push::Body::Live(_) => {
                self.note("> Live");
                if std::mem::replace(&mut self.live, true) || self.device.is_none() {
                    self.violation("says Live twice, or to nobody");
                }
            }
            push::Body::Hello(_) => self.note("> Hello"),
            other => self.note(&format!("> {}", push_name(&other))),
        }
    }

    fn entries(&mut self, entries: &v1::Entries, bytes: usize, pending: usize) {
        let Some(device) = self.device else { return self.violation("pushes entries to nobody") };
        let Some(log) = log(&entries.group_id, device) else { return self.violation("pushes entries of no log") };
        let (Some(first), Some(last)) = (entries.entries.first(), entries.entries.last()) else {
            return self.violation("pushes no entries");
        };
        let (first, last) = (first.seq, last_seq(last));
        self.note(&format!("> Entries {} {first}-{last} ({bytes} B)", log_name(&log)));
        self.bounds(entries.entries.len(), bytes, pending);

        let restarted = self.logs.get(&log).is_some_and(|sent| first != sent.last + 1);
        let sent = self.logs.entry(log).or_default();
        if restarted {
            self.outstanding -= sent.unacknowledged.drain(..).map(|(_, bytes)| bytes).sum::<usize>();
        }
        let before = std::mem::replace(&mut sent.last, last);
        sent.unacknowledged.push_back((last, bytes));
        self.outstanding += bytes;

        let truth = &mut *self.ledger.look();
        self.watch_start(truth, device, log, first, before);
        let mut expected = first;
        for entry in &entries.entries {
            if entry.seq != expected {
                truth.violation(format!("{}: GAP_UNANNOUNCED: {} {expected} to {}", self.name, log_name(&log), entry.seq));
            }
            expected = last_seq(entry) + 1;
            record(truth, device, log, entry);
        }
        if let Some(revoked) = truth.revoked.get(&device)
            && revoked.heads.get(&log).is_none_or(|head| last > *head)
        {
            truth.violation(format!("{}: LATE_EVENT: {} {last} after the revocation", self.name, log_name(&log)));
        }
    }

    fn bounds(&self, count: usize, bytes: usize, pending: usize) {
        let flow = &self.flow;
        if self.outstanding >= flow.entries_credit {
            self.violation(&format!("BOUND: {} bytes unacknowledged, the credit is {}", self.outstanding, flow.entries_credit));
        }
        if pending >= flow.send_buffer {
            self.violation(&format!("BOUND: entries on top of {pending} bytes unsent"));
        }
        if count > flow.entries_per_page || count > 1 && bytes > 2 * flow.bytes_per_page + 256 {
            self.violation(&format!("BOUND: {count} entries of {bytes} bytes in one push"));
        }
        let truth = &mut *self.ledger.look();
        truth.counts.full_credit += u64::from(self.outstanding + bytes >= flow.entries_credit);
    }

    /// Where a push may begin: behind the last one, behind what was acknowledged, or at the start of a window.
    fn watch_start(&self, truth: &mut Truth, device: Device, log: Log, first: u64, before: u64) {
        let acknowledged = truth.acknowledged.get(&(device, log)).copied().unwrap_or_default();
        let windows = match log {
            Log::Group(group) if truth.outsiders.contains(&(device, group)) => return,
            Log::Group(group) => truth.windows.get(&(device, group)).map(Vec::as_slice).unwrap_or_default(),
            Log::Own(_) => &[],
        };
        let opens = windows.iter().any(|window| window.join + 1 == first);
        if first > before.max(acknowledged) + 1 && !opens {
            let after = before.max(acknowledged);
            truth.violation(format!("{}: GAP_UNANNOUNCED: {} goes on at {first} after {after}", self.name, log_name(&log)));
        }
    }
}

/// Of which epoch a message is, and which one a commit would make.
fn note_epoch(truth: &mut Truth, body: &request::Body) {
    match body {
        request::Body::SendMessage(v1::SendMessageRequest { message: Some(message), .. }) => {
            if let Ok(header) = inspect_message(&message.ciphertext) {
                truth.sent_epochs.insert(message.client_id.to_vec(), header.epoch);
            }
        }
        request::Body::SubmitCommit(request) => {
            if let Ok(header) = inspect_handshake(&request.commit) {
                truth.sent_epochs.insert(Sha256::digest(&request.commit).to_vec(), header.epoch + 1);
            }
        }
        _ => {}
    }
}

/// What an entry says about the world.
fn record(truth: &mut Truth, device: Device, log: Log, entry: &v1::Entry) {
    let own = |own: &v1::Own| own.entry_hash[..].try_into().unwrap_or_default();
    let hash = match &entry.body {
        Some(entry::Body::Message(body)) => entry_hash(Kind::Message, body),
        Some(entry::Body::Commit(body)) => entry_hash(Kind::Commit, body),
        Some(entry::Body::Proposal(body)) => entry_hash(Kind::Proposal, body),
        Some(entry::Body::Own(body)) => own(body),
        Some(entry::Body::Skipped(_)) | None => return,
        Some(body) => {
            let news = truth.is_news(device, entry.seq);
            let group = |id: &Bytes| Group::try_from(&id[..]).unwrap_or_default();
            match body {
                entry::Body::Welcome(welcome) if news => truth.joined(device, group(&welcome.group_id), welcome.join_seq),
                entry::Body::Removed(removed) if news => truth.left(device, group(&removed.group_id), removed.leave_seq),
                _ => {}
            }
            let mut hash = Sha256::new();
            hash.update(entry.encode_to_vec());
            hash.finalize().into()
        }
    };
    truth.fact(log, entry.seq, hash);
    if let Log::Group(group) = log {
        truth.counts.deliveries += 1;
        truth.given.entry((device, group)).or_default().insert(entry.seq);
        match &entry.body {
            Some(entry::Body::Own(v1::Own { what: Some(own::What::ClientId(client_id)), .. })) => {
                truth.accept(client_id[..].try_into().unwrap_or_default(), group, entry.seq);
                truth.place(group, entry.seq, client_id);
            }
            Some(entry::Body::Own(v1::Own { what: Some(own::What::HandshakeHash(hash)), .. })) => {
                truth.place(group, entry.seq, hash);
            }
            Some(entry::Body::Commit(commit)) => truth.place(group, entry.seq, &Sha256::digest(commit)),
            _ => {}
        }
    }
}

fn log(group_id: &[u8], device: Device) -> Option<Log> {
    if group_id.is_empty() { Some(Log::Own(device)) } else { group_id.try_into().ok().map(Log::Group) }
}

fn last_seq(entry: &v1::Entry) -> u64 {
    match &entry.body {
        Some(entry::Body::Skipped(skipped)) => skipped.to,
        _ => entry.seq,
    }
}

macro_rules! names {
    ($(($name:ident, $request:ident, $response:ident))*) => {
        fn kind_of_request(body: &request::Body) -> &'static str {
            match body {
                $(request::Body::$name(_) => stringify!($name),)*
            }
        }

        fn kind_of_response(body: &response::Body) -> &'static str {
            match body {
                $(response::Body::$name(_) => stringify!($name),)*
            }
        }
    };
}

sovereign_proto::for_each_request!(names);

fn request_name(body: &request::Body) -> String {
    let detail = match body {
        request::Body::SendMessage(request) => format!(
            " {} {}",
            short(&request.group_id),
            short(&request.message.as_ref().map(|message| message.client_id.clone()).unwrap_or_default())
        ),
        request::Body::SubmitCommit(request) => format!(" {}", short(&request.group_id)),
        _ => String::new(),
    };
    kind_of_request(body).to_owned() + &detail
}

fn response_name(body: &response::Body) -> String {
    let detail = match body {
        response::Body::SendMessage(sent) => format!(" {}", sent.seq),
        response::Body::SubmitCommit(answer) => match &answer.outcome {
            Some(Outcome::Accepted(accepted)) => format!(" accepted {} epoch {}", accepted.seq, accepted.epoch),
            _ => " rejected".to_owned(),
        },
        _ => String::new(),
    };
    kind_of_response(body).to_owned() + &detail
}

fn push_name(body: &push::Body) -> &'static str {
    match body {
        push::Body::SessionExpiring(_) => "SessionExpiring",
        push::Body::Closing(_) => "Closing",
        push::Body::KeyPackageStock(_) => "KeyPackageStock",
        push::Body::CommitNeeded(_) => "CommitNeeded",
        push::Body::DeviceStateChanged(_) => "DeviceStateChanged",
        push::Body::Signal(_) => "Signal",
        push::Body::Presence(_) => "Presence",
        push::Body::Receipts(_) => "Receipts",
        push::Body::RelationChanged(_) => "RelationChanged",
        _ => "a push",
    }
}
