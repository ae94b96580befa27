//! One script over a `WebSocket`, over exchange, over a change between them at every reconnection, and over exchange on a
//! network that loses answers: every device sees the same logs, to the letter.

use std::collections::BTreeMap;

use bytes::Bytes;
use openmls::prelude::MlsGroup;
use sha2::{Digest as _, Sha256};
use sovereign_proto::{
    log::{Kind, START, entry_hash, running_hash},
    v1::{self, FailureCode, SignOutRequest, entry::Body, own::What, push, submit_commit_response::Outcome},
};

use crate::harness::{
    Carrier, Member, Raw, TestServer,
    scene::{Person, send_request},
};

/// Steps of one script.
const STEPS: usize = 80;

/// What carries the devices' connections.
#[derive(Clone, Copy, Debug)]
enum Network {
    Websockets,
    Requests,
    /// Each connection goes by the other one than the device's last.
    Changing,
    /// Requests of which every third loses its answer.
    Losing,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_carrier_leaves_the_same_logs() {
    for seed in [1, 2] {
        println!("seed {seed}");
        let expected = Script::run(Network::Websockets, seed).await;
        assert!(expected.iter().all(|told| told.len() > STEPS / 2), "a script of which little is told shows little");
        for network in [Network::Requests, Network::Changing, Network::Losing] {
            let told = Script::run(network, seed).await;
            for (device, (expected, told)) in expected.iter().zip(&told).enumerate() {
                let differs = expected.iter().zip(told).position(|(expected, told)| expected != told);
                let at = differs.unwrap_or(expected.len().min(told.len()));
                let (expected, told) = (expected.get(at..), told.get(at..));
                assert!(
                    expected.is_none_or(<[_]>::is_empty) && told.is_none_or(<[_]>::is_empty),
                    "seed {seed}, {network:?}: device {device} is told from {at} on\n{told:#?}\nand over WebSockets\n{expected:#?}"
                );
            }
        }
    }
}

/// A device and what it was told.
struct Device {
    person: Person,
    present: bool,
    connections: usize,
    group: Option<MlsGroup>,
    /// How far it has read the group's log, and the running hash there.
    seq: u64,
    hash: [u8; 32],
    /// How far it has read its own log.
    own_seq: u64,
    last_sent: Option<v1::SendMessageRequest>,
    told: Vec<String>,
}

struct Script {
    network: Network,
    server: TestServer,
    random: u64,
    group_id: Bytes,
    /// The last seq of the group's log, as the answers tell it.
    head: u64,
    devices: Vec<Device>,
    /// What client ids and hashes stand for.
    names: BTreeMap<Vec<u8>, String>,
}

const ADA: usize = 0;
const EVE: usize = 2;

impl Network {
    fn carrier(self, connection: usize) -> Carrier {
        match self {
            Self::Websockets => Carrier::WebSocket,
            Self::Changing if connection.is_multiple_of(2) => Carrier::WebSocket,
            Self::Requests | Self::Changing | Self::Losing => Carrier::Exchange,
        }
    }
}

impl Script {
    /// The whole script; what each device was told.
    async fn run(network: Network, seed: u64) -> Vec<Vec<String>> {
        let mut script = Self::start(network, seed).await;
        for number in 0..STEPS {
            script.step(number).await;
            script.settle().await;
        }
        script.outlive_a_restart().await;
        let [first, others @ ..] = script.devices.as_slice() else { panic!("there are devices") };
        for other in others.iter().filter(|other| other.group.is_some()) {
            assert_eq!((first.seq, first.hash), (other.seq, other.hash), "everybody has the same log");
        }
        script.devices.into_iter().map(|device| device.told).collect()
    }

    /// Three people, two of them in a group.
    async fn start(network: Network, seed: u64) -> Self {
        let server = TestServer::over(network.carrier(0), &[]).await;
        let mut devices = Vec::new();
        for name in ["ada", "bob", "eve"] {
            let person = Person::new(&server, name).await;
            devices.push(Device {
                person,
                present: true,
                connections: 1,
                group: None,
                seq: 0,
                hash: START,
                own_seq: 0,
                last_sent: None,
                told: Vec::new(),
            });
        }
        let group = devices[ADA].person.create_group().await;
        let group_id = Bytes::copy_from_slice(group.group_id().as_slice());
        devices[ADA].group = Some(group);
        let random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut script = Self { network, server, random, group_id, head: 0, devices, names: BTreeMap::new() };
        script.lose();
        script.add(1).await;
        script.settle().await;
        script
    }

