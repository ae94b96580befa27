//! A pinned account, and the chain of manifests that this device has verified from version 1.

use serde::{Deserialize, Serialize};
use sovereign_proto::{manifest::Body, signed, v1};

use crate::device_key::verify;

/// What is known of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    pub(crate) account_id: [u8; 16],
    pub(crate) username: String,
    pub(crate) identity_key: [u8; 32],
    /// The newest verified version; 0: none yet.
    pub(crate) version: u64,
    /// The hash of that version's body.
    pub(crate) hash: [u8; 32],
    /// The devices of that version.
    pub(crate) devices: Vec<PinnedDevice>,
    /// Those that an earlier version listed and a later one struck.
    pub(crate) former: Vec<PinnedDevice>,
    /// The server names another identity key than the pinned one: nothing is sent to this account.
    pub(crate) changed: bool,
    /// The server was restored since, and may not have the newest versions again yet.
    #[serde(default)]
    pub(crate) restored: bool,
}

/// A device that the account vouches for, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PinnedDevice {
    pub(crate) device_id: [u8; 16],
    pub(crate) key: [u8; 32],
    pub(crate) signer: bool,
}

/// Why a manifest does not continue the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PinError {
    /// Not of the fixed layout, or of another account.
    Malformed,
    /// Not the version behind the newest one.
    OutOfOrder,
    /// Continues another chain than the pinned one.
    Diverging,
    /// Not signed by one who may.
    Forged,
}

impl Pin {
    /// An account seen for the first time.
    pub(crate) fn new(account_id: [u8; 16], username: String, identity_key: [u8; 32]) -> Self {
        Self {
            account_id,
            username,
            identity_key,
            version: 0,
            hash: [0; 32],
            devices: Vec::new(),
            former: Vec::new(),
            changed: false,
            restored: false,
        }
    }

    /// Takes the next manifest of the chain.
    pub(crate) fn extend(&mut self, manifest: &v1::Manifest) -> Result<(), PinError> {
        let body = Body::decode(&manifest.body).map_err(|_| PinError::Malformed)?;
        if body.account_id != self.account_id {
            return Err(PinError::Malformed);
        }
        if body.version != self.version + 1 {
            return Err(PinError::OutOfOrder);
        }
        if body.previous != self.hash {
            return Err(PinError::Diverging);
        }
        let signer = self.signer(&manifest.signer_device_id).ok_or(PinError::Forged)?;
        if !verify(&signer, &signed::manifest(&manifest.body), &manifest.signature) {
            return Err(PinError::Forged);
        }
        let devices: Vec<PinnedDevice> = body
            .devices
            .iter()
            .map(|device| PinnedDevice { device_id: device.device_id, key: device.device_key, signer: device.signer })
            .collect();
        let struck = std::mem::replace(&mut self.devices, devices).into_iter();
        self.former.extend(
            struck.filter(|old| !body.devices.iter().any(|new| new.device_id == old.device_id && new.device_key == old.key)),
        );
        self.version = body.version;
        self.hash = Body::hash(&manifest.body);
        Ok(())
    }

    /// The key of a device that is listed now.
    pub(crate) fn device(&self, device_id: &[u8; 16]) -> Option<&PinnedDevice> {
        self.devices.iter().find(|device| device.device_id == *device_id)
    }

    /// Whether this device with this key was ever listed.
    pub(crate) fn ever_listed(&self, device_id: &[u8; 16], key: &[u8; 32]) -> bool {
        self.devices.iter().chain(&self.former).any(|device| device.device_id == *device_id && device.key == *key)
    }

    /// The identity key signs version 1 and recoveries; later versions are signed by a signer of the one before.
    fn signer(&self, device_id: &[u8]) -> Option<[u8; 32]> {
        if device_id.is_empty() {
            return Some(self.identity_key);
        }
        self.devices.iter().find(|device| device.device_id == device_id && device.signer).map(|device| device.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        device_key::DeviceKey,
        identity::{genesis, next},
    };

    fn start() -> (DeviceKey, DeviceKey, Pin, v1::Manifest) {
        let (identity, device) = (DeviceKey::generate(), DeviceKey::generate());
        let manifest = genesis(&identity, [1; 16], [2; 16], &device, 5);
        let pin = Pin::new([1; 16], "ann".to_owned(), identity.public());
        (identity, device, pin, manifest)
    }

    fn listed(id: u8) -> PinnedDevice {
        PinnedDevice { device_id: [id; 16], key: [id; 32], signer: true }
    }

    #[test]
    fn a_chain_is_followed_and_a_struck_device_is_remembered() {
        let (_, device, mut pin, first) = start();
        assert_eq!(pin.extend(&first), Ok(()));
        let mut devices = pin.devices.clone();
        devices.push(listed(3));
        let second = next(&pin, devices.clone(), [2; 16], &device, 6);
        assert_eq!(pin.extend(&second), Ok(()));
        devices.pop();
        let third = next(&pin, devices, [2; 16], &device, 7);
        assert_eq!(pin.extend(&third), Ok(()));
        assert_eq!(pin.version, 3);
        assert!(pin.device(&[3; 16]).is_none());
        assert!(pin.ever_listed(&[3; 16], &[3; 32]));
        assert!(!pin.ever_listed(&[3; 16], &[4; 32]));
    }

    #[test]
    fn forged_diverging_and_lower_manifests_are_refused() {
        let (identity, device, mut pin, first) = start();
        let stranger = DeviceKey::generate();
        assert_eq!(pin.extend(&genesis(&stranger, [1; 16], [2; 16], &device, 5)), Err(PinError::Forged));
        assert_eq!(pin.extend(&genesis(&identity, [9; 16], [2; 16], &device, 5)), Err(PinError::Malformed));
        assert_eq!(pin.extend(&first), Ok(()));
        assert_eq!(pin.extend(&first), Err(PinError::OutOfOrder));
        let by_stranger = next(&pin, vec![listed(3)], [2; 16], &stranger, 6);
        assert_eq!(pin.extend(&by_stranger), Err(PinError::Forged));
        let mut other = Pin::new([1; 16], "ann".to_owned(), identity.public());
        other.extend(&genesis(&identity, [1; 16], [2; 16], &device, 6)).expect("valid by itself");
        let on_other_chain = next(&other, vec![listed(3)], [2; 16], &device, 6);
        assert_eq!(pin.extend(&on_other_chain), Err(PinError::Diverging));
    }
}
