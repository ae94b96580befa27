//! The MLS of devices that only measure: real key packages and real commits, whose secrets are forgotten at once, since
//! nothing is ever decrypted.

use openmls::{
    group::PublicGroup,
    messages::ConfirmationTag,
    prelude::{
        KeyPackage, MlsGroup, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, OpenMlsProvider as _, ProposalStore,
        tls_codec::{Deserialize as _, Serialize as _, Size as _, VLByteSlice},
    },
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use sovereign_proto::mls::{Policy, Roles, state_tag};

use super::{DeviceRef, Mls, MlsError, config, group::bytes, invalid, key_package::read};

/// A group at epoch 0 that has its first member alone.
pub(crate) struct Founding {
    provider: OpenMlsRustCrypto,
    group: MlsGroup,
}

/// What `SubmitCommit` takes.
pub(crate) struct Bundle {
    pub(crate) commit: Vec<u8>,
    pub(crate) welcome: Vec<u8>,
    pub(crate) group_info: Vec<u8>,
}

impl Mls {
    /// A key package as it is published; nobody can open what is sent to it.
    pub(crate) fn lean_key_package(&self, now_ms: u64) -> Result<Vec<u8>, MlsError> {
        let bundle = KeyPackage::builder()
            .key_package_lifetime(config::lifetime(now_ms))
            .leaf_node_capabilities(config::capabilities())
            .build(config::SUITE, &OpenMlsRustCrypto::default(), &*self.key, self.credential())
            .map_err(invalid)?;
        bytes(&MlsMessageOut::from(bundle.into_key_package()))
    }

    /// A new group of this device, and its `GroupInfo`.
    pub(crate) fn lean_found(&self, id: &[u8], now_ms: u64) -> Result<(Founding, Vec<u8>), MlsError> {
        let provider = OpenMlsRustCrypto::default();
        let roles = Roles { policy: Policy::Equal, administrators: Vec::new() };
        let group = config::creation(id, &roles, now_ms)?.build(&provider, &*self.key, self.credential()).map_err(invalid)?;
        let info = group.export_group_info(provider.crypto(), &*self.key, true).map_err(invalid)?;
        Ok((Founding { provider, group }, info.to_bytes().map_err(invalid)?))
    }

    /// The commit that adds the owners of these key packages; it leads to epoch 1.
    pub(crate) fn lean_add<'a>(
        &self,
        founding: Founding,
        key_packages: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Bundle, MlsError> {
        let Founding { provider, mut group } = founding;
        let adds = key_packages.map(read).collect::<Result<Vec<_>, _>>()?;
        let bundle = group
            .commit_builder()
            .force_self_update(true)
            .propose_adds(adds)
            .load_psks(provider.storage())
            .map_err(invalid)?
            .create_group_info(true)
            .use_ratchet_tree_extension(true)
            .build(provider.rand(), provider.crypto(), &*self.key, |_| true)
            .map_err(invalid)?
            .stage_commit(&provider)
            .map_err(invalid)?;
        let (commit, welcome, group_info) = bundle.into_messages();
        Ok(Bundle {
            commit: bytes(&commit)?,
            welcome: welcome.as_ref().map(bytes).transpose()?.unwrap_or_default(),
            group_info: bytes(&group_info.ok_or_else(|| invalid("openmls made no GroupInfo"))?)?,
        })
    }

    /// Somebody's `GroupInfo` as this device brings it to a restored server: the same public state, signed by this
    /// device's leaf; its epoch and its tag. All that is signed is public, so that it takes no secret of the group.
    pub(crate) fn lean_state(&self, group_info: &[u8]) -> Result<(Vec<u8>, u64, [u8; 32]), MlsError> {
        /// `MLSMessage`'s version and wire format (RFC 9420, section 6).
        const HEADER: usize = 4;
        let MlsMessageBodyIn::GroupInfo(info) = MlsMessageIn::tls_deserialize_exact(group_info).map_err(invalid)?.extract()
        else {
            return Err(invalid("it is no GroupInfo"));
        };
        let tree = info.extensions().ratchet_tree().ok_or_else(|| invalid("its tree is lacking"))?.ratchet_tree().clone();
        let behind_extensions = HEADER + info.group_context().tls_serialized_len() + info.extensions().tls_serialized_len();
        let provider = OpenMlsRustCrypto::default();
        let (group, info) = PublicGroup::from_external(provider.crypto(), provider.storage(), tree, info, ProposalStore::new())
            .map_err(invalid)?;
        let own = group.members().find(|member| member.signature_key == self.key.public());
        let own = own.ok_or_else(|| invalid("this device is no member"))?.index;
        let context = info.group_context().tls_serialize_detached().map_err(invalid)?;
        let mut rest = group_info.get(behind_extensions..).ok_or_else(|| invalid("it is cut off"))?;
        let tag = ConfirmationTag::tls_deserialize(&mut rest).and_then(|tag| tag.tls_serialize_detached()).map_err(invalid)?;
        // What is signed ends with the signer (section 12.4.3.1), and is signed behind a label (section 5.1.2).
        let mut signed = group_info[HEADER..behind_extensions + tag.len()].to_vec();
        signed.extend_from_slice(&own.u32().to_be_bytes());
        let framed = |bytes: &[u8]| VLByteSlice(bytes).tls_serialize_detached().map_err(invalid);
        let signature = self.key.sign(&[framed(b"MLS 1.0 GroupInfoTBS")?, framed(&signed)?].concat());
        let bytes = [&group_info[..HEADER], &signed, &framed(&signature)?].concat();
        Ok((bytes, info.group_context().epoch().as_u64(), state_tag(&context, &tag)))
    }

    /// For a device that has these ids.
    pub(crate) fn lean_ref(account: [u8; 16], device: [u8; 16]) -> DeviceRef {
        DeviceRef { account, device }
    }
}