    /// A number below `below` (xorshift64).
    fn number(&mut self, below: usize) -> usize {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.random ^= if left { self.random << shift } else { self.random >> shift };
        }
        usize::try_from(self.random % below as u64).expect("a small number")
    }

    /// Somebody who is there and in the group.
    fn somebody(&mut self) -> usize {
        let there: Vec<usize> = (0..self.devices.len()).filter(|device| self.hears(*device)).collect();
        there[self.number(there.len())]
    }

    fn hears(&self, device: usize) -> bool {
        self.devices[device].present && self.devices[device].group.is_some()
    }

    async fn step(&mut self, number: usize) {
        match self.number(14) {
            0..=3 => {
                let who = self.somebody();
                self.send(who, &[format!("{number}")], 0).await;
            }
            4 => {
                let (who, many) = (self.somebody(), 2 + self.number(8));
                let texts: Vec<_> = (0..many).map(|part| format!("{number}.{part}")).collect();
                self.send(who, &texts, 0).await;
            }
            5 | 6 => {
                let who = self.somebody();
                self.commit(who).await;
            }
            7 => {
                // Ada stays, so that somebody always does.
                let who = 1 + self.number(2);
                if self.devices[who].present { self.leave(who).await } else { self.come(who).await }
            }
            8 => {
                let who = self.somebody();
                self.supersede(who).await;
            }
            9 => {
                let who = self.somebody();
                self.signal(who, format!("{number}").as_bytes()).await;
            }
            10 => self.lose_a_race().await,
            11 if self.devices[EVE].present && self.devices[EVE].group.is_some() => self.remove(EVE).await,
            11 if self.devices[EVE].present => self.add(EVE).await,
            12 => {
                let who = self.somebody();
                self.resend(who).await;
            }
            _ => {
                let who = self.somebody();
                self.be_refused(who).await;
            }
        }
    }

    /// Messages one behind the other, without waiting for the answer to the one before.
    async fn send(&mut self, who: usize, texts: &[String], ttl_seconds: u64) {
        let mut asked = Vec::new();
        for text in texts {
            let Device { person, group, .. } = &mut self.devices[who];
            let mut message = person.member.message(group.as_mut().expect("a member"), text);
            (message.ttl_seconds, message.urgent) = (ttl_seconds, ttl_seconds > 0);
            self.names.insert(message.client_id.to_vec(), text.clone());
            let request = send_request(&self.group_id, message);
            asked.push(person.raw.send(request.clone()).await);
            self.devices[who].last_sent = Some(request);
        }
        for id in asked {
            let answer = self.devices[who].person.raw.answer::<v1::SendMessageRequest>(id).await.expect("taken");
            self.head += 1;
            assert_eq!(answer.seq, self.head, "nobody else sends meanwhile");
        }
    }

    async fn commit(&mut self, who: usize) {
        let Device { person, group, .. } = &mut self.devices[who];
        let bundle = person.member.update(group.as_mut().expect("a member"));
        self.names.insert(Sha256::digest(&bundle.commit).to_vec(), "a commit".to_owned());
        self.head = person.submit(group.as_mut().expect("a member"), &bundle).await;
    }

    /// Two commit for the same epoch; the second is told what it missed.
    async fn lose_a_race(&mut self) {
        let loser = self.somebody();
        let Some(winner) = (0..self.devices.len()).find(|device| *device != loser && self.hears(*device)) else { return };
        let Device { person, group, .. } = &mut self.devices[loser];
        let late = person.member.update(group.as_mut().expect("a member"));
        self.commit(winner).await;
        let Device { person, group, told, seq, .. } = &mut self.devices[loser];
        let group = group.as_mut().expect("a member");
        let Some(Outcome::Rejected(rejected)) = person.try_submit(group, &late).await else { panic!("the later one wins") };
        let stale = rejected.stale.expect("what it missed");
        // The answer begins behind what is acknowledged durably; what was read since is passed over.
        let missed: Vec<u64> = stale.entries.iter().map(|entry| entry.seq).filter(|missed| missed > seq).collect();
        told.push(format!("lost: epoch {}, missed {missed:?}", stale.current_epoch));
        group.clear_pending_commit(openmls::prelude::OpenMlsProvider::storage(&person.member.provider)).expect("dropped");
    }

