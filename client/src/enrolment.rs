//! How a device comes to its account: by making it, or by being a further device of it. Keys are durable before the
//! server hears of them, so that a lost answer costs neither the name nor the account.

use std::{path::Path, sync::Arc};

use sovereign_proto::v1::{self, FailureCode};
use zeroize::Zeroizing;

use crate::{
    connection::{self, Connection, ConnectionEvent, ConnectionState, Credentials, First, Pipes},
    device_key::DeviceKey,
    engine::AccountRecord,
    entropy,
    error::Error,
    identity::{Pin, genesis},
    join_link::{Endpoint, JoinLink},
    model::Options,
    vault::{DATABASE_FILE, KEY_FILE, OpenError, Space, Vault, VaultError},
};

/// Keys of a sign-up whose answer is not known.
const ATTEMPT: &[u8] = b"attempt";

/// Makes an account with this device as its first. After a lost answer the same call goes on where it stopped.
pub(crate) async fn sign_up(
    home: &Path,
    link: JoinLink,
    username: &str,
    password: Option<Zeroizing<String>>,
    options: &Options,
) -> Result<(Vault, AccountRecord), Error> {
    let (mut vault, earlier) = vault_for_account(home, options)?;
    let earlier = earlier.filter(|attempt| attempt.username == username && attempt.endpoint == link.endpoint);
    let resumed = earlier.is_some();
    let mut record = earlier.unwrap_or_else(|| attempt(username, link.endpoint, true));
    vault.transaction(|tx| tx.put(Space::Meta, ATTEMPT, &record).map_err(Error::from))?;
    let identity = DeviceKey::from_secret(&Zeroizing::new(record.identity_secret.unwrap_or_default()));
    let credentials = credentials(&record, vault.incarnation());
    let manifest = genesis(&identity, record.account_id, record.device_id, &credentials.signing_key, options.clock.now_ms());
    let mut pin = Pin::new(record.account_id, String::new(), identity.public());
    let first = First::SignUp {
        username: username.to_owned(),
        invite_code: link.code,
        identity_key: identity.public(),
        manifest: manifest.clone(),
        password,
        credentials: credentials.clone(),
    };
    match connection::enrol(&record.endpoint, options.pipes.as_ref(), first).await.map_err(Error::from) {
        Ok(session) => {
            pin.extend(&manifest).map_err(|_| Error::Mls("the own manifest does not verify".to_owned()))?;
            record.username = session.username;
        }
        // The name is taken, perhaps by the earlier try: then these keys sign in, and the manifest is read from there.
        Err(error @ Error::Refused { code: FailureCode::Conflict, .. }) if resumed => {
            record.username = sign_in_once(&record.endpoint, options.pipes.clone(), credentials)
                .await?
                .ok_or_else(|| undone(home, error))?
                .username;
        }
        Err(error @ Error::Network(_)) => return Err(error),
        Err(error) => return Err(undone(home, error)),
    }
    pin.username.clone_from(&record.username);
    keep_account(&mut vault, &record, Some(&pin))?;
    Ok((vault, record))
}

/// Enrols this device into an existing account by its password.
pub(crate) async fn log_in(
    home: &Path,
    link: JoinLink,
    username: &str,
    password: Zeroizing<String>,
    options: &Options,
) -> Result<(Vault, AccountRecord), Error> {
    let (mut vault, _) = vault_for_account(home, options)?;
    let mut record = attempt(username, link.endpoint, false);
    let signing_key = credentials(&record, vault.incarnation()).signing_key;
    let first = First::Enrol { username: username.to_owned(), password, device_id: record.device_id, signing_key };
    let session =
        connection::enrol(&record.endpoint, options.pipes.as_ref(), first).await.map_err(|error| undone(home, error.into()))?;
    let no_account = |_| undone(home, Error::Network("the server names no account".to_owned()));
    record.account_id = session.account_id.as_ref().try_into().map_err(no_account)?;
    record.username = session.username;
    keep_account(&mut vault, &record, None)?;
    Ok((vault, record))
}

