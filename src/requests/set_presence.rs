//! `SetPresence`: what this connection shows of its device.

use std::sync::Arc;

use sovereign_proto::v1::{PresenceState, SetPresenceRequest, SetPresenceResponse};

use super::{Handle, presence};
use crate::{caller::Connected, refusal::Refusal, server::Server};

impl Handle for SetPresenceRequest {
    type Caller = Connected;

    async fn handle(self, Connected(device, inbox): Connected, server: &Arc<Server>) -> Result<SetPresenceResponse, Refusal> {
        let away = match self.state() {
            PresenceState::Online => false,
            PresenceState::Away => true,
            PresenceState::Offline | PresenceState::Unspecified => {
                return Err(Refusal::invalid("a connection shows itself online or away; SetPrivacy hides the account"));
            }
        };
        loop {
            let version = server.hub.presences().version();
            let known = presence::known(server, device.account).await?;
            if server.hub.show(device.device, &inbox, known, away, server.clock.now_ms(), version) {
                return Ok(SetPresenceResponse { hidden: known.hidden });
            }
        }
    }
}