    async fn add(&mut self, who: usize) {
        let keys = self.devices[who].person.keys.clone();
        let [ada, others @ ..] = self.devices.as_mut_slice() else { panic!("there are devices") };
        let group = ada.group.as_mut().expect("Ada is a member");
        let package = ada.person.claim(group, &[&keys]).await;
        let bundle = ada.person.member.add(group, &package);
        self.names.insert(Sha256::digest(&bundle.commit).to_vec(), "an addition".to_owned());
        self.head = ada.person.submit(group, &bundle).await;
        let newcomer = &mut others[who - 1];
        let (seq, welcome) = newcomer.person.welcome().await;
        newcomer.tell_own(seq, &Body::Welcome(welcome.clone()));
        newcomer.group = Some(newcomer.person.member.join(&welcome.welcome));
        (newcomer.seq, newcomer.hash) = (welcome.join_seq, welcome.running_hash.as_ref().try_into().expect("32 bytes"));
        newcomer.person.raw.acknowledge(&[], seq).await;
        // The window is open once something has come through it.
        self.send(ADA, &["welcome".to_owned()], 0).await;
    }

    async fn remove(&mut self, who: usize) {
        let keys = self.devices[who].person.keys.clone();
        let ada = &mut self.devices[ADA];
        let group = ada.group.as_mut().expect("Ada is a member");
        let leaf = Member::leaf(group, &keys);
        let bundle = ada.person.member.remove(group, &[leaf]);
        self.names.insert(Sha256::digest(&bundle.commit).to_vec(), "a removal".to_owned());
        self.head = ada.person.submit(group, &bundle).await;
        let removed = &mut self.devices[who];
        removed.read(&self.group_id, self.head, &self.names).await;
        while !removed.told.iter().any(|told| *told == format!("own log: removed at {}", self.head)) {
            removed.hear(&self.group_id, &self.names).await;
        }
        let mut group = removed.group.take().expect("a member");
        assert!(!group.is_active(), "it knows that it was removed");
        let storage = openmls::prelude::OpenMlsProvider::storage(&removed.person.member.provider);
        group.delete(storage).expect("the old state goes");
    }

    async fn leave(&mut self, who: usize) {
        let device = &mut self.devices[who];
        device.person.raw.call(SignOutRequest { forget_tokens: false }).await.expect("signed out");
        let ended = device.person.raw.ended().await;
        device.told.push(format!("left: {:?}", ended.code));
        device.present = false;
    }

    async fn come(&mut self, who: usize) {
        self.connect(who).await;
        let Self { devices, group_id, names, .. } = self;
        let device = &mut devices[who];
        device.present = true;
        while !device.hear(group_id, names).await {}
        device.told.push("live".to_owned());
    }

    /// Another connection of the same device takes the place of the one it has.
    async fn supersede(&mut self, who: usize) {
        let mut old = self.connect(who).await;
        let code = old.ended().await.code;
        self.devices[who].told.push(format!("superseded: {code:?}"));
        self.come(who).await;
    }

    /// Signs in anew; the connection before.
    async fn connect(&mut self, who: usize) -> Raw {
        let device = &mut self.devices[who];
        let carrier = self.network.carrier(device.connections);
        device.connections += 1;
        let (raw, _) = Raw::sign_in_over(carrier, &self.server, &device.person.keys).await;
        let old = std::mem::replace(&mut device.person.raw, raw);
        self.lose();
        old
    }

    fn lose(&mut self) {
        if let Network::Losing = self.network {
            self.devices.iter_mut().for_each(|device| device.person.raw.lose_one_answer_in(3));
        }
    }

    async fn signal(&mut self, who: usize, text: &[u8]) {
        self.devices[who].person.raw.signal(&self.group_id, text).await;
        let hearing: Vec<usize> = (0..self.devices.len()).filter(|device| *device != who && self.hears(*device)).collect();
        for device in hearing {
            let device = &mut self.devices[device];
            let signal = device.person.raw.next_signal().await;
            device.told.push(format!("signal {}", String::from_utf8_lossy(&signal.ciphertext)));
        }
    }

    /// The last message once more, as after a lost answer.
    async fn resend(&mut self, who: usize) {
        let device = &mut self.devices[who];
        let Some(request) = device.last_sent.clone() else { return };
        let answer = device.person.raw.call(request).await.expect("answered as before");
        device.told.push(format!("again: {} duplicate {}", answer.seq, answer.duplicate));
    }

    async fn be_refused(&mut self, who: usize) {
        let Device { person, told, .. } = &mut self.devices[who];
        let foreign = v1::FetchEntriesRequest { group_id: vec![9; 32].into(), from_seq: 0, backward: false, limit: 0 };
        let code = person.raw.refused(foreign).await;
        assert_eq!(code, FailureCode::NotFound);
        told.push(format!("refused: {code:?}"));
    }

    /// Everybody who is there reads the group's log to its end.
    async fn settle(&mut self) {
        let Self { devices, group_id, head, names, .. } = self;
        for device in devices.iter_mut().filter(|device| device.present && device.group.is_some()) {
            device.read(group_id, *head, names).await;
        }
    }

