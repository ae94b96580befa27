//! What openmls asks for as the storage of a public group.

use std::fmt;

use openmls_traits::{
    public_storage::PublicStorageProvider,
    storage::{CURRENT_VERSION, traits},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A storage that forgets what it is given, because the server keeps messages and not openmls's own form of them, and
/// that reads back what it was made with.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) tree: Value,
    pub(super) context: Value,
    pub(super) interim_transcript_hash: Value,
    pub(super) confirmation_tag: Value,
}

/// A value that openmls no longer reads as it wrote it.
#[derive(Debug)]
pub(super) struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the library cannot read its own stored form")
    }
}

impl std::error::Error for Unreadable {}

fn read<T: DeserializeOwned>(value: &Value) -> Result<Option<T>, Unreadable> {
    T::deserialize(value).map(Some).map_err(|_| Unreadable)
}

impl PublicStorageProvider<CURRENT_VERSION> for Shelf {
    type PublicError = Unreadable;

    fn write_tree<G: traits::GroupId<CURRENT_VERSION>, T: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &G,
        _: &T,
    ) -> Result<(), Unreadable> {
        Ok(())
    }

    fn write_interim_transcript_hash<G: traits::GroupId<CURRENT_VERSION>, H: traits::InterimTranscriptHash<CURRENT_VERSION>>(
        &self,
        _: &G,
        _: &H,
    ) -> Result<(), Unreadable> {
        Ok(())
    }

    fn write_context<G: traits::GroupId<CURRENT_VERSION>, C: traits::GroupContext<CURRENT_VERSION>>(
        &self,
        _: &G,
        _: &C,
    ) -> Result<(), Unreadable> {
        Ok(())
    }

    fn write_confirmation_tag<G: traits::GroupId<CURRENT_VERSION>, C: traits::ConfirmationTag<CURRENT_VERSION>>(
        &self,
        _: &G,
        _: &C,
    ) -> Result<(), Unreadable> {
        Ok(())
    }

    fn queue_proposal<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        Q: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
        _: &R,
        _: &Q,
    ) -> Result<(), Unreadable> {
        Ok(())
    }

    fn queued_proposals<
        G: traits::GroupId<CURRENT_VERSION>,
        R: traits::ProposalRef<CURRENT_VERSION>,
        Q: traits::QueuedProposal<CURRENT_VERSION>,
    >(
        &self,
        _: &G,
    ) -> Result<Vec<(R, Q)>, Unreadable> {
        Ok(Vec::new())
    }

    fn tree<G: traits::GroupId<CURRENT_VERSION>, T: traits::TreeSync<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<T>, Unreadable> {
        read(&self.tree)
    }

    fn group_context<G: traits::GroupId<CURRENT_VERSION>, C: traits::GroupContext<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<C>, Unreadable> {
        read(&self.context)
    }

    fn interim_transcript_hash<G: traits::GroupId<CURRENT_VERSION>, H: traits::InterimTranscriptHash<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<H>, Unreadable> {
        read(&self.interim_transcript_hash)
    }

    fn confirmation_tag<G: traits::GroupId<CURRENT_VERSION>, C: traits::ConfirmationTag<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<Option<C>, Unreadable> {
        read(&self.confirmation_tag)
    }

    fn delete_tree<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    fn delete_confirmation_tag<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    fn delete_context<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    fn delete_interim_transcript_hash<G: traits::GroupId<CURRENT_VERSION>>(&self, _: &G) -> Result<(), Unreadable> {
        Ok(())
    }

    fn remove_proposal<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
        _: &R,
    ) -> Result<(), Unreadable> {
        Ok(())
    }

    fn clear_proposal_queue<G: traits::GroupId<CURRENT_VERSION>, R: traits::ProposalRef<CURRENT_VERSION>>(
        &self,
        _: &G,
    ) -> Result<(), Unreadable> {
        Ok(())
    }
}
