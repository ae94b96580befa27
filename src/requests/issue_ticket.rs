//! `IssueTicket`: thirty seconds, one use, for a query string.

use std::sync::Arc;

use sovereign_proto::v1::{IssueTicketRequest, IssueTicketResponse};

use super::Handle;
use crate::{caller::Device, clock::monotonic, limits, refusal::Refusal, server::Server};

impl Handle for IssueTicketRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<IssueTicketResponse, Refusal> {
        let now = server.clock.now_ms();
        let life = u64::try_from(limits::TICKET.as_millis()).unwrap_or(u64::MAX);
        let ticket = server.auth.tickets.issue(device.device, monotonic());
        let ticket = ticket.ok_or_else(|| Refusal::unavailable("too many tickets wait for their use", life))?;
        Ok(IssueTicketResponse { ticket: ticket.to_string(), expires_at_ms: now + life })
    }
}
