//! MLS over the vault: what survives, what is rolled back, and what is said ahead of an accepted commit.

use std::sync::Arc;

use sovereign_proto::mls::{Policy, Roles};

use super::*;
use crate::{
    entropy,
    vault::{Vault, VaultError},
};

const GROUP: [u8; 32] = [9; 32];
const NOW_MS: u64 = 1_795_000_000_000;

struct Device {
    home: tempfile::TempDir,
    vault: Option<Vault>,
    mls: Mls,
}

impl Device {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let vault = Vault::create(home.path(), None).expect("made");
        let me = DeviceRef { account: entropy::random(), device: entropy::random() };
        Self { vault: Some(vault), home, mls: Mls::new(Arc::new(DeviceKey::generate()), me) }
    }

    fn reopen(&mut self) {
        self.vault = None;
        self.vault = Some(Vault::open(self.home.path(), None).expect("opened"));
    }

    fn tx<T>(&mut self, work: impl FnOnce(&Mls, &Tx<'_>) -> Result<T, MlsError>) -> Result<T, MlsError> {
        let mls = &self.mls;
        self.vault.as_mut().expect("open").transaction(|tx| work(mls, tx))
    }

    fn group<T>(&mut self, change: impl FnOnce(&Mls, &Provider<'_>, &mut Group) -> Result<T, MlsError>) -> Result<T, MlsError> {
        self.tx(|mls, tx| {
            let provider = mls.provider(tx);
            let mut group = Group::load(&provider, &GROUP)?;
            let value = change(mls, &provider, &mut group)?;
            provider.store.flush()?;
            Ok(value)
        })
    }

    fn create(&mut self) {
        let roles = Roles { policy: Policy::Equal, administrators: Vec::new() };
        self.tx(|mls, tx| mls.create(tx, &GROUP, &roles, NOW_MS)).expect("created");
    }

    fn package(&mut self) -> openmls::prelude::KeyPackage {
        let (me, key) = (self.mls.me, self.mls.key.public());
        let bytes = self.tx(|mls, tx| mls.key_package(tx, NOW_MS, false)).expect("made");
        claimed(&bytes, me, &key).expect("our own")
    }

    fn add(&mut self, other: &mut Self, contents: &[Vec<u8>]) -> Staged {
        let change = Change { adds: vec![other.package()], ..Change::default() };
        self.tx(|mls, tx| mls.stage(tx, &GROUP, change, contents)).expect("staged")
    }

    fn adopt(&mut self, staged: &Staged) {
        self.tx(|_, tx| Mls::adopt(tx, &staged.diff)).expect("adopted");
    }

    fn encrypt(&mut self, content: &[u8]) -> Vec<u8> {
        self.group(|mls, provider, group| mls.encrypt(provider, group, content)).expect("encrypted")
    }

    fn open(&mut self, message: &[u8]) -> Result<Vec<u8>, MlsError> {
        self.group(|_, provider, group| Mls::open(provider, group, message)).map(|(_, content)| content)
    }

    fn authenticator(&mut self) -> (u64, Vec<u8>) {
        self.group(|_, _, group| Ok((group.epoch(), group.authenticator()))).expect("loaded")
    }
}

fn pair() -> (Device, Device) {
    let (mut ann, mut ben) = (Device::new(), Device::new());
    ann.create();
    let staged = ann.add(&mut ben, &[]);
    ann.adopt(&staged);
    ben.tx(|mls, tx| mls.join(tx, &GROUP, &staged.welcome).map(drop)).expect("joined");
    (ann, ben)
}

#[test]
fn messages_of_the_pending_epoch_are_read_by_the_joiner_and_the_ratchet_goes_on_behind_them() {
    let (mut ann, mut ben) = (Device::new(), Device::new());
    ann.create();
    let before = ann.authenticator();
    let staged = ann.add(&mut ben, &[b"profile".to_vec(), b"more".to_vec()]);
    assert_eq!(ann.authenticator(), before, "nothing is merged before it is accepted");
    ben.tx(|mls, tx| mls.join(tx, &GROUP, &staged.welcome).map(drop)).expect("joined");
    assert_eq!(ben.open(&staged.messages[0]).expect("readable"), b"profile");
    assert_eq!(ben.open(&staged.messages[1]).expect("readable"), b"more");
    ann.adopt(&staged);
    assert_eq!(ann.authenticator(), ben.authenticator());
    let next = ann.encrypt(b"next");
    assert_eq!(ben.open(&next).expect("a fresh generation"), b"next");
}

#[test]
fn a_group_survives_reopening() {
    let (mut ann, mut ben) = pair();
    let message = ann.encrypt(b"before");
    ann.reopen();
    ben.reopen();
    assert_eq!(ben.open(&message).expect("readable"), b"before");
    let message = ann.encrypt(b"after");
    assert_eq!(ben.open(&message).expect("readable"), b"after");
    assert_eq!(ann.authenticator(), ben.authenticator());
}

#[test]
fn a_rollback_takes_the_ratchet_back() {
    let (mut ann, mut ben) = pair();
    let message = ann.encrypt(b"text");
    let failed: Result<(), MlsError> = ben.group(|_, provider, group| {
        Mls::open(provider, group, &message)?;
        Err(MlsError::Vault(VaultError::Sealed))
    });
    assert!(failed.is_err());
    assert_eq!(ben.open(&message).expect("its key was not spent"), b"text");
    assert!(ben.open(&message).is_err(), "now it is");
}

#[test]
fn a_dropped_commit_leaves_the_old_epoch_usable() {
    let (mut ann, mut ben) = pair();
    let lost = ann.tx(|mls, tx| mls.stage(tx, &GROUP, Change::default(), &[])).expect("staged");
    let won = ben.tx(|mls, tx| mls.stage(tx, &GROUP, Change::default(), &[])).expect("staged");
    drop(lost);
    let effect = ann.group(|_, provider, group| Mls::follow(provider, group, &won.commit, &[])).expect("followed");
    assert_eq!((effect.by, effect.hash, effect.self_removed), (ben.mls.me, won.commit_hash, false));
    ben.adopt(&won);
    assert_eq!(ann.authenticator(), ben.authenticator());
    let tags = [&mut ann, &mut ben].map(|device| device.group(|mls, _, group| mls.confirmation_tag(group, &won.commit_hash)));
    let [a, b] = tags.map(|tag| tag.expect("exported"));
    assert_eq!(a, b);
}

#[test]
fn an_external_commit_comes_in_and_replaces_the_own_leaf() {
    let (mut ann, mut ben) = pair();
    let renewed = ann.tx(|mls, tx| mls.stage(tx, &GROUP, Change::default(), &[])).expect("staged");
    ann.adopt(&renewed);
    let joined =
        ben.tx(|mls, tx| mls.stage_external(tx, &GROUP, &renewed.group_info, &[b"who are we?".to_vec()])).expect("staged");
    assert!(ben.authenticator() != ann.authenticator(), "the old state stays until it is accepted");
    let effect = ann.group(|_, provider, group| Mls::follow(provider, group, &joined.commit, &[])).expect("followed");
    assert_eq!(effect.removed, [ben.mls.me]);
    ben.adopt(&joined);
    assert_eq!(ann.open(&joined.messages[0]).expect("readable"), b"who are we?");
    assert_eq!(ann.authenticator(), ben.authenticator());
    let leaves = ann.group(|_, _, group| Ok(group.leaves())).expect("loaded");
    assert_eq!(leaves.len(), 2);
}

#[test]
fn a_leaver_is_recognised_by_its_own_proposal_only() {
    let (mut ann, mut ben) = pair();
    let proposal = ben.group(Mls::propose_leave).expect("proposed");
    let leavers = ann.group(|_, provider, group| Ok(Mls::leavers(provider, group, &[proposal.clone(), b"junk".to_vec()])));
    assert_eq!(leavers.expect("read"), [ben.mls.me]);
    let message = ann.encrypt(b"still possible while somebody leaves");
    assert!(ben.open(&message).is_ok());
    let removal = Change { removes: vec![1], ..Change::default() };
    let staged = ann.tx(|mls, tx| mls.stage(tx, &GROUP, removal, &[])).expect("staged");
    let effect = ben.group(|_, provider, group| Mls::follow(provider, group, &staged.commit, &[])).expect("followed");
    assert!(effect.self_removed);
}

#[test]
fn foreign_welcomes_and_packages_are_refused() {
    let (mut ann, mut ben) = (Device::new(), Device::new());
    ann.create();
    let staged = ann.add(&mut ben, &[]);
    let mut stranger = Device::new();
    assert!(matches!(stranger.tx(|mls, tx| mls.join(tx, &GROUP, &staged.welcome).map(drop)), Err(MlsError::UnknownKeyPackage)));
    assert!(ben.tx(|mls, tx| mls.join(tx, &[1; 32], &staged.welcome).map(drop)).is_err());
    let (me, key) = (ben.mls.me, ben.mls.key.public());
    let bytes = ben.tx(|mls, tx| mls.key_package(tx, NOW_MS, true)).expect("made");
    assert!(claimed(&bytes, me, &key).expect("valid").last_resort());
    assert!(matches!(claimed(&bytes, ann.mls.me, &key), Err(MlsError::Credential)));
    assert!(matches!(claimed(&bytes, me, &ann.mls.key.public()), Err(MlsError::Credential)));
    assert!(matches!(claimed(&bytes[1..], me, &key), Err(MlsError::Malformed)));
}
