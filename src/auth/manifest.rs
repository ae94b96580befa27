//! Whether a manifest may follow the one before it: the chain of an account's devices (docs/protocol/mls.md, Manifest).

use std::fmt;

use sovereign_proto::{
    manifest::{Body, Device},
    signed, v1,
};

use super::proof::verify_signature;

/// Why a manifest is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// The body is not the canonical layout.
    Malformed,
    /// Version 1 that lists not exactly one device, a signer, or is not signed by the identity key.
    BadGenesis,
    /// Another account, a version that is not the next one, or another predecessor.
    NotTheNext,
    /// A listed device changed its key, or two devices have the same one.
    KeyReused,
    /// The signer is no signer of the version before, or strikes itself: that needs another signer.
    NotASigner,
    /// The signature does not verify.
    BadSignature,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the manifest is malformed",
            Self::BadGenesis => "the first manifest lists one signer device and is signed by the identity key",
            Self::NotTheNext => "the manifest does not follow the newest one",
            Self::KeyReused => "a device key of the manifest is already in use",
            Self::NotASigner => "the manifest's signer may not sign it",
            Self::BadSignature => "the manifest's signature does not verify",
        })
    }
}

impl std::error::Error for ManifestError {}

/// Checks a manifest against the one before it (`None`: it is to be version 1) and the account's identity key.
/// The caller compares the body's account id where there is no predecessor.
pub fn check_manifest(manifest: &v1::Manifest, previous: Option<&Body>, identity_key: &[u8; 32]) -> Result<Body, ManifestError> {
    let body = Body::decode(&manifest.body).map_err(|_| ManifestError::Malformed)?;
    if repeats_a_key(&body.devices) {
        return Err(ManifestError::KeyReused);
    }
    let signer_key = match previous {
        None => genesis_signer(&body, manifest, identity_key)?,
        Some(previous) => next_signer(&body, manifest, previous, identity_key)?,
    };
    verify_signature(&signer_key, &signed::manifest(&manifest.body), &manifest.signature)
        .map_err(|_| ManifestError::BadSignature)?;
    Ok(body)
}

fn genesis_signer(body: &Body, manifest: &v1::Manifest, identity_key: &[u8; 32]) -> Result<[u8; 32], ManifestError> {
    let one_signer = matches!(body.devices.as_slice(), [Device { signer: true, .. }]);
    if body.version == 1 && one_signer && manifest.signer_device_id.is_empty() {
        Ok(*identity_key)
    } else {
        Err(ManifestError::BadGenesis)
    }
}

fn next_signer(
    body: &Body,
    manifest: &v1::Manifest,
    previous: &Body,
    identity_key: &[u8; 32],
) -> Result<[u8; 32], ManifestError> {
    let follows = body.account_id == previous.account_id
        && Some(body.version) == previous.version.checked_add(1)
        && body.previous == Body::hash(&previous.encode());
    if !follows {
        return Err(ManifestError::NotTheNext);
    }
    let kept_keys =
        previous.devices.iter().all(|old| body.device(&old.device_id).is_none_or(|new| new.device_key == old.device_key));
    if !kept_keys {
        return Err(ManifestError::KeyReused);
    }
    if manifest.signer_device_id.is_empty() {
        return Ok(*identity_key);
    }
    let signer_id: [u8; 16] = manifest.signer_device_id.as_ref().try_into().map_err(|_| ManifestError::NotASigner)?;
    let signer = previous.device(&signer_id).filter(|device| device.signer).ok_or(ManifestError::NotASigner)?;
    let stays = body.device(&signer_id).is_some_and(|device| device.signer);
    if stays { Ok(signer.device_key) } else { Err(ManifestError::NotASigner) }
}

