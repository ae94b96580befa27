//! Stories about the store, told through its verbs alone.

mod accounts;
mod commits;
mod durability;
mod key_packages;
mod ledger;
mod messages;
mod notices;
mod places;
mod presence;
mod relations;
mod trimming;
mod windows;

use bytes::Bytes;
use prost::Message as _;
use sovereign_proto::{log::Kind, v1::WelcomeEntry};
use tempfile::TempDir;

use super::*;
use crate::ids::{AccountId, ClaimId, ClientId, DeviceId, Epoch, GroupId, Leaf};

/// When the stories begin.
const START: u64 = 1_000_000_000_000;
const DAY: u64 = 24 * 60 * 60 * 1000;

/// A store in a directory of its own.
struct Harness {
    store: Store,
    directory: TempDir,
    data: DataDir,
}

impl Harness {
    fn new() -> Self {
        Self::with(Options { disk_reserve: 0, ..Options::default() })
    }

    fn with(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data = DataDir::open(directory.path().join("data")).expect("free");
        let store = Store::open(&data, options, Clock::default()).expect("opens");
        Self { store, directory, data }
    }

    /// What a crash leaves: the files as they are, copied while the first store still runs.
    fn crashed(&self) -> Self {
        self.crashed_with(Options { disk_reserve: 0, ..Options::default() })
    }

    fn crashed_with(&self, options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let data = DataDir::open(directory.path().join("data")).expect("free");
        let (from, to) = (self.data.clone(), data.clone());
        let copy = move || {
            for name in ["sovereign.db", "sovereign.db-wal"] {
                std::fs::copy(from.path().join(name), to.path().join(name)).expect("copied");
            }
        };
        // By the writer, between two of its transactions, unless it has ended.
        let (done, copied) = std::sync::mpsc::channel();
        let by_writer = copy.clone();
        let _answer = self.store.relieve(move |_| {
            by_writer();
            done.send(()).expect("awaited");
            Ok(())
        });
        if copied.recv().is_err() {
            copy();
        }
        let store = Store::open(&data, options, Clock::default()).expect("opens");
        Self { store, directory, data }
    }

    /// An account with one active device; both are named by the byte.
    async fn person(&self, name: u8) -> Leaf {
        let outcome = self.store.sign_up(new_account(name, InviteUse::None)).await;
        assert_eq!(outcome, Ok(SignUpOutcome::Created { administrator: false }));
        leaf(name)
    }

    /// A group at epoch 0 with its creator.
    async fn group(&self, name: u8, creator: Leaf) -> GroupId {
        let group = GroupId([name; 32]);
        self.store.reserve_group(creator.device_id, group, START).await.expect("reserved");
        let new = NewGroup { group, creator, group_info: Bytes::from_static(b"epoch 0"), direct_key: None, now: START };
        assert!(matches!(self.store.create_group(new).await, Ok(CreateOutcome::Created)));
        group
    }

    async fn stock_up(&self, leaf: Leaf, first: u8, count: u8) {
        let packages = (first..first + count).map(|number| key_package(leaf, number)).collect();
        let outcome = self.store.publish_key_packages(leaf.device_id, packages, None, false, 100, START).await;
        assert!(matches!(outcome, Ok(PublishKeyPackagesOutcome::Published(_))));
    }

    /// Claims one package of somebody for a group; gives its reference.
    async fn claimed(&self, claimer: Leaf, group: GroupId, claim: u8, whom: Leaf) -> Vec<u8> {
        let outcome = self.store.claim(new_claim(claimer, group, claim, whom)).await.expect("stored");
        let ClaimOutcome::Claimed { packages, .. } = outcome else { panic!("refused") };
        reference(&packages.first().expect("in stock").bytes)
    }

    /// Adds somebody who has key packages, by a commit of `adder`; the Welcome is not acknowledged.
    async fn add(&self, adder: Leaf, group: GroupId, epoch: Epoch, whom: Leaf) -> Seq {
        let reference = self.claimed(adder, group, u8::try_from(epoch).expect("small") + 100, whom).await;
        let plan = CommitPlan { added: vec![(whom, reference)], ..plan(group, adder, epoch) };
        accepted(&self.store.accept_commit(plan).await.expect("stored"))
    }

    async fn remove(&self, remover: Leaf, group: GroupId, epoch: Epoch, whom: Leaf) -> Seq {
        let plan = CommitPlan { removed: vec![whom], ..plan(group, remover, epoch) };
        accepted(&self.store.accept_commit(plan).await.expect("stored"))
    }

    /// Acknowledges everything on the device's own log.
    async fn sign_in(&self, leaf: Leaf, arrival: Arrival) -> Result<SignInOutcome, StoreError> {
        self.store.sign_in(leaf.device_id, arrival, START, |_| {}).await
    }

    async fn tasks(&self, leaf: Leaf) -> Vec<GroupId> {
        match self.sign_in(leaf, Arrival::default()).await {
            Ok(SignInOutcome::SignedIn(signed_in)) => signed_in.tasks,
            _ => panic!("refused"),
        }
    }

