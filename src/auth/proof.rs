//! A device proves that it holds its key: the signature in a `DeviceProof`.

use ed25519_dalek::{Signature, VerifyingKey};
use sovereign_proto::{signed::SignIn, v1};

pub use super::manifest::{ManifestError, check_manifest};
use crate::{identity::Device, ids::ServerId};

/// The proof does not show possession of the key for this purpose on this connection. Peers are not told why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidProof;

impl std::fmt::Display for InvalidProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the device proof is not valid")
    }
}

impl std::error::Error for InvalidProof {}

/// Checks that whoever sent `proof` holds the key of `device`, for one of the `PURPOSE_` constants of
/// `sovereign_proto::signed` and on this connection, whose challenge `device` carries. A missing proof is no proof. The
/// caller lets a challenge authenticate once.
pub fn check(server_id: &ServerId, device: &Device, purpose: &str, proof: Option<&v1::DeviceProof>) -> Result<(), InvalidProof> {
    let proof = proof.filter(|proof| (16..=32).contains(&proof.client_nonce.len())).ok_or(InvalidProof)?;
    let statement = SignIn {
        server_id: server_id.as_bytes(),
        account_id: device.account.as_bytes(),
        device_id: device.device.as_bytes(),
        challenge: &device.challenge,
        client_nonce: &proof.client_nonce,
        purpose,
    };
    verify_signature(&device.key, &statement.to_bytes(), &proof.signature)
}

/// A strict Ed25519 verification of what came from a peer: no key of small order, no malleable signature.
pub(super) fn verify_signature(key: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), InvalidProof> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| InvalidProof)?;
    let signature = Signature::from_slice(signature).map_err(|_| InvalidProof)?;
    key.verify_strict(message, &signature).map_err(|_| InvalidProof)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};
    use sovereign_proto::signed::{PURPOSE_ENROL, PURPOSE_SIGN_IN};

    use super::*;
    use crate::ids::{AccountId, DeviceId};

    const SERVER: ServerId = ServerId([1; 32]);

    fn signing_key() -> SigningKey {
        SigningKey::from_bytes(&[9; 32])
    }

    fn device() -> Device {
        let key = signing_key().verifying_key().to_bytes();
        Device { account: AccountId([2; 16]), device: DeviceId([3; 16]), key, challenge: [4; 32] }
    }

    fn proof(nonce: &'static [u8]) -> v1::DeviceProof {
        let statement = SignIn {
            server_id: &[1; 32],
            account_id: &[2; 16],
            device_id: &[3; 16],
            challenge: &[4; 32],
            client_nonce: nonce,
            purpose: PURPOSE_SIGN_IN,
        };
        let signature = signing_key().sign(&statement.to_bytes()).to_bytes().to_vec().into();
        v1::DeviceProof { client_nonce: nonce.into(), signature }
    }

    #[test]
    fn binds_server_account_device_challenge_and_purpose() {
        let proof = proof(&[5; 16]);
        let proof = Some(&proof);
        assert_eq!(check(&SERVER, &device(), PURPOSE_SIGN_IN, proof), Ok(()));
        let others = [
            Device { account: AccountId([0; 16]), ..device() },
            Device { device: DeviceId([0; 16]), ..device() },
            Device { challenge: [0; 32], ..device() },
            Device { key: [0; 32], ..device() },
        ];
        for other in others {
            assert_eq!(check(&SERVER, &other, PURPOSE_SIGN_IN, proof), Err(InvalidProof));
        }
        assert_eq!(check(&ServerId([0; 32]), &device(), PURPOSE_SIGN_IN, proof), Err(InvalidProof));
        assert_eq!(check(&SERVER, &device(), PURPOSE_ENROL, proof), Err(InvalidProof));
        assert_eq!(check(&SERVER, &device(), PURPOSE_SIGN_IN, None), Err(InvalidProof));
    }

    #[test]
    fn refuses_short_nonces_cut_signatures_and_weak_keys() {
        assert_eq!(check(&SERVER, &device(), PURPOSE_SIGN_IN, Some(&proof(&[5; 15]))), Err(InvalidProof));
        let mut cut = proof(&[5; 16]);
        cut.signature = cut.signature.slice(..63);
        assert_eq!(check(&SERVER, &device(), PURPOSE_SIGN_IN, Some(&cut)), Err(InvalidProof));
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        let signature = [identity_point, [0; 32]].concat().into();
        let forged = v1::DeviceProof { client_nonce: vec![5; 16].into(), signature };
        let weak = Device { key: identity_point, ..device() };
        assert_eq!(check(&SERVER, &weak, PURPOSE_SIGN_IN, Some(&forged)), Err(InvalidProof));
    }
}
