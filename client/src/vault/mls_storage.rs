//! openmls's storage over the vault: an overlay of what was written, above the rows of one transaction.
//!
//! [`MlsStore::flush`] moves the overlay into the rows. Without it nothing happened: that is how a commit is staged,
//! merged and spoken in ahead of its acceptance, and how the result is kept aside as a [`Diff`] until then.

use std::{cell::RefCell, collections::BTreeMap};

use openmls_traits::storage::{CURRENT_VERSION as V, StorageProvider, traits};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{Blob, Space, Tx, VaultError};

/// What an overlay holds: `None` stands for what was deleted.
type Changes = BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>;

/// openmls's entities as one transaction sees them.
pub(crate) struct MlsStore<'a> {
    tx: &'a Tx<'a>,
    overlay: RefCell<Changes>,
}

/// What an overlay changed, to be applied later.
#[derive(Serialize, Deserialize)]
pub(crate) struct Diff(Vec<(Blob, Option<Blob>)>);

impl<'a> MlsStore<'a> {
    /// Over the rows as they are now.
    pub(crate) fn new(tx: &'a Tx<'a>) -> Self {
        Self { tx, overlay: RefCell::default() }
    }

    /// Moves what was written into the rows.
    pub(crate) fn flush(self) -> Result<(), VaultError> {
        for (key, value) in self.overlay.into_inner() {
            match value {
                Some(value) => self.tx.put_bytes(Space::Mls, &key, &value)?,
                None => self.tx.remove(Space::Mls, &key)?,
            }
        }
        Ok(())
    }

    /// What was written, kept aside instead.
    pub(crate) fn into_diff(self) -> Diff {
        let changes = self.overlay.into_inner();
        Diff(changes.into_iter().map(|(key, value)| (Blob(key), value.map(|value| Blob(value.to_vec())))).collect())
    }

    fn value(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        match self.overlay.borrow().get(key) {
            Some(value) => Ok(value.clone()),
            None => self.tx.get_bytes(Space::Mls, key),
        }
    }

    fn set(&self, key: Vec<u8>, value: Option<Zeroizing<Vec<u8>>>) {
        self.overlay.borrow_mut().insert(key, value);
    }

    fn write<E: Serialize + ?Sized>(&self, label: &str, key: &impl Serialize, entity: &E) -> Result<(), VaultError> {
        let value = Zeroizing::new(json(entity)?);
        self.set(name(label, key)?, Some(value));
        Ok(())
    }

    fn read<E: DeserializeOwned>(&self, label: &str, key: &impl Serialize) -> Result<Option<E>, VaultError> {
        self.value(&name(label, key)?)?.map(|value| parse(&value)).transpose()
    }

    fn delete(&self, label: &str, key: &impl Serialize) -> Result<(), VaultError> {
        self.set(name(label, key)?, None);
        Ok(())
    }

    fn append(&self, label: &str, key: &impl Serialize, entity: &impl Serialize) -> Result<(), VaultError> {
        let mut list: Vec<Vec<u8>> = self.read(label, key)?.unwrap_or_default();
        list.push(json(entity)?);
        self.write(label, key, &list)
    }

    fn list<E: DeserializeOwned>(&self, label: &str, key: &impl Serialize) -> Result<Vec<E>, VaultError> {
        let list: Vec<Vec<u8>> = self.read(label, key)?.unwrap_or_default();
        list.iter().map(|item| parse(item)).collect()
    }
}

impl Diff {
    /// Applies the changes to the rows.
    pub(crate) fn apply(&self, tx: &Tx<'_>) -> Result<(), VaultError> {
        self.0.iter().try_for_each(|(key, value)| match value {
            Some(value) => tx.put_bytes(Space::Mls, &key.0, &value.0),
            None => tx.remove(Space::Mls, &key.0),
        })
    }
}

fn name(label: &str, key: &impl Serialize) -> Result<Vec<u8>, VaultError> {
    Ok([label.as_bytes(), b"\0", &json(key)?].concat())
}

