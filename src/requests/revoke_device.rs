//! `RevokeDevice`: on the operator's word. Transport is cut at once; the leaves are asked to go.

use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use sovereign_proto::v1::{FailureCode, RevokeDeviceRequest, RevokeDeviceResponse};

use super::{Handle, answers::bytes, nomination};
use crate::{
    caller::Operator,
    ids::DeviceId,
    limits::DEVICE_ID_PREFIX,
    refusal::{CloseCode, Refusal},
    server::Server,
    store::RevokeOutcome,
};

/// Hex digits of a whole id.
const DIGITS: usize = 32;

impl Handle for RevokeDeviceRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<RevokeDeviceResponse, Refusal> {
        #[cfg(feature = "sabotage")]
        if crate::sabotage::breaks("late_event") {
            return Ok(RevokeDeviceResponse::default());
        }
        let (first, last) = range(&self.id)
            .ok_or_else(|| Refusal::invalid("a device's id has 32 hex digits; give the first 8 of them at least"))?;
        match server.store.revoke_device(first, last, server.clock.now_ms()).await? {
            RevokeOutcome::Revoked { device, username, groups } => {
                server.hub.close(device, CloseCode::SessionEnded);
                let told = u32::try_from(groups.len()).unwrap_or(u32::MAX);
                for group in groups {
                    nomination::raise(server, group).await?;
                }
                Ok(RevokeDeviceResponse { device_id: bytes(device.as_bytes()), username, groups: told })
            }
            RevokeOutcome::Already => Err(Refusal::conflict("the device is revoked already")),
            RevokeOutcome::Unknown => {
                Err(Refusal::new(FailureCode::NotFound, "no device's id starts so: `device list` shows them"))
            }
            RevokeOutcome::Ambiguous => Err(Refusal::conflict("several devices' ids start so: give more digits")),
        }
    }
}

/// The first and the last id that start with these hex digits.
fn range(prefix: &str) -> Option<(DeviceId, DeviceId)> {
    if !(DEVICE_ID_PREFIX..=DIGITS).contains(&prefix.len()) || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |digit: &str| {
        let digits = format!("{prefix}{}", digit.repeat(DIGITS - prefix.len()));
        DeviceId::try_from(HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.as_slice()).ok()
    };
    Some((filled("0")?, filled("f")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_range_of_ids() {
        let (first, last) = range("0123456789A").expect("it is in order");
        assert_eq!((first.0[4..6].to_vec(), last.0[4..6].to_vec()), (vec![0x89, 0xa0], vec![0x89, 0xaf]));
        assert_eq!(range(&"0f".repeat(16)).map(|(first, last)| first == last), Some(true));
        for wrong in ["", "0123456", "0123456%", &"0".repeat(33), "0123456\u{20ac}"] {
            assert!(range(wrong).is_none(), "{wrong}");
        }
    }
}
