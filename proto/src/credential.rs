//! The identity inside an MLS Basic credential: 32 bytes, `account_id || device_id`. No names.

/// Length of the credential's identity in bytes.
pub const LENGTH: usize = 32;

/// The identity bytes of a device of an account.
#[must_use]
pub fn encode(account_id: &[u8; 16], device_id: &[u8; 16]) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..16].copy_from_slice(account_id);
    bytes[16..].copy_from_slice(device_id);
    bytes
}

/// `(account_id, device_id)`, or `None` if the identity is not exactly 32 bytes.
#[must_use]
pub fn decode(identity: &[u8]) -> Option<([u8; 16], [u8; 16])> {
    let bytes: &[u8; LENGTH] = identity.try_into().ok()?;
    let (account, device) = bytes.split_at(16);
    Some((account.try_into().ok()?, device.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_other_lengths() {
        assert_eq!(decode(&encode(&[1; 16], &[2; 16])), Some(([1; 16], [2; 16])));
        assert_eq!(decode(&[0; 31]), None);
        assert_eq!(decode(&[0; 33]), None);
    }
}
