//! What a server reads of MLS, against a group of two.

use std::{fs, sync::LazyLock};

use sovereign::mls::{
    CommitInput, PublicState, check_commit, check_key_package, check_new_group, check_proposal, inspect_handshake,
    inspect_message,
};

use crate::{
    corpus, parts,
    people::{GROUP, ada, bob},
};

/// A time within the lives of the seeds: they were made then.
fn now_ms() -> u64 {
    static NOW: LazyLock<u64> = LazyLock::new(|| {
        let text = fs::read_to_string(corpus::directory().join("made_at_ms")).expect("the corpus says when it was made");
        text.trim().parse().expect("milliseconds")
    });
    *NOW
}

/// The group of the seeds at epoch 1, Ada and Bob in it.
pub(crate) fn group() -> &'static PublicState {
    static STATE: LazyLock<PublicState> = LazyLock::new(|| {
        let info = fs::read(corpus::directory().join("group_info/pair")).expect("the corpus has a group");
        PublicState::load(&info, &[]).expect("the corpus has a good group")
    });
    &STATE
}

/// Why a seed of these targets is refused that was good when it was made; nothing is asked of others. Inputs are made of
/// seeds: where those are refused at the door, nothing behind it is ever reached.
#[must_use]
pub fn refusal(target: &str, name: &str, data: &[u8]) -> Option<String> {
    let refused = match (target, name) {
        ("headers", "message") => inspect_message(data).err(),
        ("headers", _) => inspect_handshake(data).err(),
        ("key_package", _) => check_key_package(data, bob().leaf(), &bob().public(), now_ms(), name == "last_resort").err(),
        ("group_info", "new") => check_new_group(GROUP, ada().leaf(), &ada().public(), data).err(),
        ("group_info", _) => PublicState::load(data, &[]).err(),
        ("proposal", _) => check_proposal(group(), bob().leaf(), data).err(),
        // Made in the epoch before that of the group here: it is refused for that, today as then.
        ("commit", "add") => None,
        ("commit", _) => check_commit(group(), &bundle(&parts(data)), now_ms()).err(),
        _ => None,
    };
    refused.map(|refused| format!("{refused:?}"))
}

/// The clear headers of messages.
pub(crate) fn headers(data: &[u8]) {
    let _message = inspect_message(data);
    let _handshake = inspect_handshake(data);
}

/// A key package that Bob uploads.
pub(crate) fn key_package(data: &[u8]) {
    for last_resort in [false, true] {
        let _refused = check_key_package(data, bob().leaf(), &bob().public(), now_ms(), last_resort);
    }
}

/// A group that Ada begins, and one that the store has kept.
pub(crate) fn group_info(data: &[u8]) {
    let _refused = check_new_group(GROUP, ada().leaf(), &ada().public(), data);
    if let Ok(state) = PublicState::load(data, &[]) {
        assert!(!state.members().is_empty(), "a group of nobody");
    }
}

/// A proposal of Bob's.
pub(crate) fn proposal(data: &[u8]) {
    let _refused = check_proposal(group(), bob().leaf(), data);
}

/// A commit of Ada's, with its Welcome and `GroupInfo`.
pub(crate) fn commit(data: &[u8]) {
    let parts = parts(data);
    let (input, state) = (bundle(&parts), group());
    if let Ok(checked) = check_commit(state, &input, now_ms()) {
        assert_eq!(checked.from_epoch, state.epoch(), "a commit of another epoch was taken");
    }
    assert_eq!(state.epoch(), 1, "a check changes nothing");
}

fn bundle<'a>(parts: &[&'a [u8]]) -> CommitInput<'a> {
    static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| ada().public());
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    CommitInput {
        group: GROUP,
        committer: ada().leaf(),
        device_key: &KEY,
        commit: part(0),
        welcome: part(1),
        group_info: part(2),
        removals: &[],
    }
}
