//! An account's device manifest: the fixed layout that is signed and hash-chained.
//!
//! ```text
//! version of the layout = 1 (u8)
//! account_id (16) || version (u64 BE, from 1) || previous (32, SHA-256 of the body before; zeros at 1)
//! issued_at_ms (u64 BE) || count (u16 BE, 1 to 64)
//! count * { device_id (16) || device_key (32) || flags (u8, bit 0 = signer) }, ascending by device_id
//! ```
//! Its signature covers [`crate::signed::manifest`] of these bytes, by the identity key (version 1, or recovery) or by
//! a signer of the version before.

use sha2::{Digest as _, Sha256};

/// Devices of one account at most.
pub const DEVICES_MAX: usize = 64;

/// The decoded body of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// Whose devices these are.
    pub account_id: [u8; 16],
    /// Counts from 1 without holes.
    pub version: u64,
    /// [`Body::hash`] of version - 1; zeros at version 1.
    pub previous: [u8; 32],
    /// When it was made, by the signer's clock, in milliseconds since the Unix epoch. For people, not for decisions.
    pub issued_at_ms: u64,
    /// Every device that is not revoked, ascending by id.
    pub devices: Vec<Device>,
}

/// A device that the account vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// 16 random bytes.
    pub device_id: [u8; 16],
    /// Ed25519 public key: authenticates to the server and signs the device's MLS leaves.
    pub device_key: [u8; 32],
    /// May sign the next manifest.
    pub signer: bool,
}

/// The bytes are no manifest body of layout 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidManifest;

impl std::fmt::Display for InvalidManifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the manifest is malformed")
    }
}

impl std::error::Error for InvalidManifest {}

const HEADER_LENGTH: usize = 1 + 16 + 8 + 32 + 8 + 2;
const DEVICE_LENGTH: usize = 16 + 32 + 1;

impl Body {
    /// The layout above. Devices are written ascending by id.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut devices: Vec<&Device> = self.devices.iter().collect();
        devices.sort_unstable_by_key(|device| device.device_id);
        let count = u16::try_from(devices.len()).expect("at most 64 devices");
        let mut bytes = Vec::with_capacity(HEADER_LENGTH + devices.len() * DEVICE_LENGTH);
        bytes.push(1);
        bytes.extend_from_slice(&self.account_id);
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(&self.issued_at_ms.to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        for device in devices {
            bytes.extend_from_slice(&device.device_id);
            bytes.extend_from_slice(&device.device_key);
            bytes.push(u8::from(device.signer));
        }
        bytes
    }

    /// Reads the layout above; anything but the canonical encoding is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let (header, rest) = bytes.split_at_checked(HEADER_LENGTH).ok_or(InvalidManifest)?;
        let (devices, rest) = (rest.chunks_exact(DEVICE_LENGTH), rest.chunks_exact(DEVICE_LENGTH).remainder());
        let count = u16::from_be_bytes(array(&header[65..67]));
        if header[0] != 1
            || !rest.is_empty()
            || usize::from(count) != devices.len()
            || !(1..=DEVICES_MAX).contains(&devices.len())
        {
            return Err(InvalidManifest);
        }
        let devices: Vec<Device> = devices.map(device).collect::<Result<_, _>>()?;
        let body = Self {
            account_id: array(&header[1..17]),
            version: u64::from_be_bytes(array(&header[17..25])),
            previous: array(&header[25..57]),
            issued_at_ms: u64::from_be_bytes(array(&header[57..65])),
            devices,
        };
        let ascending = body.devices.windows(2).all(|pair| pair[0].device_id < pair[1].device_id);
        let chained = (body.version == 1) == (body.previous == [0; 32]);
        if ascending && chained && body.version != 0 { Ok(body) } else { Err(InvalidManifest) }
    }

    /// SHA-256 of an encoded body: what the next version names as `previous`.
    #[must_use]
    pub fn hash(encoded: &[u8]) -> [u8; 32] {
        Sha256::digest(encoded).into()
    }

    /// The device of that id, if it is listed.
    #[must_use]
    pub fn device(&self, device_id: &[u8; 16]) -> Option<&Device> {
        self.devices.iter().find(|device| device.device_id == *device_id)
    }
}

fn device(bytes: &[u8]) -> Result<Device, InvalidManifest> {
    let signer = match bytes[48] {
        0 => false,
        1 => true,
        _ => return Err(InvalidManifest),
    };
    Ok(Device { device_id: array(&bytes[..16]), device_key: array(&bytes[16..48]), signer })
}

/// Callers pass slices of exactly `N` bytes of a header whose length was checked.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the slice has N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Body {
        let device = |id: u8, signer| Device { device_id: [id; 16], device_key: [id; 32], signer };
        Body {
            account_id: [9; 16],
            version: 2,
            previous: [7; 32],
            issued_at_ms: 5,
            devices: vec![device(1, true), device(2, false)],
        }
    }

    #[test]
    fn round_trips() {
        assert_eq!(Body::decode(&body().encode()), Ok(body()));
    }

    #[test]
    fn refuses_every_cut_and_every_other_form() {
        let bytes = body().encode();
        for cut in 0..bytes.len() {
            assert_eq!(Body::decode(&bytes[..cut]), Err(InvalidManifest), "cut at {cut}");
        }
        let mut unsorted = bytes.clone();
        unsorted[HEADER_LENGTH..].rotate_left(DEVICE_LENGTH);
        assert_eq!(Body::decode(&unsorted), Err(InvalidManifest));
        let mut flags = bytes;
        *flags.last_mut().expect("not empty") = 2;
        assert_eq!(Body::decode(&flags), Err(InvalidManifest));
    }
}
