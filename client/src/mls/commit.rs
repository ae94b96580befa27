//! Commits: staged, merged and spoken in ahead of their acceptance, on a copy that is adopted only when the server has
//! accepted the very bundle (RFC 9420, section 14: a client never merges its own commit before).

use openmls::prelude::{KeyPackage, LeafNodeIndex, LeafNodeParameters, OpenMlsProvider as _};
use sha2::{Digest as _, Sha256};
use sovereign_proto::mls::Roles;

use super::{
    Mls, MlsError, config,
    group::{Group, bytes},
    invalid,
};
use crate::vault::{Diff, Tx};

/// What a commit shall change. Empty: only the own path.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) adds: Vec<KeyPackage>,
    pub(crate) removes: Vec<u32>,
    pub(crate) roles: Option<Roles>,
}

/// A commit bundle, and the state behind it.
pub(crate) struct Staged {
    pub(crate) commit: Vec<u8>,
    /// SHA-256 of `commit`: how the log names it.
    pub(crate) commit_hash: [u8; 32],
    /// Empty when nobody is added.
    pub(crate) welcome: Vec<u8>,
    pub(crate) group_info: Vec<u8>,
    /// The contents, encrypted in the new epoch, in order.
    pub(crate) messages: Vec<Vec<u8>>,
    /// The epoch that the commit ends.
    pub(crate) from_epoch: u64,
    /// The new epoch's state, its sender ratchet behind the messages.
    pub(crate) diff: Diff,
}

impl Mls {
    /// Stages `change` in the group's current epoch and encrypts `contents` in the epoch behind it. Nothing of it is in
    /// the rows: `diff` is.
    pub(crate) fn stage(&self, tx: &Tx<'_>, id: &[u8; 32], change: Change, contents: &[Vec<u8>]) -> Result<Staged, MlsError> {
        let provider = self.provider(tx);
        let mut group = Group::load(&provider, id)?;
        let from_epoch = group.epoch();
        let mut builder = group
            .0
            .commit_builder()
            .consume_proposal_store(false)
            .force_self_update(true)
            .propose_adds(change.adds)
            .propose_removals(change.removes.into_iter().map(LeafNodeIndex::new));
        if let Some(roles) = change.roles {
            builder = builder.propose_group_context_extensions(config::context(&roles)?).map_err(invalid)?;
        }
        let bundle = builder
            .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(config::capabilities()).build())
            .load_psks(&provider.store)
            .map_err(invalid)?
            .build(provider.rand(), provider.crypto(), &*self.key, |_| true)
            .map_err(invalid)?
            .stage_commit(&provider)
            .map_err(invalid)?;
        let (commit, welcome, group_info) = bundle.into_messages();
        group.0.merge_pending_commit(&provider).map_err(invalid)?;
        let messages = contents.iter().map(|content| self.encrypt(&provider, &mut group, content)).collect::<Result<_, _>>()?;
        let commit = bytes(&commit)?;
        Ok(Staged {
            commit_hash: Sha256::digest(&commit).into(),
            commit,
            welcome: welcome.as_ref().map(bytes).transpose()?.unwrap_or_default(),
            group_info: bytes(&group_info.ok_or_else(|| invalid("openmls made no GroupInfo"))?)?,
            messages,
            from_epoch,
            diff: provider.store.into_diff(),
        })
    }
}
