//! What holds among all leaves of a tree together.

use std::collections::HashSet;

use openmls::prelude::RatchetTreeIn;

use super::{Leaf, Refused, tree::Nodes};
use crate::limits::LEAVES_PER_GROUP;

/// A tree of at most [`LEAVES_PER_GROUP`] leaves, each of another device, in which no key stands twice. (openmls looks for
/// repeated keys when somebody joins, which is too late: the group could no longer be joined.)
pub(super) fn check(tree: &RatchetTreeIn, nodes: &Nodes) -> Result<(), Refused> {
    let mut devices = HashSet::new();
    let mut signature_keys = HashSet::new();
    for node in tree.leaves() {
        let leaf = Leaf::of(node.credential()).ok_or(Refused::Policy("a leaf's credential names no account and device"))?;
        if !devices.insert(leaf.device_id) {
            return Err(Refused::Policy("a device has one leaf in a group"));
        }
        if node.signature_key().as_slice().len() != 32 {
            return Err(Refused::Policy("a leaf's signature key is no Ed25519 key"));
        }
        if !signature_keys.insert(node.signature_key().as_slice()) {
            return Err(Refused::Policy("two leaves have the same signature key"));
        }
    }
    if devices.len() > LEAVES_PER_GROUP {
        return Err(Refused::Policy("a group has at most 1000 leaves"));
    }
    let mut encryption_keys = HashSet::new();
    for key in nodes.encryption_keys() {
        if !encryption_keys.insert(key?) {
            return Err(Refused::Policy("two nodes have the same encryption key"));
        }
    }
    Ok(())
}