    async fn acknowledge_own_log(&self, leaf: Leaf) -> Vec<GroupId> {
        let log = LogId::Device(leaf.device_id);
        let position = self.store.position(log, leaf.device_id).await.expect("read").expect("every device has its log");
        self.store.acknowledge_now(leaf.device_id, vec![(log, position.head)]).await.expect("stored")
    }

    async fn send(&self, from: Leaf, group: GroupId, epoch: Epoch, number: u8) -> AppendOutcome {
        self.store.append(message(from, group, epoch, number)).await.expect("stored")
    }

    async fn page(&self, log: LogId, leaf: Leaf, after: Seq) -> Option<Page> {
        self.store.page(log, leaf.device_id, after, 256, 1 << 20).await.expect("read")
    }

    /// The seqs that a device gets behind `after`; `None`: nothing flows.
    async fn seqs(&self, group: GroupId, leaf: Leaf, after: Seq) -> Option<Vec<Seq>> {
        self.page(LogId::Group(group), leaf, after).await.map(|page| page.items.iter().map(seq).collect())
    }
}

/// A group of Ann (1) and Ben (2), epoch 1, the Welcome acknowledged. The add is seq 1.
async fn two(harness: &Harness) -> (Leaf, Leaf, GroupId) {
    let (ann, ben) = (harness.person(1).await, harness.person(2).await);
    let group = harness.group(1, ann).await;
    harness.stock_up(ben, 0, 5).await;
    assert_eq!(harness.add(ann, group, 0, ben).await, 1);
    assert_eq!(harness.acknowledge_own_log(ben).await, [group]);
    (ann, ben, group)
}

fn leaf(name: u8) -> Leaf {
    Leaf { account_id: AccountId([name; 16]), device_id: DeviceId([name; 16]) }
}

/// A further device of an account.
fn second(name: u8) -> NewDevice {
    NewDevice { device_id: DeviceId([name + 100; 16]), device_key: [name + 100; 32] }
}

fn new_account(name: u8, invite: InviteUse) -> NewAccount {
    NewAccount {
        account_id: AccountId([name; 16]),
        username: format!("person{name}"),
        identity_key: [name; 32],
        manifest: vec![1, name],
        manifest_hash: [name; 32],
        device: NewDevice { device_id: DeviceId([name; 16]), device_key: [name; 32] },
        password_hash: None,
        invite,
        now: START,
    }
}

fn key_package(leaf: Leaf, number: u8) -> NewKeyPackage {
    let bytes = [&leaf.device_id.0[..], &[number]].concat();
    let mut init_key_hash = [number; 32];
    init_key_hash[..16].copy_from_slice(&leaf.device_id.0);
    NewKeyPackage { reference: reference(&bytes), bytes, init_key_hash }
}

/// Stands for the `KeyPackageRef`.
fn reference(bytes: &[u8]) -> Vec<u8> {
    [b"ref", bytes].concat()
}

fn new_claim(claimer: Leaf, group: GroupId, claim: u8, whom: Leaf) -> NewClaim {
    let (accounts, devices) = (vec![whom.account_id], vec![whom.device_id]);
    NewClaim { claim_id: ClaimId([claim; 16]), group, claimer: claimer.device_id, accounts, devices, now: START }
}

/// A commit that changes nothing but the epoch.
fn plan(group: GroupId, committer: Leaf, from_epoch: Epoch) -> CommitPlan {
    let mut hash = [committer.device_id.0[0]; 32];
    hash[..8].copy_from_slice(&from_epoch.to_be_bytes());
    CommitPlan {
        group,
        committer,
        external: false,
        from_epoch,
        commit_hash: hash,
        bundle_hash: hash,
        commit: Bytes::from(format!("commit of {from_epoch} by {}", committer.device_id.0[0])),
        group_info: Bytes::from(format!("epoch {}", from_epoch + 1)),
        added: Vec::new(),
        removed: Vec::new(),
        welcome: Bytes::from_static(b"welcome"),
        messages: Vec::new(),
        now: START,
    }
}

fn accepted(outcome: &CommitOutcome) -> Seq {
    match *outcome {
        CommitOutcome::Accepted { seq, duplicate: false, .. } => seq,
        _ => panic!("not accepted"),
    }
}

fn new_message(from: Leaf, number: u8) -> NewMessage {
    let ciphertext = Bytes::from(vec![from.device_id.0[0], number, 7, 7]);
    NewMessage { client_id: ClientId([number; 16]), ciphertext, ttl_ms: None, urgent: false }
}

fn message(from: Leaf, group: GroupId, epoch: Epoch, number: u8) -> Append {
    Append { group, sender: from.device_id, epoch, message: new_message(from, number), now: START }
}

fn seq(item: &Item) -> Seq {
    match item {
        Item::Entry(entry) => entry.seq,
        Item::Skipped { .. } => 0,
    }
}

/// The Welcomes on a device's log.
async fn welcomes(harness: &Harness, leaf: Leaf) -> Vec<WelcomeEntry> {
    let page = harness.page(LogId::Device(leaf.device_id), leaf, 0).await.expect("its own log");
    let entries = page.items.iter().filter_map(|item| match item {
        Item::Entry(entry) if entry.kind == Kind::Welcome => Some(entry.body.clone()),
        _ => None,
    });
    entries.map(|body| WelcomeEntry::decode(body).expect("encoded here")).collect()
}
