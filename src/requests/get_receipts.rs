//! `GetReceipts`: how far the members of a group have got, for who was away.

use std::sync::Arc;

use sovereign_proto::v1::{GetReceiptsRequest, GetReceiptsResponse};

use super::{
    Handle, parse,
    receipts::{progress, shown_to},
};
use crate::{caller::Device, refusal::Refusal, server::Server, store::Membership, wire};

impl Handle for GetReceiptsRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<GetReceiptsResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        if server.store.membership(group, device.device).await? != Membership::Member {
            return Err(Refusal::not_found());
        }
        let receipts = server.store.receipts(vec![group]).await?.pop().map(|(_, receipts)| receipts).unwrap_or_default();
        let shown = shown_to(&receipts, device.account);
        Ok(GetReceiptsResponse { receipts: shown.map(|receipt| wire::receipt(receipt.account, progress(receipt))).collect() })
    }
}
