//! Two people whose keys never change, so that seeds stay good.

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use sovereign::ids::{AccountId, DeviceId, GroupId, Leaf};
use sovereign_proto::{
    manifest::{Body, Device},
    signed, v1,
};

/// Their group.
pub(crate) const GROUP: GroupId = GroupId([0x5e; 32]);

/// A device and its account.
#[derive(Clone)]
pub struct Keys {
    /// Of the account.
    pub account: [u8; 16],
    /// Of the device.
    pub device: [u8; 16],
    /// Signs manifest 1.
    pub identity: SigningKey,
    /// Signs everything else.
    pub key: SigningKey,
}

/// The group's first member.
pub(crate) fn ada() -> Keys {
    person(1)
}

/// Whom she adds.
pub(crate) fn bob() -> Keys {
    person(2)
}

fn person(number: u8) -> Keys {
    let key = |kind: u8| SigningKey::from_bytes(&[number * 16 + kind; 32]);
    Keys { account: [number; 16], device: [number; 16], identity: key(1), key: key(2) }
}

impl Keys {
    pub(crate) fn leaf(&self) -> Leaf {
        Leaf { account_id: AccountId(self.account), device_id: DeviceId(self.device) }
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Manifest 1, listing this device.
    pub(crate) fn genesis(&self) -> v1::Manifest {
        let device = Device { device_id: self.device, device_key: self.public(), signer: true };
        let body = Body { account_id: self.account, version: 1, previous: [0; 32], issued_at_ms: 0, devices: vec![device] };
        let body = body.encode();
        let signature = self.identity.sign(&signed::manifest(&body)).to_bytes();
        v1::Manifest { body: body.into(), signer_device_id: Bytes::new(), signature: signature.to_vec().into() }
    }

    /// A sign-in over a `Hello`'s challenge.
    pub(crate) fn sign_in(&self, hello: &v1::Hello) -> v1::SignInRequest {
        let client_nonce = [7; 32];
        let signed = signed::SignIn {
            server_id: &hello.server_id,
            account_id: &self.account,
            device_id: &self.device,
            challenge: &hello.challenge,
            client_nonce: &client_nonce,
            purpose: signed::PURPOSE_SIGN_IN,
        };
        let signature = self.key.sign(&signed.to_bytes()).to_bytes().to_vec().into();
        v1::SignInRequest {
            account_id: Bytes::copy_from_slice(&self.account),
            device_id: Bytes::copy_from_slice(&self.device),
            proof: Some(v1::DeviceProof { client_nonce: Bytes::copy_from_slice(&client_nonce), signature }),
            incarnation: 0,
            positions: Vec::new(),
        }
    }
}
