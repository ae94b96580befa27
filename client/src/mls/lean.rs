//! The MLS of devices that only measure: real key packages and real commits, whose secrets are forgotten at once, since
//! nothing is ever decrypted.

use openmls::prelude::{KeyPackage, MlsGroup, MlsMessageOut, OpenMlsProvider as _};
use openmls_rust_crypto::OpenMlsRustCrypto;
use sovereign_proto::mls::{Policy, Roles};

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

    /// For a device that has these ids.
    pub(crate) fn lean_ref(account: [u8; 16], device: [u8; 16]) -> DeviceRef {
        DeviceRef { account, device }
    }
}