/// Quadratic over at most 64 devices.
fn repeats_a_key(devices: &[Device]) -> bool {
    devices.iter().enumerate().any(|(index, one)| devices[..index].iter().any(|other| other.device_key == one.device_key))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;

    fn key(number: u8) -> SigningKey {
        SigningKey::from_bytes(&[number; 32])
    }

    fn public(number: u8) -> [u8; 32] {
        key(number).verifying_key().to_bytes()
    }

    fn device(number: u8, signer: bool) -> Device {
        Device { device_id: [number; 16], device_key: public(number), signer }
    }

    fn genesis() -> Body {
        Body { account_id: [9; 16], version: 1, previous: [0; 32], issued_at_ms: 1, devices: vec![device(1, true)] }
    }

    fn next(devices: Vec<Device>) -> Body {
        let previous = genesis();
        Body { version: 2, previous: Body::hash(&previous.encode()), devices, ..previous }
    }

    fn sign(body: &Body, signer: Option<u8>) -> v1::Manifest {
        let bytes = body.encode();
        let signature = key(signer.unwrap_or(100)).sign(&signed::manifest(&bytes)).to_bytes().to_vec().into();
        v1::Manifest { body: bytes.into(), signer_device_id: signer.map(|id| vec![id; 16]).unwrap_or_default().into(), signature }
    }

    fn check(manifest: &v1::Manifest, previous: Option<&Body>) -> Result<Body, ManifestError> {
        check_manifest(manifest, previous, &public(100))
    }

    #[test]
    fn the_first_is_signed_by_the_identity_and_lists_one_signer() {
        assert_eq!(check(&sign(&genesis(), None), None), Ok(genesis()));
        assert_eq!(check(&sign(&genesis(), Some(1)), None), Err(ManifestError::BadGenesis));
        let two = Body { devices: vec![device(1, true), device(2, false)], ..genesis() };
        assert_eq!(check(&sign(&two, None), None), Err(ManifestError::BadGenesis));
        let no_signer = Body { devices: vec![device(1, false)], ..genesis() };
        assert_eq!(check(&sign(&no_signer, None), None), Err(ManifestError::BadGenesis));
        let mut forged = sign(&genesis(), None);
        forged.signature = vec![0; 64].into();
        assert_eq!(check(&forged, None), Err(ManifestError::BadSignature));
    }

    #[test]
    fn later_ones_chain_by_a_signer_or_the_identity() {
        let body = next(vec![device(1, true), device(2, false)]);
        assert_eq!(check(&sign(&body, Some(1)), Some(&genesis())), Ok(body.clone()));
        assert_eq!(check(&sign(&body, None), Some(&genesis())), Ok(body.clone()));
        assert_eq!(check(&sign(&body, Some(2)), Some(&genesis())), Err(ManifestError::NotASigner));
        let forked = Body { previous: [7; 32], ..body.clone() };
        assert_eq!(check(&sign(&forked, Some(1)), Some(&genesis())), Err(ManifestError::NotTheNext));
        let skipped = Body { version: 3, ..body.clone() };
        assert_eq!(check(&sign(&skipped, Some(1)), Some(&genesis())), Err(ManifestError::NotTheNext));
        let foreign = Body { account_id: [8; 16], ..body };
        assert_eq!(check(&sign(&foreign, Some(1)), Some(&genesis())), Err(ManifestError::NotTheNext));
    }

    #[test]
    fn keys_stay_and_a_signer_cannot_strike_itself() {
        let rekeyed = next(vec![Device { device_key: public(5), ..device(1, true) }]);
        assert_eq!(check(&sign(&rekeyed, Some(1)), Some(&genesis())), Err(ManifestError::KeyReused));
        let twice = next(vec![device(1, true), Device { device_key: public(1), ..device(2, false) }]);
        assert_eq!(check(&sign(&twice, Some(1)), Some(&genesis())), Err(ManifestError::KeyReused));
        let struck = next(vec![device(2, true)]);
        assert_eq!(check(&sign(&struck, Some(1)), Some(&genesis())), Err(ManifestError::NotASigner));
        assert_eq!(check(&sign(&struck, None), Some(&genesis())), Ok(struck), "the recovery key may");
    }
}
