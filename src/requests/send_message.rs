//! `SendMessage`: an opaque message into its group's log, durable before it is answered.

use std::sync::Arc;

use sovereign_proto::v1::{SendMessageRequest, SendMessageResponse};

use super::{
    Handle, answers, parse,
    submit_commit::{frozen, server_behind, suspended},
};
use crate::{
    caller::Sending,
    ids::LogId,
    mls,
    refusal::Refusal,
    server::Server,
    store::{Append, AppendOutcome},
};

impl Handle for SendMessageRequest {
    type Caller = Sending;

    async fn handle(self, Sending(device, order): Sending, server: &Arc<Server>) -> Result<SendMessageResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        let message = self.message.ok_or_else(|| Refusal::invalid("the message is missing"))?;
        let message = parse::outgoing(&message, &server.settings.limits)?;
        let header = mls::inspect_message(&message.ciphertext)?;
        if header.group != group {
            return Err(Refusal::invalid("the message is of another group"));
        }
        let in_place = self.in_order.then(|| order.in_place(group, message.client_id));
        let append = Append { group, sender: device.device, epoch: header.epoch, message, now: server.clock.now_ms() };
        match server.store.append_in_place(append, in_place).await? {
            AppendOutcome::Accepted { seq, time } => {
                server.hub.wake(LogId::Group(group));
                Ok(SendMessageResponse { seq, time_ms: time, duplicate: false })
            }
            AppendOutcome::Duplicate { seq, time } => Ok(SendMessageResponse { seq, time_ms: time, duplicate: true }),
            AppendOutcome::NotFound => Err(Refusal::not_found()),
            AppendOutcome::Conflict => Err(Refusal::conflict("this client_id or ciphertext stands for something else")),
            AppendOutcome::Stale { current_epoch } => {
                // Apart, so that what nearly every message waits in stays small.
                Err(Refusal::stale_epoch(Box::pin(answers::stale(server, group, device.device, current_epoch)).await?))
            }
            AppendOutcome::AccountFull(quota) => Err(Refusal::over_quota(false, quota.used, quota.limit)),
            AppendOutcome::GroupFull(quota) => Err(Refusal::over_quota(true, quota.used, quota.limit)),
            AppendOutcome::Frozen => Err(frozen()),
            AppendOutcome::Suspended => Err(suspended()),
            AppendOutcome::ServerBehind => Err(server_behind()),
        }
    }
}
