//! `ChangePassword`: needs the old password and the device's signature; every other session of the account ends.

use std::sync::Arc;

use sovereign_proto::{
    signed::PURPOSE_CHANGE_PASSWORD,
    v1::{ChangePasswordRequest, ChangePasswordResponse},
};
use zeroize::Zeroizing;

use super::{Handle, admission, parse};
use crate::{
    auth::{attempts::Guesser, proof},
    caller::Device,
    clock::monotonic,
    refusal::{CloseCode, Refusal},
    server::Server,
};

impl Handle for ChangePasswordRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ChangePasswordResponse, Refusal> {
        let old = Zeroizing::new(self.old_password);
        let new = parse::new_password(self.new_password)?.ok_or_else(|| Refusal::invalid("a password has 8 to 256 bytes"))?;
        proof::check(&server.auth.key.server_id(), &device, PURPOSE_CHANGE_PASSWORD, self.proof.as_ref())?;
        // As at the door: whoever has got hold of a device has not the password yet.
        let guesser = Guesser::Account(device.account);
        let _turn = server.auth.turns.take(&guesser)?;
        server.auth.attempts.check(std::slice::from_ref(&guesser), monotonic())?;
        let account = server.store.account(device.account).await?.ok_or_else(admission::refused)?;
        let had_one = account.password_hash.is_some();
        if (had_one || !old.is_empty()) && !server.auth.passwords.verify(account.password_hash, old).await? {
            server.auth.attempts.wrong(&[guesser], monotonic());
            return Err(Refusal::forbidden("the old password is not good"));
        }
        let hash = server.auth.passwords.hash(new).await?;
        // Those who came by the old password and wait for their approval are out; all others sign in again.
        server.store.set_password(device.account, hash).await?;
        server.hub.close_account_but(device.account, device.device, CloseCode::SessionEnded);
        Ok(ChangePasswordResponse {})
    }
}
