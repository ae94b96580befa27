//! The way back to a group in which a leaf's lifetime has ended.
//!
//! A leaf keeps the lifetime of its key package until its device commits for the first time, which may be never. openmls
//! refuses to build a `PublicGroup` from a tree with such a leaf, though the group is fine and its members go on. So the
//! tree is verified here by other means and handed to openmls as what it has stored: openmls's storage is made of
//! serde values, and a [`Shelf`] answers with values made from the `GroupInfo`.

use openmls::{
    group::{InterimTranscriptHash, PublicGroup},
    prelude::tls_codec::Serialize as _,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Refused, SUITE, crypto, group_info::GroupInfo, shelf::Shelf, tree::Nodes};

/// Builds the public group of a `GroupInfo` that the server accepted earlier, without regard to lifetimes. Verified are
/// all leaves' signatures, the tree hash and the `GroupInfo`'s signature; what else openmls asks of a tree (parent
/// hashes, capabilities) held when the commit was accepted.
pub(super) fn revive(info: &GroupInfo) -> Result<PublicGroup, Refused> {
    let context = info.context();
    if Nodes::of(info.tree())?.root_hash()? != *context.tree_hash() {
        return Err(Refused::BadGroupInfo("its tree is not the one that it names"));
    }
    let tree =
        info.tree().clone().into_verified(SUITE, crypto(), context.group_id()).map_err(|error| Refused::invalid(&error))?;
    let json = |error: serde_json::Error| Refused::invalid(&error);
    let tree = tree_value(serde_json::to_value(&tree).map_err(json)?, context.tree_hash())?;
    let tag = info.confirmation_tag().tls_serialize_detached().map_err(|error| Refused::invalid(&error))?;
    let interim = Sha256::new().chain_update(context.confirmed_transcript_hash()).chain_update(tag).finalize().to_vec();
    let shelf = Shelf {
        tree,
        context: serde_json::to_value(context).map_err(json)?,
        interim_transcript_hash: serde_json::to_value(InterimTranscriptHash(interim)).map_err(json)?,
        confirmation_tag: serde_json::to_value(info.confirmation_tag()).map_err(json)?,
    };
    let group = PublicGroup::load(&shelf, context.group_id()).map_err(|error| Refused::invalid(&error))?;
    let group = group.ok_or(Refused::BadGroupInfo("its tree cannot be loaded"))?;
    let signer = group.leaf(info.signer()).ok_or(Refused::BadGroupInfo("its signer is no member"))?;
    if !info.is_signed_by(signer.signature_key().as_slice()) {
        return Err(Refused::BadGroupInfo("its signature is invalid"));
    }
    Ok(group)
}

/// openmls's stored form of a tree, made from the one of an exported tree: leaves and parents apart, each in a cell.
fn tree_value(exported: Value, tree_hash: &[u8]) -> Result<Value, Refused> {
    let Value::Array(nodes) = exported else { return Err(Refused::Malformed) };
    let (mut leaves, mut parents) = (Vec::new(), Vec::new());
    for (index, mut node) in nodes.into_iter().enumerate() {
        let (side, name) = if index % 2 == 0 { (&mut leaves, "LeafNode") } else { (&mut parents, "ParentNode") };
        let node = if node.is_null() { node } else { node.get_mut(name).ok_or(Refused::Malformed)?.take() };
        side.push(json!({ "node": node }));
    }
    let blank = json!({ "node": null });
    Ok(json!({
        "tree": { "leaf_nodes": leaves, "parent_nodes": parents, "default_leaf": blank, "default_parent": blank },
        "tree_hash": tree_hash,
    }))
}
