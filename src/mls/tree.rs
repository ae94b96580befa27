//! The tree hash of a ratchet tree that is not verified yet (RFC 9420, section 7.8).
//!
//! openmls hashes a tree only while it verifies every leaf's signature. A tree whose hash equals that of a tree which
//! openmls computed itself needs none of that: it is the same tree.

use std::ops::Range;

use openmls::prelude::{
    RatchetTreeIn,
    tls_codec::{Serialize as _, Size as _},
};
use sha2::{Digest as _, Sha256};

use super::{Refused, wire::Reader};
use crate::limits::LEAVES_PER_GROUP;

const LEAF: u8 = 1;
const PARENT: u8 = 2;
const MALFORMED: Refused = Refused::BadGroupInfo("its ratchet tree is malformed");

/// The nodes of a tree, in array order, as their encodings.
pub(super) struct Nodes {
    bytes: Vec<u8>,
    spans: Vec<Option<Range<usize>>>,
}

impl Nodes {
    /// Takes a tree apart. A tree of more than [`LEAVES_PER_GROUP`] leaf slots, an empty one and one that ends with a blank
    /// node are refused.
    pub(super) fn of(tree: &RatchetTreeIn) -> Result<Self, Refused> {
        let encoded = tree.tls_serialize_detached().map_err(|_| MALFORMED)?;
        let bytes = Reader::new(&encoded).vector()?.to_vec();
        let mut full = tree.nodes();
        let mut spans = Vec::new();
        let mut position = 0;
        while let Some(presence) = bytes.get(position) {
            position += 1;
            if *presence == 0 {
                spans.push(None);
                continue;
            }
            let end = position + full.next().ok_or(MALFORMED)?.tls_serialized_len();
            spans.push(Some(position..end));
            position = end;
        }
        if position != bytes.len() || spans.len() >= 2 * LEAVES_PER_GROUP || !matches!(spans.last(), Some(Some(_))) {
            return Err(MALFORMED);
        }
        Ok(Self { bytes, spans })
    }

    /// Slots in the array, blank ones included.
    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The encryption keys of all nodes that are not blank.
    pub(super) fn encryption_keys(&self) -> impl Iterator<Item = Result<&[u8], Refused>> {
        self.spans.iter().flatten().map(|span| {
            let mut reader = Reader::new(&self.bytes[span.clone()]);
            let _node_type = reader.u8()?;
            reader.vector()
        })
    }

    /// The hash of the tree, of which the array holds all but the blank end.
    pub(super) fn root_hash(&self) -> Result<[u8; 32], Refused> {
        self.subtree_hash(0, self.spans.len().div_ceil(2).next_power_of_two())
    }

    /// The hash of the subtree over `leaves` (a power of two) leaf slots from `first` on. Its root stands at
    /// `2 * first + leaves - 1` of the array (RFC 9420, appendix C).
    fn subtree_hash(&self, first: usize, leaves: usize) -> Result<[u8; 32], Refused> {
        if leaves == 1 {
            let index = u32::try_from(first).map_err(|_| MALFORMED)?;
            let hash = Sha256::new().chain_update([LEAF]).chain_update(index.to_be_bytes());
            return Ok(self.hash_node(hash, 2 * first, LEAF)?.finalize().into());
        }
        let left = self.subtree_hash(first, leaves / 2)?;
        let right = self.subtree_hash(first + leaves / 2, leaves / 2)?;
        let hash = self.hash_node(Sha256::new().chain_update([PARENT]), 2 * first + leaves - 1, PARENT)?;
        Ok(hash.chain_update([32]).chain_update(left).chain_update([32]).chain_update(right).finalize().into())
    }

    /// Adds `optional<LeafNode>` or `optional<ParentNode>`: the node without its type.
    fn hash_node(&self, hash: Sha256, index: usize, node_type: u8) -> Result<Sha256, Refused> {
        let Some(Some(span)) = self.spans.get(index) else { return Ok(hash.chain_update([0])) };
        match self.bytes[span.clone()].split_first() {
            Some((found, node)) if *found == node_type => Ok(hash.chain_update([1]).chain_update(node)),
            _ => Err(MALFORMED),
        }
    }
}
