//! `ConfirmEpoch`: members say whether a commit worked for them; the server learns equality and nothing else.

use std::sync::Arc;

use sovereign_proto::v1::{ConfirmEpochRequest, ConfirmEpochResponse, confirm_epoch_request::Verdict as Told};

use super::{Handle, parse};
use crate::{
    caller::Device,
    refusal::Refusal,
    server::Server,
    store::{ConfirmOutcome, Verdict},
};

impl Handle for ConfirmEpochRequest {
    type Caller = Device;

    async fn handle(self, device: Device, server: &Arc<Server>) -> Result<ConfirmEpochResponse, Refusal> {
        let group = parse::group_id(&self.group_id)?;
        let verdict = match self.verdict {
            Some(Told::Tag(tag)) => Verdict::Tag(parse::key(&tag, "a confirmation tag has 32 bytes")?),
            Some(Told::Nack(true)) => Verdict::Nack,
            Some(Told::Nack(false)) | None => return Err(Refusal::invalid("neither a tag nor a nack")),
        };
        match server.store.confirm(group, device.device, self.epoch, verdict, server.clock.now_ms()).await? {
            ConfirmOutcome::Noted { frozen } => Ok(ConfirmEpochResponse { frozen }),
            ConfirmOutcome::NotFound => Err(Refusal::not_found()),
        }
    }
}
