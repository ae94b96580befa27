//! Where a light device's groups stand, which it has to say when the server was restored (docs/protocol/README.md, After a
//! restore). It holds no state of a group; what is said about one is public.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use bytes::Bytes;
use sovereign_client::{
    clock::{Clock, monotonic},
    load::{Device, Line},
};
use sovereign_proto::v1::{self, Revival, entry, envelope, response};
use tokio::time::Instant;

/// Between two words on groups that wait, or whose state could not be learned.
const AGAIN: Duration = Duration::from_millis(1200);
/// Nothing is to be said.
const NEVER: Duration = Duration::from_hours(24);

/// What one device knows.
pub(crate) struct Standing {
    /// Group → the last `GroupInfo` that it has seen, if any.
    states: BTreeMap<Bytes, Option<Bytes>>,
    /// The server's, when last connected.
    generation: Option<u64>,
    /// Groups that the device has yet to speak of.
    unsaid: Vec<Bytes>,
    /// Key packages that are published anew when the server has lost them.
    key_packages: usize,
    asked: HashMap<u64, Asked>,
    due: Instant,
}

/// A request of which the answer is due.
enum Asked {
    KeyPackages,
    State(Bytes),
    Revival(Bytes),
}

impl Standing {
    /// Of a device that is in these groups.
    pub(crate) fn new(states: BTreeMap<Bytes, Option<Bytes>>, key_packages: usize) -> Self {
        let due = monotonic() + NEVER;
        Self { states, generation: None, unsaid: Vec::new(), key_packages, asked: HashMap::new(), due }
    }

    /// On a new connection.
    pub(super) fn connected(&mut self, line: &mut Line, device: &Device) {
        self.asked.clear();
        let generation = line.store_generation();
        if self.generation.replace(generation).is_some_and(|before| before != generation) {
            self.unsaid = self.states.keys().cloned().collect();
            if self.key_packages > 0
                && let Ok(request) = device.key_packages(self.key_packages, Clock::default().now_ms())
            {
                self.asked.insert(line.feed(request), Asked::KeyPackages);
            }
        }
        self.say(line, device);
    }

    /// When there is something to say.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Says where groups stand that wait for it, and asks where others do.
    pub(super) fn say(&mut self, line: &mut Line, device: &Device) {
        self.asked.retain(|_, asked| matches!(asked, Asked::KeyPackages));
        for (group_id, state) in &self.states {
            match state {
                None => {
                    let request = v1::GetGroupInfoRequest { group_id: group_id.clone() };
                    self.asked.insert(line.feed(request), Asked::State(group_id.clone()));
                }
                Some(state) if self.unsaid.contains(group_id) => match device.revival(group_id.clone(), state) {
                    Ok(request) => drop(self.asked.insert(line.feed(request), Asked::Revival(group_id.clone()))),
                    // A state of before this device came in says nothing.
                    Err(_) => self.unsaid.retain(|unsaid| unsaid != group_id),
                },
                Some(_) => {}
            }
        }
        self.due = monotonic() + if self.asked.is_empty() { NEVER } else { AGAIN };
    }

    /// Whether it was the answer to something that was asked here.
    pub(super) fn answered(&mut self, request: u64, body: Option<&envelope::Body>) -> bool {
        let Some(asked) = self.asked.remove(&request) else { return false };
        let response = match body {
            Some(envelope::Body::Response(v1::Response { body })) => body.as_ref(),
            // What is refused for now is asked again when it is due; what is not known here is done with.
            Some(envelope::Body::Failure(failure)) => {
                if let (Asked::State(group) | Asked::Revival(group), v1::FailureCode::NotFound) = (&asked, failure.code()) {
                    self.states.remove(group);
                    self.unsaid.retain(|unsaid| unsaid != group);
                }
                None
            }
            _ => None,
        };
        match (asked, response) {
            (Asked::State(group), Some(response::Body::GetGroupInfo(found))) => {
                self.states.insert(group, Some(found.group_info.clone()));
            }
            (Asked::Revival(group), Some(response::Body::ReviveGroup(told))) if told.revival() != Revival::Waiting => {
                self.unsaid.retain(|unsaid| *unsaid != group);
            }
            _ => {}
        }
        true
    }

    /// An entry of the device's own log.
    pub(super) fn own_log(&mut self, line: &mut Line, entry: &v1::Entry) {
        match &entry.body {
            Some(entry::Body::Welcome(welcome)) => {
                let group_id = welcome.group_id.clone();
                self.states.entry(group_id.clone()).or_insert(None);
                let request = v1::GetGroupInfoRequest { group_id: group_id.clone() };
                self.asked.insert(line.feed(request), Asked::State(group_id));
                self.due = monotonic() + AGAIN;
            }
            Some(entry::Body::Removed(removed)) => {
                self.states.remove(&removed.group_id);
                self.unsaid.retain(|unsaid| *unsaid != removed.group_id);
            }
            _ => {}
        }
    }
}
