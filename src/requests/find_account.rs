//! `FindAccount`: by exact username or by id. Who has blocked the caller is not found by name; by id only in a common
//! group, whose members the caller has to check.

use std::sync::Arc;

use sovereign_proto::v1::{FindAccountRequest, FindAccountResponse, find_account_request::By};

use super::{Handle, answers::bytes, parse};
use crate::{caller::Device, refusal::Refusal, server::Server};

impl Handle for FindAccountRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<FindAccountResponse, Refusal> {
        let account = match self.by {
            Some(By::Username(username)) => server.store.find_account(device.account, parse::username(&username)?).await?,
            Some(By::AccountId(id)) => server.store.visible_account(device.account, parse::account_id(&id)?).await?,
            None => return Err(Refusal::invalid("neither username nor account_id is set")),
        };
        let account = account.filter(|account| account.enabled).ok_or_else(Refusal::not_found)?;
        Ok(FindAccountResponse {
            account_id: bytes(account.account_id.as_bytes()),
            username: account.username,
            identity_key: bytes(account.identity_key),
            manifest_version: account.manifest_version,
        })
    }
}
