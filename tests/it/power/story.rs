//! What a server does for some people while its disk keeps a record, and what it promised them, with the moment of each
//! promise.

use std::{collections::BTreeMap, fs, path::Path};

use bytes::Bytes;
use openmls::prelude::MlsGroup;
use sovereign_proto::{
    log::{Kind, entry_hash},
    v1::{self, SendMessageRequest, envelope, response, submit_commit_response::Outcome},
};

use super::disk::Disk;
use crate::harness::{
    Member, Raw, TestServer,
    attendance::read_request,
    dice::Dice,
    eventually,
    faulty_disk::{FaultyDisk, Operation, Record},
    member::Bundle,
    raw::Keys,
    scene::{Person, send_request},
};

/// Something that the server has said, or done before it spoke, and must not take back.
pub enum Fact {
    /// A file beside the database, which clients have pinned or people were shown.
    File { path: &'static str, content: Vec<u8> },
    /// Somebody has an account.
    Account { device: [u8; 16] },
    /// There is a group.
    Group { group: Bytes },
    /// A key package was handed out: never again.
    Claimed { key_package: Bytes },
    /// A commit was accepted, with all that it brings.
    Commit { group: Bytes, epoch: u64, seq: u64, hash: [u8; 32], group_info: Bytes, added: Option<[u8; 16]> },
    /// A message was accepted.
    Sent { sender: [u8; 16], request: SendMessageRequest, epoch: u64, seq: u64, hash: [u8; 32] },
    /// Somebody's read marker was taken.
    Read { group: Bytes, device: [u8; 16], seq: u64 },
    /// A sender was told that somebody's device has got so far.
    Delivered { group: Bytes, device: [u8; 16], seq: u64 },
}

/// A fact, and how long the disk's record was when the server had told it.
pub struct Promise {
    pub position: u64,
    pub fact: Fact,
}

/// What happened.
pub struct Story {
    pub records: Vec<Record>,
    pub promises: Vec<Promise>,
    /// Who has sent most.
    pub ada: Keys,
}

/// How long a story is, and how honest its disk.
#[derive(Clone, Copy)]
pub struct Plan {
    pub rounds: usize,
    /// Messages of each sender in a round.
    pub messages: usize,
    pub bytes_max: usize,
    /// Syncs of the write-ahead log do nothing.
    pub lies: bool,
}

/// A member, and what it has followed of its group.
struct Seat {
    person: Person,
    group: MlsGroup,
    applied: u64,
}

struct Told<'a> {
    disk: &'a FaultyDisk,
    promises: Vec<Promise>,
}

impl Told<'_> {
    fn promise(&mut self, fact: Fact) {
        self.promises.push(Promise { position: self.disk.recorded(), fact });
    }
}

/// Tells a story with a server of its own.
pub async fn tell(plan: Plan, dice: &mut Dice) -> Story {
    let (mut server, disk) = TestServer::start_on_faulty_disk(&[]).await;
    let mut told = Told { disk: &disk, promises: Vec::new() };
    for path in ["data/server.key", "data/tls/ca.key", "data/tls/ca.pem", "data/setup-link"] {
        let content = fs::read(server.data().join(&path[5..])).expect("it was made before the server was ready");
        told.promise(Fact::File { path, content });
    }
    disk.fails(if plan.lies { "lie -wal" } else { "" });
    let (mut ada, mut bob, mut cora) = company(&server, &mut told).await;
    let id = Bytes::copy_from_slice(ada.group.group_id().as_slice());
    let mut cora_is_in = false;
    for round in 0..plan.rounds {
        let sizes = |dice: &mut Dice| (0..plan.messages).map(|_| 1 + dice.below(plan.bytes_max)).collect::<Vec<_>>();
        let (adas, bobs) = (sizes(dice), sizes(dice));
        let [adas, bobs] = tokio::join!(ada.burst(&adas, &disk), bob.burst(&bobs, &disk)).into();
        let last = adas.iter().chain(&bobs).map(Promise::seq).max().unwrap_or(0);
        told.promises.extend(adas.into_iter().chain(bobs));
        tokio::join!(ada.follow(&id, last), bob.follow(&id, last));
        if round % 2 == 1 {
            let seq = bob.person.raw.call(read_request(&id, last)).await.expect("noted").seq;
            told.promise(Fact::Read { group: id.clone(), device: bob.person.keys.device, seq });
        }
        let seq = match round % 3 {
            0 => ada.update(&mut told).await,
            1 if cora_is_in => {
                cora_is_in = false;
                ada.remove(&cora.keys, &mut told).await
            }
            _ if cora_is_in => ada.update(&mut told).await,
            _ => {
                cora_is_in = true;
                let seq = ada.add(&cora.keys, &mut told).await;
                let (welcome, _) = cora.welcome().await;
                cora.raw.acknowledge(&[], welcome).await;
                seq
            }
        };
        tokio::join!(ada.follow(&id, seq), bob.follow(&id, seq));
        ada.hear_of(&bob.person.keys, &mut told).await;
        if round == plan.rounds / 3 {
            emptied(&disk).await;
        } else if round == plan.rounds * 2 / 3 {
            assert_eq!(server.terminate().await, Some(0));
            server.restart().await;
            for raw in [&mut ada.person, &mut bob.person, &mut cora] {
                raw.raw = Raw::sign_in(&server, &raw.keys).await.0;
            }
        }
    }
    assert_eq!(server.terminate().await, Some(0));
    let records = disk.records(0);
    compare(&records, &server.data());
    Story { records, promises: told.promises, ada: ada.person.keys }
}

