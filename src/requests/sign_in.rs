//! `SignIn`: the device signs this connection's challenge. Nothing secret crosses, and no password is hashed.

use std::sync::Arc;

use sovereign_proto::{
    signed::PURPOSE_SIGN_IN,
    v1::{SignInRequest, SignInResponse},
};

use super::{Handle, admission, parse};
use crate::{
    auth::proof,
    caller::{Device, Guest},
    limits::POSITIONS,
    refusal::Refusal,
    server::Server,
    store::Arrival,
    wire,
};

impl Handle for SignInRequest {
    type Caller = Guest;

    async fn handle(self, Guest(connection): Guest, server: &Arc<Server>) -> Result<SignInResponse, Refusal> {
        let (account, device) = (parse::account_id(&self.account_id)?, parse::device_id(&self.device_id)?);
        let applicant = server.store.applicant(device).await?.filter(|applicant| applicant.account_id == account);
        // An unknown device costs the same signature check, against a key that nobody holds.
        let key = applicant.as_ref().map(|applicant| applicant.device_key);
        let device = Device { account, device, key: key.unwrap_or([0; 32]), challenge: connection.challenge };
        proof::check(&server.auth.key.server_id(), &device, PURPOSE_SIGN_IN, self.proof.as_ref())?;
        let positions = self.positions.iter().take(POSITIONS);
        let positions =
            positions.filter_map(|position| Some((wire::log(&position.group_id, device.device)?, position.seq))).collect();
        let arrival = Arrival { incarnation: self.incarnation, positions };
        let session = admission::admit_as(server, &connection, device, applicant, arrival).await?;
        Ok(SignInResponse { session: Some(session) })
    }
}
