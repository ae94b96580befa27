//! `SendMessage`: an opaque message into its group's log, durable before it is answered.

use std::sync::Arc;

use sovereign_proto::v1::{SendMessageRequest, SendMessageResponse};

use super::{
    Handle, answers, parse,
    submit_commit::{frozen, server_behind, suspended},
};
use crate::{
    caller::Device,
    ids::LogId,
    mls,
    refusal::Refusal,
    server::Server,
    store::{Append, AppendOutcome},
};

impl Handle for SendMessageRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<SendMessageResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        let message = self.message.ok_or_else(|| Refusal::invalid("the message is missing"))?;
        let message = parse::outgoing(&message, &server.settings.limits)?;
        let header = mls::inspect_message(&message.ciphertext)?;
        if header.group != group {
            return Err(Refusal::invalid("the message is of another group"));
        }
        let append = Append { group, sender: device.device, epoch: header.epoch, message, now: server.clock.now_ms() };
        match server.store.append(append).await? {
            AppendOutcome::Accepted { seq, time } => {
                server.hub.wake(LogId::Group(group));
                Ok(SendMessageResponse { seq, time_ms: time, duplicate: false })
            }
            AppendOutcome::Duplicate { seq, time } => Ok(SendMessageResponse { seq, time_ms: time, duplicate: true }),
            AppendOutcome::NotFound => Err(Refusal::not_found()),
            AppendOutcome::Conflict => Err(Refusal::conflict("this client_id or ciphertext stands for something else")),
            AppendOutcome::Stale { current_epoch } => {
                Err(Refusal::stale_epoch(answers::stale(server, group, device.device, current_epoch).await?))
            }
            AppendOutcome::Frozen => Err(frozen()),
            AppendOutcome::Suspended => Err(suspended()),
            AppendOutcome::ServerBehind => Err(server_behind()),
        }
    }
}
