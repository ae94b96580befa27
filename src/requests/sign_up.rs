//! `SignUp`: an account with its first device, out of an invite (or openly, where the operator allows it).

use std::{net::IpAddr, sync::Arc};

use sovereign_proto::{
    manifest,
    signed::PURPOSE_SIGN_UP,
    v1::{RegistrationMode, SignUpRequest, SignUpResponse},
};

use super::{Handle, admission, parse};
use crate::{
    auth::{attempts::Guesser, proof, secret},
    caller::{Device, Guest},
    clock::monotonic,
    ids::{AccountId, DeviceId},
    refusal::Refusal,
    server::Server,
    store::{InviteUse, NewAccount, NewDevice, SignUpOutcome},
};

impl Handle for SignUpRequest {
    type Caller = Guest;

    async fn handle(self, Guest(connection): Guest, server: &Arc<Server>) -> Result<SignUpResponse, Refusal> {
        let username = parse::username(&self.username)?;
        let invite = match (server.settings.policy.registration_mode(), self.invite_code.as_str()) {
            (RegistrationMode::Open, "") => InviteUse::None,
            (RegistrationMode::Closed, _) => return Err(Refusal::forbidden("this server takes no new people")),
            (_, "") => return Err(Refusal::forbidden("this server takes new people by invitation only")),
            (_, code) => InviteUse::Code(secret::hash(code)),
        };
        let (address, now) = (connection.address, server.clock.now_ms());
        server.auth.attempts.check(&[Guesser::address(address)], monotonic())?;
        let identity_key = parse::key(&self.identity_key, "identity_key is not 32 bytes")?;
        let manifest = self.manifest.ok_or_else(|| Refusal::invalid("the manifest is missing"))?;
        let body = proof::check_manifest(&manifest, None, &identity_key).map_err(|error| Refusal::invalid(error.to_string()))?;
        let [first] = body.devices.as_slice() else {
            return Err(Refusal::invalid("the first manifest lists exactly one device"));
        };
        let device = Device {
            account: AccountId(body.account_id),
            device: DeviceId(first.device_id),
            key: first.device_key,
            challenge: connection.challenge,
        };
        proof::check(&server.auth.key.server_id(), &device, PURPOSE_SIGN_UP, self.proof.as_ref())?;
        // No password is hashed for a guess. Whoever lost the answer to a sign-up that used the invite up is no guesser.
        if let InviteUse::Code(hash) = invite
            && !self.password.is_empty()
            && !server.store.is_invite_good(hash, now).await?
            && server.store.device(device.device).await?.is_none()
        {
            return Err(bad_invite(server, address));
        }
        let password_hash = match parse::new_password(self.password)? {
            Some(password) => Some(server.auth.passwords.hash(password).await?),
            None => None,
        };
        let account = NewAccount {
            account_id: device.account,
            username,
            identity_key,
            manifest_hash: manifest::Body::hash(&manifest.body),
            manifest: prost::Message::encode_to_vec(&manifest),
            device: NewDevice { device_id: device.device, device_key: device.key },
            password_hash,
            invite,
            now,
        };
        match server.store.sign_up(account).await? {
            SignUpOutcome::Created { .. } => {}
            SignUpOutcome::UsernameTaken => return Err(Refusal::conflict("the username is taken")),
            SignUpOutcome::IdTaken => {
                return Err(Refusal::conflict("account, device or identity key is known already: make new ones"));
            }
            SignUpOutcome::InviteInvalid => return Err(bad_invite(server, address)),
        }
        let session = admission::admit(server, &connection, device).await?;
        Ok(SignUpResponse { session: Some(session) })
    }
}

/// Counted as a guess; says the same of unknown, expired, revoked and used-up invites.
fn bad_invite(server: &Server, address: IpAddr) -> Refusal {
    server.auth.attempts.wrong(&[Guesser::address(address)], monotonic());
    Refusal::forbidden("the invite is not good (any more): ask for a new one")
}
