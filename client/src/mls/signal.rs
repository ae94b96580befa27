//! Signals: sealed under a key that the epoch's exporter gives, so that none of them touches the ratchets of messages
//! (docs/protocol/mls.md, Signals).

use openmls_traits::{crypto::OpenMlsCrypto as _, types::AeadType};
use prost::Message as _;
use sovereign_proto::{
    signal::{self, KIND_MAX, NONCE_LENGTH, PAYLOAD_MAX},
    signed,
    v1::{self, signal_content::Kind},
};
use zeroize::Zeroizing;

use super::{DeviceRef, Group, Leaf, Mls, MlsError, invalid};
use crate::{device_key, entropy};

/// What opens and seals the signals of one epoch.
pub(crate) struct SignalEpoch {
    pub(crate) epoch: u64,
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) leaves: Vec<Leaf>,
}

/// What a signal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ephemeral {
    Typing { active: bool },
    Custom { kind: String, payload: Vec<u8> },
}

/// A signal that was opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OpenedSignal {
    /// Who it says it is from: proven where it is of an application's own kind, else only that a member says so.
    pub(crate) from: DeviceRef,
    pub(crate) sent_at_ms: u64,
    pub(crate) counter: u64,
    pub(crate) what: Ephemeral,
}

impl Mls {
    /// The key of the group's current epoch, with the leaves that it is shared by.
    pub(crate) fn signal_epoch(&self, group: &Group) -> Result<SignalEpoch, MlsError> {
        let key = group.0.export_secret(&self.crypto, signal::KEY_LABEL, &[], signal::KEY_LENGTH).map_err(invalid)?;
        Ok(SignalEpoch { epoch: group.epoch(), key: key.into(), leaves: group.leaves() })
    }

    /// Seals what this device says.
    pub(crate) fn seal_signal(
        &self,
        id: &[u8; 32],
        epoch: &SignalEpoch,
        what: Ephemeral,
        sent_at_ms: u64,
        counter: u64,
    ) -> Result<Vec<u8>, MlsError> {
        let own = epoch.leaves.iter().find(|leaf| leaf.of == self.me).ok_or(MlsError::NoGroup)?;
        let (leaf, number) = (own.index, epoch.epoch);
        let kind = match what {
            Ephemeral::Typing { active } => Kind::Typing(v1::Typing { active }),
            Ephemeral::Custom { kind, payload } => {
                let signed =
                    signed::Signal { group_id: id, epoch: number, leaf, sent_at_ms, counter, kind: &kind, payload: &payload };
                let signature = self.key.sign(&signed.to_bytes()).to_vec().into();
                Kind::Custom(v1::Custom { kind, payload: payload.into(), signature })
            }
        };
        let content = v1::SignalContent { leaf, epoch: number, sent_at_ms, counter, kind: Some(kind), ..Default::default() };
        let nonce: [u8; NONCE_LENGTH] = entropy::random();
        let associated_data = signal::associated_data(id, number);
        let sealed = self
            .crypto
            .aead_encrypt(AeadType::ChaCha20Poly1305, &epoch.key, &signal::encode(content), &nonce, &associated_data)
            .map_err(invalid)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what a member of the epoch sealed. `None`: it is nothing that this version takes.
    pub(crate) fn open_signal(&self, id: &[u8; 32], epoch: &SignalEpoch, ciphertext: &[u8]) -> Option<OpenedSignal> {
        let (nonce, sealed) = ciphertext.split_at_checked(NONCE_LENGTH)?;
        let associated_data = signal::associated_data(id, epoch.epoch);
        let opened = self.crypto.aead_decrypt(AeadType::ChaCha20Poly1305, &epoch.key, sealed, nonce, &associated_data);
        let content = v1::SignalContent::decode(opened.ok()?.as_slice()).ok()?;
        let leaf = epoch.leaves.iter().find(|leaf| leaf.index == content.leaf)?;
        if content.epoch != epoch.epoch {
            return None;
        }
        let what = match content.kind? {
            Kind::Typing(v1::Typing { active }) => Ephemeral::Typing { active },
            Kind::Custom(v1::Custom { kind, payload, signature }) => {
                let signed = signed::Signal {
                    group_id: id,
                    epoch: content.epoch,
                    leaf: content.leaf,
                    sent_at_ms: content.sent_at_ms,
                    counter: content.counter,
                    kind: &kind,
                    payload: &payload,
                };
                let fits = (1..=KIND_MAX).contains(&kind.len()) && payload.len() <= PAYLOAD_MAX;
                if !fits || !device_key::verify(&leaf.key, &signed.to_bytes(), &signature) {
                    return None;
                }
                Ephemeral::Custom { kind, payload: payload.to_vec() }
            }
        };
        Some(OpenedSignal { from: leaf.of, sent_at_ms: content.sent_at_ms, counter: content.counter, what })
    }
}
