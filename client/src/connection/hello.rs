//! The server's first frame: checked before anything is said in return.

use std::time::Duration;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};
use sovereign_proto::{signed, v1};

/// What a verified Hello leaves behind for the rest of the connection.
#[derive(Clone)]
pub(super) struct Verified {
    /// Good for one authentication attempt on this connection.
    pub(super) challenge: [u8; 32],
    /// Largest frame the server takes after authentication, in bytes.
    pub(super) frame_bytes: usize,
    /// Requests in flight at most.
    pub(super) requests_in_flight: usize,
    /// Bytes of requests in flight at most.
    pub(super) bytes_in_flight: usize,
    /// How often a healthy server is heard at least.
    pub(super) heartbeat_interval: Duration,
    /// Another one than last time: the server was restored from a backup.
    pub(super) store_generation: u64,
}

/// Checks that the Hello comes from the server whose id the invite link named. `Err` holds the reason, for people.
pub(super) fn verify(hello: &v1::Hello, server_id: &[u8; 32]) -> Result<Verified, String> {
    let key: [u8; 32] = hello.server_key.as_ref().try_into().map_err(|_| "its key has the wrong length".to_owned())?;
    let named: [u8; 32] = Sha256::digest(key).into();
    if named != *server_id || hello.server_id.as_ref() != server_id {
        return Err("it is another server than the one the invite link named".to_owned());
    }
    let challenge = hello.challenge.as_ref().try_into().map_err(|_| "its challenge has the wrong length".to_owned())?;
    let bytes = signed::hello(server_id, &hello.server_name, &hello.challenge, hello.server_time_ms);
    let signature = Signature::from_slice(&hello.signature).map_err(|_| "its signature has the wrong length".to_owned())?;
    VerifyingKey::from_bytes(&key)
        .and_then(|key| key.verify_strict(&bytes, &signature))
        .map_err(|_| "its signature is forged".to_owned())?;
    let limits = hello.limits.unwrap_or_default();
    Ok(Verified {
        challenge,
        frame_bytes: announced(limits.frame, 1 << 20),
        requests_in_flight: announced(limits.requests_in_flight, 64),
        bytes_in_flight: announced(limits.bytes_in_flight, 2 << 20),
        heartbeat_interval: Duration::from_millis(u64::from(match hello.heartbeat_interval_ms {
            0 => 30_000,
            interval => interval.clamp(1000, 600_000),
        })),
        store_generation: hello.store_generation,
    })
}

/// A limit that was not announced is the protocol's default.
fn announced(limit: u32, default: usize) -> usize {
    usize::try_from(limit).ok().filter(|limit| *limit != 0).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::{super::fake_server::FakeServer, *};

    #[test]
    fn takes_the_pinned_server_and_nobody_else() {
        let (server, other) = (FakeServer::new(1), FakeServer::new(2));
        assert_eq!(verify(&server.hello(), &server.id()).map(|verified| verified.requests_in_flight), Ok(4));
        assert!(verify(&other.hello(), &server.id()).is_err_and(|reason| reason.contains("another server")));

        let mut forged = server.hello();
        forged.server_time_ms += 1;
        assert!(verify(&forged, &server.id()).is_err_and(|reason| reason.contains("forged")));

        let mut claimed = other.hello();
        claimed.server_id = server.hello().server_id;
        assert!(verify(&claimed, &server.id()).is_err());

        let mut short = server.hello();
        short.challenge.truncate(31);
        assert!(verify(&short, &server.id()).is_err());
    }
}
