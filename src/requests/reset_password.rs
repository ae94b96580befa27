//! `ResetPassword`: a password for somebody who has lost theirs. It makes no device active: a password never does.

use std::sync::Arc;

use sovereign_proto::v1::{ResetPasswordRequest, ResetPasswordResponse};

use super::{Handle, overviews::unknown_account, parse};
use crate::{
    auth::secret,
    caller::Operator,
    refusal::{CloseCode, Refusal},
    server::Server,
};

impl Handle for ResetPasswordRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<ResetPasswordResponse, Refusal> {
        let username = parse::username(&self.username)?;
        let given = parse::new_password(self.password)?;
        let made = given.is_none().then(secret::password);
        let password = given.or_else(|| made.clone()).unwrap_or_default();
        // Nothing slow is done for a name that does not exist.
        let known = server.store.account_by_name(username.clone()).await?.filter(|account| !account.deleted);
        if known.is_none() {
            return Err(unknown_account(server, &username).await?);
        }
        let hash = server.auth.passwords.hash(password).await?;
        let Some(account) = server.store.reset_password(username.clone(), hash, server.clock.now_ms()).await? else {
            return Err(unknown_account(server, &username).await?);
        };
        server.hub.close_account(account, CloseCode::SessionEnded);
        Ok(ResetPasswordResponse { password: made.map(|password| password.as_str().to_owned()).unwrap_or_default() })
    }
}
