//! What a server that holds no group secret may check of MLS (RFC 9420): key packages, new groups, proposals, commits.
//!
//! Pure functions over bytes: no store, no I/O. This is the one door to openmls, and only to its public half: everything
//! here works on [`PublicState`], which is rebuilt from a group's current `GroupInfo` and its pending proposals, so
//! those bytes are all that has to be kept.
//!
//! What cannot be checked without secrets: the membership tag and the confirmation tag of a commit, the content of a
//! Welcome, the ciphertexts of an update path. Members notice those, and confirm or reject the epoch.

mod commit;
mod context;
mod group_info;
mod handshake;
mod key_package;
mod leaf;
mod measure;
mod new_group;
mod policy;
mod proposal;
mod refused;
mod revival;
mod revive;
mod roster;
mod shelf;
mod state;
mod tree;
mod welcome;
mod wire;

#[cfg(test)]
mod tests;

pub use commit::{AddedLeaf, CommitChecked, CommitInput, Next, check_commit};
pub use handshake::{HandshakeHeader, HandshakeKind, HandshakeSender, MessageHeader, inspect_handshake, inspect_message};
pub use key_package::{KeyPackageFacts, check_key_package};
pub use new_group::check_new_group;
pub use proposal::{Pending, ProposalChecked, check_proposal};
pub use refused::Refused;
pub use revival::{check_revival, state_tag};
pub use state::{Member, PublicState};

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
};

use openmls::prelude::Ciphersuite;
use openmls_rust_crypto::RustCrypto;

use crate::ids::Leaf;

/// The one cipher suite that the server takes.
const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Verification and hashing; seeded once, though nothing here draws randomness.
fn crypto() -> &'static RustCrypto {
    static CRYPTO: LazyLock<RustCrypto> = LazyLock::new(RustCrypto::default);
    &CRYPTO
}

/// Runs a check on a peer's bytes. A panic below is the peer's doing and refuses them; nothing is left half changed,
/// because checks change nothing.
fn guarded<T>(check: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or(Err(Refused::Malformed))
}
