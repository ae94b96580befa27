//! MLS over the vault: what survives, what is rolled back, and what is said ahead of an accepted commit.

use std::sync::Arc;

use openmls_traits::{crypto::OpenMlsCrypto as _, types::AeadType};
use sovereign_proto::{
    mls::{Policy, Roles},
    signal,
    v1::{self, signal_content::Kind},
};

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

    fn signal_epoch(&mut self) -> SignalEpoch {
        self.group(|mls, _, group| mls.signal_epoch(group)).expect("exported")
    }

    fn signal(&mut self, what: Ephemeral) -> Vec<u8> {
        let epoch = self.signal_epoch();
        self.mls.seal_signal(&GROUP, &epoch, what, NOW_MS, 1).expect("sealed")
    }

    /// Who this device takes it to be from, and what it says.
    fn hear(&mut self, signal: &[u8]) -> Option<(DeviceRef, Ephemeral)> {
        let epoch = self.signal_epoch();
        self.mls.open_signal(&GROUP, &epoch, signal).map(|opened| (opened.from, opened.what))
    }

    /// Seals whatever a member could who does not keep to the rules.
    fn forge(&mut self, group: &[u8; 32], content: v1::SignalContent) -> Vec<u8> {
        let epoch = self.signal_epoch();
        let (plain, aad) = (signal::encode(content), signal::associated_data(group, epoch.epoch));
        let crypto = &self.mls.crypto;
        let sealed = crypto.aead_encrypt(AeadType::ChaCha20Poly1305, &epoch.key, &plain, &[7; 12], &aad).expect("sealed");
        [&[7; 12], sealed.as_slice()].concat()
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

const TYPING: Ephemeral = Ephemeral::Typing { active: true };

fn viewing() -> Ephemeral {
    Ephemeral::Custom { kind: "viewing".to_owned(), payload: b"page 3".to_vec() }
}

#[test]
fn signals_are_opened_by_members_of_their_epoch_and_by_nobody_else() {
    let (mut ann, mut ben) = pair();
    for what in [TYPING, Ephemeral::Typing { active: false }, viewing()] {
        let signal = ann.signal(what.clone());
        assert_eq!(signal.len() % 256, 12 + 16, "padded");
        assert_eq!(ben.hear(&signal), Some((ann.mls.me, what)));
        for changed in 0..signal.len() {
            let mut broken = signal.clone();
            broken[changed] ^= 1;
            assert_eq!(ben.hear(&broken), None, "byte {changed} was changed");
        }
        assert!(ben.hear(&signal[..11]).is_none() && ben.hear(&[]).is_none());
    }
    let (early, before) = (ann.signal(TYPING), ben.signal_epoch());
    let staged = ann.tx(|mls, tx| mls.stage(tx, &GROUP, Change::default(), &[])).expect("staged");
    ann.adopt(&staged);
    ben.group(|_, provider, group| Mls::follow(provider, group, &staged.commit, &[])).expect("followed");
    assert_eq!(ben.hear(&early), None, "each epoch has a key of its own");
    assert!(ben.mls.open_signal(&GROUP, &before, &early).is_some(), "which may be kept for a while");
    let mut stranger = Device::new();
    stranger.create();
    let foreign = stranger.signal(TYPING);
    assert_eq!(ben.hear(&foreign), None, "a group of the same id and other members");
}

#[test]
fn ten_thousand_signals_leave_messages_readable() {
    let (mut ann, mut ben) = pair();
    let before = ann.encrypt(b"before");
    let epoch = ann.signal_epoch();
    let signals: Vec<Vec<u8>> =
        (0..10_000).map(|counter| ann.mls.seal_signal(&GROUP, &epoch, TYPING, NOW_MS, counter).expect("sealed")).collect();
    let after = ann.encrypt(b"after");
    assert_eq!(ben.open(&after).expect("no generation was skipped"), b"after");
    assert_eq!(ben.open(&before).expect("nor lost"), b"before");
    assert!(ben.hear(&signals[9_999]).is_some() && ben.hear(&signals[0]).is_some());
}

#[test]
fn a_member_can_forge_typing_of_another_and_nothing_that_is_signed() {
    let (mut ann, mut ben) = pair();
    let anns_leaf = ben.signal_epoch().leaves.iter().find(|leaf| leaf.of == ann.mls.me).expect("a member").index;
    let content = |leaf, kind| v1::SignalContent { leaf, epoch: 1, sent_at_ms: NOW_MS, counter: 1, kind, ..Default::default() };
    let typing = || Some(Kind::Typing(v1::Typing { active: true }));
    let forged = ben.forge(&GROUP, content(anns_leaf, typing()));
    assert_eq!(ann.hear(&forged), Some((ann.mls.me, TYPING)), "typing is authenticated to the group only");
    for (why, forged) in [
        ("no such leaf", ben.forge(&GROUP, content(99, typing()))),
        ("another group", ben.forge(&[1; 32], content(anns_leaf, typing()))),
        ("another epoch inside", ben.forge(&GROUP, v1::SignalContent { epoch: 2, ..content(anns_leaf, typing()) })),
        ("of no kind", ben.forge(&GROUP, content(anns_leaf, None))),
    ] {
        assert_eq!(ann.hear(&forged), None, "{why}");
    }
    let bens_leaf = 1 - anns_leaf;
    let signed = |leaf, kind: &str, key: &DeviceKey, said: &str| {
        let signed = sovereign_proto::signed::Signal {
            group_id: &GROUP,
            epoch: 1,
            leaf,
            sent_at_ms: NOW_MS,
            counter: 1,
            kind: said,
            payload: b"",
        };
        let signature = key.sign(&signed.to_bytes()).to_vec().into();
        content(leaf, Some(Kind::Custom(v1::Custom { kind: kind.to_owned(), payload: bytes::Bytes::new(), signature })))
    };
    let (key, other) = (Arc::clone(&ben.mls.key), DeviceKey::generate());
    let long = "k".repeat(65);
    for (why, content, heard) in [
        ("in order", signed(bens_leaf, "k", &key, "k"), true),
        ("another's leaf", signed(anns_leaf, "k", &key, "k"), false),
        ("another key", signed(bens_leaf, "k", &other, "k"), false),
        ("something else was signed", signed(bens_leaf, "k", &key, "l"), false),
        ("a kind without a name", signed(bens_leaf, "", &key, ""), false),
        ("a kind with too long a name", signed(bens_leaf, &long, &key, &long), false),
    ] {
        let forged = ben.forge(&GROUP, content);
        assert_eq!(ann.hear(&forged).is_some(), heard, "{why}");
    }
}
