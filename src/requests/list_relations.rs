//! `ListRelations`: the own side of every relation of the caller's account.

use std::sync::Arc;

use sovereign_proto::v1::{ListRelationsRequest, ListRelationsResponse};

use super::{Handle, answers, parse};
use crate::{caller::Device, limits::RELATIONS_PER_PAGE, refusal::Refusal, server::Server};

impl Handle for ListRelationsRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ListRelationsResponse, Refusal> {
        let after = match self.after_account_id.len() {
            0 => None,
            _ => Some(parse::account_id(&self.after_account_id)?),
        };
        let mut contacts = server.store.relations(device.account, after, RELATIONS_PER_PAGE + 1).await?;
        let more = contacts.len() > RELATIONS_PER_PAGE;
        contacts.truncate(RELATIONS_PER_PAGE);
        Ok(ListRelationsResponse { contacts: contacts.into_iter().map(answers::contact).collect(), more })
    }
}
