//! `SignInWithPassword`: enrols a further device, which stays pending until the account's manifest lists it.

use std::sync::Arc;

use sovereign_proto::{
    signed::PURPOSE_ENROL,
    v1::{SignInWithPasswordRequest, SignInWithPasswordResponse},
};
use zeroize::Zeroizing;

use super::{Handle, admission, parse};
use crate::{
    auth::{attempts::Guesser, proof},
    caller::{Device, Guest},
    clock::monotonic,
    ids::AccountId,
    refusal::Refusal,
    server::Server,
    store::{EnrolOutcome, NewDevice},
};

impl Handle for SignInWithPasswordRequest {
    type Caller = Guest;

    async fn handle(self, Guest(connection): Guest, server: &Arc<Server>) -> Result<SignInWithPasswordResponse, Refusal> {
        let password = Zeroizing::new(self.password);
        let new = NewDevice {
            device_id: parse::device_id(&self.device_id)?,
            device_key: parse::key(&self.device_key, "device_key is not 32 bytes")?,
        };
        let unknown = AccountId([0; 16]);
        let mut device = Device { account: unknown, device: new.device_id, key: new.device_key, challenge: connection.challenge };
        proof::check(&server.auth.key.server_id(), &device, PURPOSE_ENROL, self.proof.as_ref())?;
        let (address, now) = (connection.address, server.clock.now_ms());
        // What is no username at all is counted by its address only: nobody's text of any length is remembered.
        let username = parse::username(&self.username).ok();
        let guessed = username.clone().map(Guesser::Name);
        // Taken before the count is read, and held until this guess is in it.
        let _turn = guessed.as_ref().map(|name| server.auth.turns.take(name)).transpose()?;
        let guessers: Vec<_> = guessed.clone().into_iter().chain([Guesser::address(address)]).collect();
        server.auth.attempts.check(&guessers, monotonic())?;
        // Unknown, disabled and without a password cost and say the same as a wrong password.
        let account = match username {
            Some(username) => server.store.account_by_name(username).await?.filter(|account| account.enabled),
            None => None,
        };
        let hash = account.as_ref().and_then(|account| account.password_hash.clone());
        let good = server.auth.passwords.verify(hash, password).await?;
        let Some(account) = account.filter(|_| good) else {
            server.auth.attempts.wrong(&guessers, monotonic());
            return Err(Refusal::unauthenticated("name or password is not good"));
        };
        match server.store.enrol_pending(account.account_id, new, now).await? {
            EnrolOutcome::Enrolled => {}
            EnrolOutcome::Refused => {
                return Err(Refusal::conflict("the device cannot be enrolled: make a new key, or revoke an old device"));
            }
        }
        device.account = account.account_id;
        let session = admission::admit(server, &connection, device).await?;
        Ok(SignInWithPasswordResponse { session: Some(session) })
    }
}