/// Ada and Bob in a group, and Cora, who is not in it yet.
async fn company(server: &TestServer, told: &mut Told<'_>) -> (Seat, Seat, Person) {
    let mut people = Vec::new();
    for name in ["ada", "bob", "cora"] {
        let person = Person::new(server, name).await;
        told.promise(Fact::Account { device: person.keys.device });
        people.push(person);
    }
    let [mut ada, mut bob, cora] = <[Person; 3]>::try_from(people).unwrap_or_else(|_| unreachable!("three of them"));
    let group = ada.create_group().await;
    told.promise(Fact::Group { group: Bytes::copy_from_slice(group.group_id().as_slice()) });
    let mut ada = Seat { person: ada, group, applied: 0 };
    let seq = ada.add(&bob.keys, told).await;
    let group = bob.join().await;
    bob.accept(&group).await;
    (ada, Seat { person: bob, group, applied: seq }, cora)
}

impl Seat {
    /// Sends messages of these sizes with all of them outstanding, and notes when each is accepted.
    async fn burst(&mut self, sizes: &[usize], disk: &FaultyDisk) -> Vec<Promise> {
        let mut open = BTreeMap::new();
        for size in sizes {
            let message = self.person.member.message(&mut self.group, &"x".repeat(*size));
            let hash = entry_hash(Kind::Message, &message.ciphertext);
            let request = send_request(self.group.group_id().as_slice(), message);
            open.insert(self.person.raw.send(request.clone()).await, (request, hash));
        }
        let mut promises = Vec::new();
        while !open.is_empty() {
            let answer = self.person.raw.any_answer().await.expect("the server lives");
            let position = disk.recorded();
            let Some(envelope::Body::Response(v1::Response { body: Some(response::Body::SendMessage(sent)) })) = answer.body
            else {
                panic!("a message was refused")
            };
            let (request, hash) = open.remove(&answer.request_id).expect("an answer to one of these");
            let (sender, epoch) = (self.person.keys.device, self.group.epoch().as_u64());
            promises.push(Promise { position, fact: Fact::Sent { sender, request, epoch, seq: sent.seq, hash } });
        }
        promises
    }

    /// Applies and acknowledges what comes up to `seq`.
    async fn follow(&mut self, id: &Bytes, seq: u64) {
        while self.applied < seq {
            for entry in self.person.raw.entries(id).await {
                if entry.seq > self.applied {
                    self.person.member.apply(&mut self.group, &entry);
                    self.applied = entry.seq;
                }
            }
        }
        self.person.raw.acknowledge(id, self.applied).await;
    }

    async fn add(&mut self, keys: &Keys, told: &mut Told<'_>) -> u64 {
        let key_packages = self.person.claim(&self.group, &[keys]).await;
        for key_package in &key_packages {
            told.promise(Fact::Claimed { key_package: key_package.clone() });
        }
        let bundle = self.person.member.add(&mut self.group, &key_packages);
        self.submit(bundle, Some(keys.device), told).await
    }

    async fn remove(&mut self, keys: &Keys, told: &mut Told<'_>) -> u64 {
        let leaf = Member::leaf(&self.group, keys);
        let bundle = self.person.member.remove(&mut self.group, &[leaf]);
        self.submit(bundle, None, told).await
    }

    async fn update(&mut self, told: &mut Told<'_>) -> u64 {
        let bundle = self.person.member.update(&mut self.group);
        self.submit(bundle, None, told).await
    }

    async fn submit(&mut self, bundle: Bundle, added: Option<[u8; 16]>, told: &mut Told<'_>) -> u64 {
        let outcome = self.person.try_submit(&self.group, &bundle).await;
        let position = told.disk.recorded();
        let Some(Outcome::Accepted(accepted)) = outcome else { panic!("nobody else commits here") };
        let (group, epoch) = (Bytes::copy_from_slice(self.group.group_id().as_slice()), self.group.epoch().as_u64());
        let hash = entry_hash(Kind::Commit, &bundle.commit);
        let fact = Fact::Commit { group, epoch, seq: accepted.seq, hash, group_info: bundle.group_info, added };
        told.promises.push(Promise { position, fact });
        self.person.member.merge(&mut self.group);
        accepted.seq
    }

    /// What is said of somebody's progress now.
    async fn hear_of(&mut self, other: &Keys, told: &mut Told<'_>) {
        let group = Bytes::copy_from_slice(self.group.group_id().as_slice());
        for (account, seq, _) in self.person.raw.receipts(&group).await {
            if account == other.account {
                told.promise(Fact::Delivered { group: group.clone(), device: other.device, seq });
            }
        }
    }
}

impl Promise {
    fn seq(&self) -> u64 {
        if let Fact::Sent { seq, .. } = &self.fact { *seq } else { 0 }
    }
}

/// Waits for a quiet moment, in which the server empties its write-ahead log.
async fn emptied(disk: &FaultyDisk) {
    let before = disk.recorded();
    let emptied = |record: &Record| record.operation == Operation::Length(0) && record.path.ends_with("-wal");
    eventually("an empty write-ahead log", async || disk.records(before).iter().any(emptied).then_some(())).await;
}

/// The record has everything: replayed to its end it is what lies in the directory.
fn compare(records: &[Record], data: &Path) {
    let mut disk = Disk::default();
    records.iter().for_each(|record| disk.apply(record));
    let image = disk.seen();
    for entry in fs::read_dir(data).expect("readable").map(|entry| entry.expect("an entry")) {
        let name = entry.file_name().into_string().expect("UTF-8");
        // Mapped into memory; no crash has to keep it. Nor the ballast, which is only room.
        if entry.path().is_file() && !name.ends_with("-shm") && name != "ballast" {
            let found = image.files.get(&format!("data/{name}")).map(Vec::as_slice);
            assert!(found == Some(&fs::read(entry.path()).expect("readable")[..]), "the record of {name} is not complete");
        }
    }
}
