//! Accounts of one device each, and the groups they are in.

use std::sync::Arc;

use bytes::Bytes;
use sovereign_proto::v1::{self, submit_commit_response::Outcome};

use super::{Identity, Line, LineError, Route};
use crate::{
    device_key::DeviceKey,
    entropy,
    identity::genesis,
    mls::{Mls, MlsError},
};

/// Accounts of one claim; the server takes no more.
const CLAIMED_AT_ONCE: usize = 64;

/// An account with its one device, in memory.
pub struct Device {
    username: String,
    account: [u8; 16],
    id: [u8; 16],
    identity: DeviceKey,
    key: Arc<DeviceKey>,
    mls: Mls,
}

impl Device {
    /// Fresh keys; no server knows of them.
    #[must_use]
    pub fn new(username: String) -> Self {
        let (account, id, key) = (entropy::random(), entropy::random(), Arc::new(DeviceKey::generate()));
        let mls = Mls::new(Arc::clone(&key), Mls::lean_ref(account, id));
        Self { username, account, id, identity: DeviceKey::generate(), key, mls }
    }

    /// Makes the account, and publishes so many key packages, one for each group that the device will be added to.
    pub async fn sign_up(&self, route: &Route, invite_code: &str, key_packages: usize, now_ms: u64) -> Result<Line, LineError> {
        let mut line = Line::open(route).await?;
        let request = v1::SignUpRequest {
            username: self.username.clone(),
            invite_code: invite_code.to_owned(),
            identity_key: Bytes::copy_from_slice(&self.identity.public()),
            manifest: Some(genesis(&self.identity, self.account, self.id, &self.key, now_ms)),
            password: String::new(),
            proof: None,
        };
        line.sign_up(self.identity(), request).await?;
        if key_packages > 0 {
            line.call(self.key_packages(key_packages, now_ms)?).await?;
        }
        Ok(line)
    }

    /// So many new key packages, as they are published.
    pub fn key_packages(&self, count: usize, now_ms: u64) -> Result<v1::PublishKeyPackagesRequest, LineError> {
        let made = (0..count).map(|_| Ok(self.mls.lean_key_package(now_ms)?.into()));
        let key_packages = made.collect::<Result<_, MlsError>>()?;
        Ok(v1::PublishKeyPackagesRequest { key_packages, last_resort: Bytes::new(), replace: false })
    }

    /// What to say of a group to a server that was restored: it stands where this `GroupInfo`, whoever has signed it, says.
    pub fn revival(&self, group_id: Bytes, group_info: &[u8]) -> Result<v1::ReviveGroupRequest, LineError> {
        let (group_info, epoch, tag) = self.mls.lean_state(group_info)?;
        Ok(v1::ReviveGroupRequest { group_id, epoch, tag: tag.to_vec().into(), group_info: group_info.into() })
    }

    /// Connects and authenticates.
    pub async fn sign_in(&self, route: &Route) -> Result<Line, LineError> {
        let mut line = Line::open(route).await?;
        line.sign_in(self.identity()).await?;
        Ok(line)
    }

    fn identity(&self) -> Identity<'_> {
        Identity { account_id: &self.account, device_id: &self.id, key: &self.key }
    }
}

/// Makes a group of `founder`, who is signed in on `line`, and these others, each of whom has a key package left. The
/// group is then at epoch 1.
pub async fn found(line: &mut Line, founder: &Device, others: &[Device], now_ms: u64) -> Result<Bytes, LineError> {
    let group_id = line.call(v1::ReserveGroupRequest {}).await?.group_id;
    let (founding, group_info) = founder.mls.lean_found(&group_id, now_ms)?;
    let group_info = group_info.into();
    line.call(v1::CreateGroupRequest { group_id: group_id.clone(), group_info, direct_key: Bytes::new() }).await?;
    let mut key_packages = Vec::with_capacity(others.len());
    for some in others.chunks(CLAIMED_AT_ONCE) {
        let request = v1::ClaimKeyPackagesRequest {
            group_id: group_id.clone(),
            account_ids: some.iter().map(|device| Bytes::copy_from_slice(&device.account)).collect(),
            claim_id: Bytes::copy_from_slice(&entropy::random::<16>()),
            device_ids: Vec::new(),
        };
        let claimed = line.call(request).await?.key_packages;
        key_packages.extend(claimed.into_iter().map(|claimed| claimed.key_package));
    }
    if key_packages.len() != others.len() {
        return Err(LineError::Unusable(format!("{} of {} devices have a key package", key_packages.len(), others.len())));
    }
    let bundle = founder.mls.lean_add(founding, key_packages.iter().map(|bytes| &bytes[..]))?;
    let request = v1::SubmitCommitRequest {
        group_id: group_id.clone(),
        commit: bundle.commit.into(),
        welcome: bundle.welcome.into(),
        group_info: bundle.group_info.into(),
        messages: Vec::new(),
    };
    match line.call(request).await?.outcome {
        Some(Outcome::Accepted(_)) => Ok(group_id),
        _ => Err(LineError::Unusable("somebody else has changed a group that nobody else knows".to_owned())),
    }
}

impl From<MlsError> for LineError {
    fn from(error: MlsError) -> Self {
        Self::Unusable(format!("MLS: {error}"))
    }
}