    /// A message whose life ends while the server and all but Ada are away.
    async fn outlive_a_restart(&mut self) {
        for who in 1..self.devices.len() {
            if self.devices[who].present {
                self.leave(who).await;
            }
        }
        self.send(ADA, &["kept".to_owned()], 0).await;
        self.send(ADA, &["short-lived".to_owned(), "and another".to_owned()], 60).await;
        self.send(ADA, &["kept, too".to_owned()], 0).await;
        self.settle().await;
        let ada = &mut self.devices[ADA];
        // A process that has ended says nothing again.
        ada.person.raw.lose_one_answer_in(0);
        let (exit, ended) = tokio::join!(self.server.terminate(), ada.person.raw.ended());
        assert_eq!(exit, Some(0));
        ada.told.push(format!("drained: {:?}", ended.code));
        self.server.set_arguments(&["--clock-offset-seconds", "7200"]);
        self.server.restart().await;
        for who in 0..self.devices.len() {
            self.come(who).await;
        }
        self.settle().await;
        self.signal(ADA, b"still here").await;
    }
}

impl Device {
    /// Reads the group's log up to `head`.
    async fn read(&mut self, group_id: &[u8], head: u64, names: &BTreeMap<Vec<u8>, String>) {
        while self.seq < head {
            self.hear(group_id, names).await;
        }
    }

    /// Takes one push; whether it was `Live`.
    async fn hear(&mut self, group_id: &[u8], names: &BTreeMap<Vec<u8>, String>) -> bool {
        let entries = match self.person.raw.push().await {
            push::Body::Entries(entries) => entries,
            push::Body::Live(_) => return true,
            _ => return false,
        };
        let last = entries.entries.last().map_or(0, |entry| entry.seq);
        if entries.group_id.is_empty() {
            for entry in entries.entries {
                self.tell_own(entry.seq, &entry.body.expect("an entry has a body"));
            }
        } else {
            assert_eq!(entries.group_id, group_id, "there is one group");
            for entry in &entries.entries {
                self.tell(entry, names);
            }
        }
        self.person.raw.acknowledge(&entries.group_id, last.max(if entries.group_id.is_empty() { 0 } else { self.seq })).await;
        false
    }

    /// What came on the device's own log. What came before is passed over, as clients do.
    fn tell_own(&mut self, seq: u64, body: &Body) {
        if seq <= self.own_seq {
            return;
        }
        assert_eq!(seq, self.own_seq + 1, "the device's log has no hole");
        self.own_seq = seq;
        self.told.push(match body {
            Body::Welcome(welcome) => format!("own log: welcome behind {}, request {}", welcome.join_seq, welcome.request),
            Body::Removed(removed) => format!("own log: removed at {}", removed.leave_seq),
            _ => "own log: something else".to_owned(),
        });
    }

    fn tell(&mut self, entry: &v1::Entry, names: &BTreeMap<Vec<u8>, String>) {
        if entry.seq <= self.seq {
            return;
        }
        assert_eq!(entry.seq, self.seq + 1, "the group's log has no hole");
        let body = entry.body.as_ref().expect("an entry has a body");
        let name = |id: &[u8]| names.get(id).cloned().expect("it was sent by somebody here");
        let (hash, what) = match body {
            Body::Message(bytes) => (entry_hash(Kind::Message, bytes), "message".to_owned()),
            Body::Commit(bytes) => (entry_hash(Kind::Commit, bytes), format!("commit: {}", name(&Sha256::digest(bytes)))),
            Body::Own(own) => {
                let (What::ClientId(id) | What::HandshakeHash(id)) = own.what.as_ref().expect("what it was");
                (own.entry_hash.as_ref().try_into().expect("32 bytes"), format!("own: {}", name(id)))
            }
            Body::Skipped(skipped) => {
                self.told.push(format!("{}: skipped to {}, {:?}", entry.seq, skipped.to, skipped.reason()));
                self.seq = skipped.to;
                self.hash = skipped.running_hash.as_ref().try_into().expect("32 bytes");
                return;
            }
            _ => panic!("nobody here proposes anything"),
        };
        let text = match self.group.as_mut() {
            Some(group) => self.person.member.apply(group, entry).unwrap_or_default(),
            None => String::new(),
        };
        self.seq = entry.seq;
        self.hash = running_hash(&self.hash, entry.seq, &hash);
        self.told.push(format!("{}: {what} {text} urgent {}", entry.seq, entry.urgent));
    }
}
