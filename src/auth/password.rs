//! The one door to argon2. Hashing is slow and takes 19 MiB by design, so it runs on blocking threads, few at a time,
//! with a bounded queue before them.

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _},
};
use data_encoding::BASE64_NOPAD;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::entropy;

/// Memory per hash in KiB (19 MiB), passes and lanes: the OWASP recommendation for Argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The queue is full, or the hash could not be made; nothing was decided about the password. Try again shortly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl std::fmt::Display for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("too many passwords are being checked")
    }
}

impl std::error::Error for Busy {}

/// Hashes and verifies passwords. Cheap to clone; clones share the bounds.
#[derive(Clone)]
pub struct Passwords {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    /// Stands in where no account or no password is, so that an answer takes the same time.
    dummy: Arc<str>,
}

impl Passwords {
    /// At most `max_concurrent` hashes at once, and at most `max_queue` callers waiting for their turn.
    #[must_use]
    pub fn new(max_concurrent: usize, max_queue: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(max_concurrent)),
            admitted: Arc::new(Semaphore::new(max_concurrent.saturating_add(max_queue))),
            dummy: dummy().into(),
        }
    }

    /// The PHC string to keep for a password.
    pub async fn hash(&self, password: Zeroizing<String>) -> Result<String, Busy> {
        self.run(move || {
            let salt: [u8; 16] = entropy::random();
            hasher().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string())
        })
        .await?
        .map_err(|_| Busy)
    }

    /// Whether `password` is the one that `phc` was made of. `None` (no such account, or one without a password) costs
    /// the same time and is never right.
    pub async fn verify(&self, phc: Option<String>, password: Zeroizing<String>) -> Result<bool, Busy> {
        let known = phc.is_some();
        let phc = phc.unwrap_or_else(|| self.dummy.to_string());
        let right = self.run(move || hasher().verify_password(password.as_bytes(), phc.as_str()).is_ok()).await?;
        Ok(right && known)
    }

    /// The permits move into the blocking closure: a caller that goes away does not make room for another hash before
    /// its own has ended.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((running, admitted));
            result
        });
        // A panic inside argon2 concerns one caller only.
        task.await.map_err(|_| Busy)
    }
}

fn hasher() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).expect("the parameters are within argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// A PHC string with our parameters that no password matches.
fn dummy() -> String {
    let salt = BASE64_NOPAD.encode(&entropy::random::<16>());
    let output = BASE64_NOPAD.encode(&entropy::random::<32>());
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${output}")
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    #[tokio::test]
    async fn only_the_right_password_matches() {
        let passwords = Passwords::new(1, 4);
        let phc = passwords.hash(secret("correct horse")).await.expect("there is room");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(passwords.verify(Some(phc.clone()), secret("correct horse")).await, Ok(true));
        assert_eq!(passwords.verify(Some(phc), secret("battery staple")).await, Ok(false));
        assert_eq!(passwords.verify(None, secret("correct horse")).await, Ok(false));
    }

    #[test]
    fn the_dummy_costs_what_a_hash_costs() {
        let dummy = dummy();
        let parsed = PasswordHash::new(&dummy).expect("it is a PHC string");
        let params = Params::try_from(&parsed).expect("it has argon2's parameters");
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
        assert_eq!(parsed.hash.map(|hash| hash.len()), Some(32));
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_a_panic_frees_its_place() {
        let passwords = Passwords::new(1, 0);
        let place = Arc::clone(&passwords.admitted).try_acquire_owned().expect("nobody is there yet");
        assert_eq!(passwords.verify(None, secret("x")).await, Err(Busy));
        drop(place);
        assert_eq!(passwords.run(|| panic!("on purpose")).await, Err::<(), _>(Busy));
        assert_eq!(passwords.verify(None, secret("x")).await, Ok(false));
    }
}