/// Writes the account, and the pin of itself where it is known.
pub(crate) fn keep_account(vault: &mut Vault, record: &AccountRecord, pin: Option<&Pin>) -> Result<(), Error> {
    vault.transaction(|tx| {
        tx.put(Space::Account, b"", record)?;
        tx.remove(Space::Meta, ATTEMPT)?;
        if let Some(pin) = pin {
            tx.put(Space::Name, pin.username.as_bytes(), &pin.account_id)?;
            tx.put(Space::Peer, &pin.account_id, pin)?;
        }
        Ok(())
    })
}

/// What an account's device authenticates by.
pub(crate) fn credentials(record: &AccountRecord, incarnation: u64) -> Credentials {
    let signing_key = Arc::new(DeviceKey::from_secret(&Zeroizing::new(record.device_secret)));
    Credentials { account_id: record.account_id, device_id: record.device_id, signing_key, incarnation }
}

/// A vault that holds no account yet, and the keys of an earlier try.
fn vault_for_account(home: &Path, options: &Options) -> Result<(Vault, Option<AccountRecord>), Error> {
    let mut vault = match Vault::create(home, options.passphrase.as_ref()) {
        Err(OpenError::Exists) => Vault::open(home, options.passphrase.as_ref())?,
        created => created?,
    };
    let records = vault
        .transaction(|tx| Ok::<_, VaultError>((tx.get::<AccountRecord>(Space::Account, b"")?, tx.get(Space::Meta, ATTEMPT)?)));
    match records? {
        (Some(_), _) => Err(Error::Usage(OpenError::Exists.to_string())),
        (None, earlier) => Ok((vault, earlier)),
    }
}

fn attempt(username: &str, endpoint: Endpoint, with_identity: bool) -> AccountRecord {
    AccountRecord {
        username: username.to_owned(),
        account_id: entropy::random(),
        device_id: entropy::random(),
        device_secret: entropy::random(),
        identity_secret: with_identity.then(entropy::random),
        endpoint,
    }
}

/// Whether these credentials are of an account. `None`: the server does not know them.
async fn sign_in_once(endpoint: &Endpoint, pipes: Option<Pipes>, credentials: Credentials) -> Result<Option<v1::Session>, Error> {
    let (connection, mut events) = Connection::start(endpoint.clone(), pipes, credentials, Box::new(Vec::new));
    let outcome = loop {
        match events.recv().await {
            Some(ConnectionEvent::SignedIn { session, .. }) => break Ok(Some(session)),
            Some(ConnectionEvent::State(ConnectionState::Stopped, _)) | None => break Ok(None),
            Some(ConnectionEvent::State(ConnectionState::Backoff { .. }, cause)) => break Err(Error::Network(cause.to_string())),
            Some(_) => {}
        }
    };
    drop(events);
    connection.stop().await;
    outcome
}

/// A vault for which there is no account would stand in the way of the next try.
fn undone(home: &Path, error: Error) -> Error {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(home.join(format!("{DATABASE_FILE}{suffix}")));
    }
    let _ = std::fs::remove_file(home.join(KEY_FILE));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> JoinLink {
        // Port 1 of this machine: nobody listens there.
        let endpoint = Endpoint { host: "127.0.0.1".to_owned(), port: 1, server_id: [1; 32], ca_pin: Some([2; 32]) };
        JoinLink { endpoint, code: "code".to_owned() }
    }

    #[tokio::test]
    async fn the_next_try_has_the_same_keys_and_a_failed_login_leaves_nothing() {
        let home = tempfile::tempdir().expect("a directory");
        let options = Options::default();
        let keys = || {
            let (_, attempt) = vault_for_account(home.path(), &options).expect("a vault");
            attempt.map(|attempt| (attempt.device_secret, attempt.account_id))
        };
        for name in ["ann", "ann"] {
            let failed = sign_up(home.path(), nowhere(), name, None, &options).await.err().expect("nobody is there");
            assert!(matches!(failed, Error::Network(_)), "{failed}");
        }
        let first = keys().expect("kept");
        let _ = sign_up(home.path(), nowhere(), "ann", None, &options).await;
        assert_eq!(keys(), Some(first));
        let _ = sign_up(home.path(), nowhere(), "ben", None, &options).await;
        assert_ne!(keys(), Some(first));
        let password = Zeroizing::new("long enough".to_owned());
        assert!(log_in(home.path(), nowhere(), "ann", password, &options).await.is_err());
        assert!(!home.path().join(DATABASE_FILE).exists());
    }
}
