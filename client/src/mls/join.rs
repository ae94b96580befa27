//! Coming into a group: by a Welcome, or by an external commit.

use openmls::prelude::{
    LeafNodeParameters, MlsGroup, MlsMessageBodyIn, OpenMlsProvider as _, ProcessedWelcome, StagedWelcome, WelcomeError,
};
use sha2::{Digest as _, Sha256};

use super::{
    Mls, MlsError, Staged, config,
    group::{Group, bytes},
    invalid, parse,
};
use crate::vault::Tx;

impl Mls {
    /// Joins by a Welcome; a state that the group had here before is replaced.
    pub(crate) fn join(&self, tx: &Tx<'_>, id: &[u8; 32], welcome: &[u8]) -> Result<Group, MlsError> {
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else { return Err(MlsError::Malformed) };
        let provider = self.provider(tx);
        let processed =
            ProcessedWelcome::new_from_welcome(&provider, &config::group(), welcome).map_err(|error| match error {
                WelcomeError::NoMatchingKeyPackage => MlsError::UnknownKeyPackage,
                other => invalid(other),
            })?;
        if processed.unverified_group_info().group_id().as_slice() != id {
            return Err(invalid("the Welcome leads to another group"));
        }
        // Lifetimes bind when a package is added; who was added long ago is still a member.
        let group = openmls::prelude::JoinBuilder::new(&provider, processed)
            .skip_lifetime_validation()
            .replace_old_group()
            .build()
            .and_then(|staged: StagedWelcome| staged.into_group(&provider))
            .map_err(invalid)?;
        provider.store.flush()?;
        Ok(Group(group))
    }

    /// Stages an external commit into the group of this `GroupInfo`, which removes an older leaf of this device, and
    /// encrypts `contents` in the epoch behind it.
    pub(crate) fn stage_external(
        &self,
        tx: &Tx<'_>,
        id: &[u8; 32],
        group_info: &[u8],
        contents: &[Vec<u8>],
    ) -> Result<Staged, MlsError> {
        let MlsMessageBodyIn::GroupInfo(info) = parse(group_info)?.extract() else { return Err(MlsError::Malformed) };
        if info.group_id().as_slice() != id {
            return Err(invalid("the GroupInfo is of another group"));
        }
        let from_epoch = info.epoch().as_u64();
        // In the overlay only: whatever was here stays in the rows until the commit is accepted.
        let provider = self.provider(tx);
        if let Ok(mut old) = Group::load(&provider, id) {
            old.0.delete(&provider.store)?;
        }
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(config::group())
            .skip_lifetime_validation()
            .build_group(&provider, info, self.credential())
            .map_err(invalid)?
            .leaf_node_parameters(LeafNodeParameters::builder().with_capabilities(config::capabilities()).build())
            .load_psks(&provider.store)
            .map_err(invalid)?
            .create_group_info(true)
            .use_ratchet_tree_extension(true)
            .build(provider.rand(), provider.crypto(), &*self.key, |_| true)
            .map_err(invalid)?
            .finalize(&provider)
            .map_err(invalid)?;
        let mut group = Group(group);
        let messages = contents.iter().map(|content| self.encrypt(&provider, &mut group, content)).collect::<Result<_, _>>()?;
        let (commit, _, group_info) = bundle.into_messages();
        let commit = bytes(&commit)?;
        Ok(Staged {
            commit_hash: Sha256::digest(&commit).into(),
            commit,
            welcome: Vec::new(),
            group_info: bytes(&group_info.ok_or_else(|| invalid("openmls made no GroupInfo"))?)?,
            messages,
            from_epoch,
            diff: provider.store.into_diff(),
        })
    }
}
