//! The own account's manifests: the first, signed by the identity key, and the next ones, signed by this device.

use sovereign_proto::{
    manifest::{Body, Device},
    signed, v1,
};

use super::pin::{Pin, PinnedDevice};
use crate::device_key::DeviceKey;

/// Version 1: exactly this device, which may sign the next.
pub(crate) fn genesis(
    identity: &DeviceKey,
    account_id: [u8; 16],
    device_id: [u8; 16],
    device: &DeviceKey,
    now_ms: u64,
) -> v1::Manifest {
    let device = Device { device_id, device_key: device.public(), signer: true };
    let body = Body { account_id, version: 1, previous: [0; 32], issued_at_ms: now_ms, devices: vec![device] }.encode();
    let signature = DeviceKey::sign(identity, &signed::manifest(&body));
    v1::Manifest { body: body.into(), signer_device_id: bytes::Bytes::new(), signature: signature.to_vec().into() }
}

/// The version behind `pin`'s, with these devices, signed by a device that `pin` lists as a signer.
pub(crate) fn next(pin: &Pin, devices: Vec<PinnedDevice>, signer_id: [u8; 16], signer: &DeviceKey, now_ms: u64) -> v1::Manifest {
    let devices = devices
        .into_iter()
        .map(|device| Device { device_id: device.device_id, device_key: device.key, signer: device.signer })
        .collect();
    let body = Body { account_id: pin.account_id, version: pin.version + 1, previous: pin.hash, issued_at_ms: now_ms, devices };
    let body = body.encode();
    let signature = DeviceKey::sign(signer, &signed::manifest(&body));
    v1::Manifest { body: body.into(), signer_device_id: signer_id.to_vec().into(), signature: signature.to_vec().into() }
}
