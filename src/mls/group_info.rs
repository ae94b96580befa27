//! A `GroupInfo` (RFC 9420, section 12.4.3) that carries its ratchet tree: the public state of a group in one message.

use openmls::{
    group::GroupContext,
    messages::{ConfirmationTag, group_info::VerifiableGroupInfo},
    prelude::{
        Extension, LeafNodeIndex, MlsMessageBodyIn, OpenMlsSignaturePublicKey, RatchetTreeIn, Verifiable as _,
        tls_codec::{Deserialize as _, Size as _},
    },
};

use super::{
    Refused, SUITE, crypto,
    wire::{self, GROUP_INFO},
};
use crate::limits::GROUP_INFO_EXTENSIONS;

/// A decoded `GroupInfo` with its ratchet tree and external key. Its signature is not verified.
pub(super) struct GroupInfo {
    info: VerifiableGroupInfo,
    confirmation_tag: ConfirmationTag,
    signer: LeafNodeIndex,
}

impl GroupInfo {
    /// Decodes an `MLSMessage` of wire format `mls_group_info` that has the `ratchet_tree` and `external_pub`
    /// extensions and the server's suite.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let MlsMessageBodyIn::GroupInfo(info) = wire::decode(bytes, GROUP_INFO)? else {
            return Err(Refused::Malformed);
        };
        if info.ciphersuite() != SUITE {
            return Err(Refused::WrongSuite);
        }
        if info.extensions().ratchet_tree().is_none() {
            return Err(Refused::BadGroupInfo("it lacks the ratchet_tree extension"));
        }
        if info.extensions().external_pub().is_none() {
            return Err(Refused::BadGroupInfo("it lacks the external_pub extension"));
        }
        let others = info.extensions().iter().filter(|extension| !matches!(extension, Extension::RatchetTree(_)));
        if others.map(Extension::tls_serialized_len).sum::<usize>() > GROUP_INFO_EXTENSIONS {
            return Err(Refused::BadGroupInfo("its extensions are too large"));
        }
        let behind_extensions =
            GROUP_INFO.len() + info.group_context().tls_serialized_len() + info.extensions().tls_serialized_len();
        let mut rest = bytes.get(behind_extensions..).ok_or(Refused::Malformed)?;
        let confirmation_tag = ConfirmationTag::tls_deserialize(&mut rest).map_err(|_| Refused::Malformed)?;
        let signer = LeafNodeIndex::tls_deserialize(&mut rest).map_err(|_| Refused::Malformed)?;
        Ok(Self { info, confirmation_tag, signer })
    }

    pub(super) fn context(&self) -> &GroupContext {
        self.info.group_context()
    }

    pub(super) fn tree(&self) -> &RatchetTreeIn {
        self.info.extensions().ratchet_tree().expect("decode() refuses a GroupInfo without a tree").ratchet_tree()
    }

    pub(super) fn confirmation_tag(&self) -> &ConfirmationTag {
        &self.confirmation_tag
    }

    pub(super) fn signer(&self) -> LeafNodeIndex {
        self.signer
    }

    /// Whether `signature_key` signed it.
    pub(super) fn is_signed_by(&self, signature_key: &[u8]) -> bool {
        OpenMlsSignaturePublicKey::new(signature_key.into(), SUITE.signature_algorithm())
            .is_ok_and(|key| self.info.verify_no_out(crypto(), &key).is_ok())
    }

    pub(super) fn verifiable(&self) -> &VerifiableGroupInfo {
        &self.info
    }
}
