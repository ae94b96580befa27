//! The bytes that are signed outside MLS, each under a label of its own.
//!
//! Layout: `field(label) field(f1) … field(fn)` with `field(x) = len(x) as u32 big-endian || x` and the label
//! `"Sovereign 1.0 " || name`. An MLS `SignContent` (RFC 9420, section 5.1.2) starts with a variable-size length of at
//! least 8 and the text `MLS 1.0 `; ours starts with three zero bytes, so neither can be taken for the other.

/// What a device signs to authenticate: sign-up, sign-in, enrolment, and requests that need the key at hand.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// 32 bytes: SHA-256 of the server's public key.
    pub server_id: &'a [u8],
    /// 16 bytes; zeros where the device does not know its account yet (purpose `enrol`).
    pub account_id: &'a [u8],
    /// 16 bytes.
    pub device_id: &'a [u8],
    /// 32 bytes, from this connection's `Hello`.
    pub challenge: &'a [u8],
    /// 16 to 32 bytes of the client's own.
    pub client_nonce: &'a [u8],
    /// One of the `PURPOSE_` constants.
    pub purpose: &'a str,
}

/// Purpose of the proof in `SignUp`.
pub const PURPOSE_SIGN_UP: &str = "sign-up";
/// Purpose of the proof in `SignIn`.
pub const PURPOSE_SIGN_IN: &str = "sign-in";
/// Purpose of the proof in `SignInWithPassword`.
pub const PURPOSE_ENROL: &str = "enrol";
/// Purpose of the proof in `ChangePassword`.
pub const PURPOSE_CHANGE_PASSWORD: &str = "change-password";
/// Purpose of the proof in `IssueToken`.
pub const PURPOSE_ISSUE_TOKEN: &str = "issue-token";

impl SignIn<'_> {
    /// The bytes to sign and to verify.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let fields =
            [self.server_id, self.account_id, self.device_id, self.challenge, self.client_nonce, self.purpose.as_bytes()];
        labelled("SignIn", &fields)
    }
}

/// What the server signs in its `Hello`.
#[must_use]
pub fn hello(server_id: &[u8], server_name: &str, challenge: &[u8], server_time_ms: u64) -> Vec<u8> {
    labelled("Hello", &[server_id, server_name.as_bytes(), challenge, &server_time_ms.to_be_bytes()])
}

/// What a manifest's signer signs: the manifest's body.
#[must_use]
pub fn manifest(body: &[u8]) -> Vec<u8> {
    labelled("Manifest", &[body])
}

/// What a device signs of a signal of an application's own kind (docs/protocol/mls.md, Signals).
#[derive(Clone, Copy)]
pub struct Signal<'a> {
    /// 32 bytes.
    pub group_id: &'a [u8; 32],
    /// Of the key that the signal is encrypted with.
    pub epoch: u64,
    /// The sender's leaf index in that epoch.
    pub leaf: u32,
    /// The sender's clock.
    pub sent_at_ms: u64,
    /// The sender's counter.
    pub counter: u64,
    /// The application's name for it.
    pub kind: &'a str,
    /// Whatever the application put there.
    pub payload: &'a [u8],
}

impl Signal<'_> {
    /// The bytes to sign and to verify.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let (epoch, leaf) = (self.epoch.to_be_bytes(), self.leaf.to_be_bytes());
        let (sent_at, counter) = (self.sent_at_ms.to_be_bytes(), self.counter.to_be_bytes());
        labelled("Signal", &[self.group_id, &epoch, &leaf, &sent_at, &counter, self.kind.as_bytes(), self.payload])
    }
}

/// `field("Sovereign 1.0 " || name) field(f1) … field(fn)`.
#[must_use]
pub fn labelled(name: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(32 + fields.iter().map(|field| field.len() + 4).sum::<usize>());
    let label = [b"Sovereign 1.0 ", name.as_bytes()].concat();
    for field in std::iter::once(label.as_slice()).chain(fields.iter().copied()) {
        let length = u32::try_from(field.len()).expect("signed fields are far shorter than 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cannot_be_shifted_into_each_other() {
        assert_ne!(labelled("x", &[b"ab", b"c"]), labelled("x", &[b"a", b"bc"]));
        assert_ne!(labelled("x", &[b"a"]), labelled("xa", &[b""]));
    }

    #[test]
    fn is_never_an_mls_sign_content() {
        assert_eq!(hello(&[0; 32], "s", &[0; 32], 1)[..3], [0, 0, 0]);
    }
}
