//! `SetPrivacy`: what the account shows of itself, for all its devices and for good.

use std::sync::Arc;

use sovereign_proto::v1::{SetPrivacyRequest, SetPrivacyResponse};

use super::{Handle, presence};
use crate::{caller::Device, refusal::Refusal, server::Server, store::PrivacyChange};

impl Handle for SetPrivacyRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<SetPrivacyResponse, Refusal> {
        let change = PrivacyChange { hide_presence: self.hide_presence, hide_receipts: self.hide_receipts };
        if change != PrivacyChange::default() {
            server.store.set_privacy(device.account, change).await?;
        }
        if change.hide_presence.is_some() {
            presence::privacy_changed(server, device.account).await?;
        }
        let privacy = server.store.privacy(device.account).await?.unwrap_or_default();
        Ok(SetPrivacyResponse { hide_presence: privacy.hide_presence, hide_receipts: privacy.hide_receipts })
    }
}
