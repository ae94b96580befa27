//! The proof that this device holds its key, bound to server, connection and purpose.

use bytes::Bytes;
use sovereign_proto::{signed::SignIn, v1};

use crate::{device_key::DeviceKey, entropy};

/// What a proof is about, beside the key that makes it.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) server_id: &'a [u8; 32],
    /// Zeros where the device does not know its account yet.
    pub(super) account_id: &'a [u8; 16],
    pub(super) device_id: &'a [u8; 16],
    pub(super) challenge: &'a [u8; 32],
    /// One of `sovereign_proto::signed`'s `PURPOSE_` constants.
    pub(super) purpose: &'static str,
}

/// Signs the connection's challenge with a fresh nonce of our own.
pub(super) fn prove(subject: Subject<'_>, key: &DeviceKey) -> v1::DeviceProof {
    let client_nonce: [u8; 32] = entropy::random();
    let Subject { server_id, account_id, device_id, challenge, purpose } = subject;
    let bytes = SignIn { server_id, account_id, device_id, challenge, client_nonce: &client_nonce, purpose }.to_bytes();
    v1::DeviceProof { client_nonce: Bytes::copy_from_slice(&client_nonce), signature: Bytes::copy_from_slice(&key.sign(&bytes)) }
}