fn json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, VaultError> {
    serde_json::to_vec(value).map_err(|_| VaultError::Form("an MLS entity does not serialise".to_owned()))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, VaultError> {
    serde_json::from_slice(bytes).map_err(|_| VaultError::Form("an MLS entity does not parse".to_owned()))
}

/// One entity under one key. The order of the type parameters is openmls's.
macro_rules! entity {
    ($label:literal, write $write:ident<$($w:ident),*>, read $read:ident<$($r:ident),*>, delete $delete:ident, key $key:ident, value $value:ident) => {
        fn $write<$($w: traits::$w<V>),*>(&self, key: &$key, entity: &$value) -> Result<(), VaultError> {
            self.write($label, key, entity)
        }
        fn $read<$($r: traits::$r<V>),*>(&self, key: &$key) -> Result<Option<$value>, VaultError> {
            self.read($label, key)
        }
        fn $delete<$key: traits::$key<V>>(&self, key: &$key) -> Result<(), VaultError> {
            self.delete($label, key)
        }
    };
}

impl StorageProvider<V> for MlsStore<'_> {
    type Error = VaultError;

    entity!("config", write write_mls_join_config<GroupId, MlsGroupJoinConfig>,
        read mls_group_join_config<GroupId, MlsGroupJoinConfig>, delete delete_group_config, key GroupId, value MlsGroupJoinConfig);
    entity!("tree", write write_tree<GroupId, TreeSync>, read tree<GroupId, TreeSync>, delete delete_tree, key GroupId, value TreeSync);
    entity!("interim hash", write write_interim_transcript_hash<GroupId, InterimTranscriptHash>,
        read interim_transcript_hash<GroupId, InterimTranscriptHash>, delete delete_interim_transcript_hash, key GroupId, value InterimTranscriptHash);
    entity!("context", write write_context<GroupId, GroupContext>, read group_context<GroupId, GroupContext>,
        delete delete_context, key GroupId, value GroupContext);
    entity!("confirmation", write write_confirmation_tag<GroupId, ConfirmationTag>,
        read confirmation_tag<GroupId, ConfirmationTag>, delete delete_confirmation_tag, key GroupId, value ConfirmationTag);
    entity!("state", write write_group_state<GroupState, GroupId>, read group_state<GroupState, GroupId>,
        delete delete_group_state, key GroupId, value GroupState);
    entity!("message secrets", write write_message_secrets<GroupId, MessageSecrets>,
        read message_secrets<GroupId, MessageSecrets>, delete delete_message_secrets, key GroupId, value MessageSecrets);
    entity!("resumption", write write_resumption_psk_store<GroupId, ResumptionPskStore>,
        read resumption_psk_store<GroupId, ResumptionPskStore>, delete delete_all_resumption_psk_secrets, key GroupId, value ResumptionPskStore);
    entity!("own leaf index", write write_own_leaf_index<GroupId, LeafNodeIndex>,
        read own_leaf_index<GroupId, LeafNodeIndex>, delete delete_own_leaf_index, key GroupId, value LeafNodeIndex);
    entity!("epoch secrets", write write_group_epoch_secrets<GroupId, GroupEpochSecrets>,
        read group_epoch_secrets<GroupId, GroupEpochSecrets>, delete delete_group_epoch_secrets, key GroupId, value GroupEpochSecrets);
    entity!("signature key", write write_signature_key_pair<SignaturePublicKey, SignatureKeyPair>,
        read signature_key_pair<SignaturePublicKey, SignatureKeyPair>, delete delete_signature_key_pair, key SignaturePublicKey, value SignatureKeyPair);
    entity!("encryption key", write write_encryption_key_pair<EncryptionKey, HpkeKeyPair>,
        read encryption_key_pair<HpkeKeyPair, EncryptionKey>, delete delete_encryption_key_pair, key EncryptionKey, value HpkeKeyPair);
    entity!("key package", write write_key_package<HashReference, KeyPackage>,
        read key_package<HashReference, KeyPackage>, delete delete_key_package, key HashReference, value KeyPackage);
    entity!("psk", write write_psk<PskId, PskBundle>, read psk<PskBundle, PskId>, delete delete_psk, key PskId, value PskBundle);

    fn append_own_leaf_node<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, group: &G, leaf: &L) -> Result<(), VaultError> {
        self.append("own leaves", group, leaf)
    }

    fn own_leaf_nodes<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, group: &G) -> Result<Vec<L>, VaultError> {
        self.list("own leaves", group)
    }

    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), VaultError> {
        self.delete("own leaves", group)
    }

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, Q: traits::QueuedProposal<V>>(
        &self,
        group: &G,
        reference: &R,
        proposal: &Q,
    ) -> Result<(), VaultError> {
        self.write("proposal", &(group, reference), proposal)?;
        self.append("proposals", group, reference)
    }

    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, group: &G) -> Result<Vec<R>, VaultError> {
        self.list("proposals", group)
    }

    fn queued_proposals<G: traits::GroupId<V>, R: traits::ProposalRef<V>, Q: traits::QueuedProposal<V>>(
        &self,
        group: &G,
    ) -> Result<Vec<(R, Q)>, VaultError> {
        let references: Vec<R> = self.list("proposals", group)?;
        let missing = || VaultError::Form("a queued proposal is missing".to_owned());
        references
            .into_iter()
            .map(|reference| {
                let proposal = self.read("proposal", &(group, &reference))?.ok_or_else(missing)?;
                Ok((reference, proposal))
            })
            .collect()
    }

    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(
        &self,
        group: &G,
        reference: &R,
    ) -> Result<(), VaultError> {
        let removed = json(reference)?;
        let mut list: Vec<Vec<u8>> = self.read("proposals", group)?.unwrap_or_default();
        list.retain(|item| *item != removed);
        self.write("proposals", group, &list)?;
        self.delete("proposal", &(group, reference))
    }

    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, group: &G) -> Result<(), VaultError> {
        let references: Vec<R> = self.list("proposals", group)?;
        references.iter().try_for_each(|reference| self.delete("proposal", &(group, reference)))?;
        self.delete("proposals", group)
    }

    fn write_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, H: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf_index: u32,
        key_pairs: &[H],
    ) -> Result<(), VaultError> {
        self.write("epoch keys", &(group, epoch, leaf_index), key_pairs)
    }

    fn encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, H: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<Vec<H>, VaultError> {
        Ok(self.read("epoch keys", &(group, epoch, leaf_index))?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf_index: u32,
    ) -> Result<(), VaultError> {
        self.delete("epoch keys", &(group, epoch, leaf_index))
    }
}
