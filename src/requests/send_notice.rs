//! `SendNotice`: the operator says something to everybody, or to one account. Not end-to-end encrypted, and says so.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prost::Message as _;
use sovereign_proto::v1::{SendNoticeRequest, SendNoticeResponse, ServerNotice};

use super::{Handle, notices, overviews};
use crate::{
    caller::Operator,
    limits::{NOTICE, NOTICE_PATIENCE},
    refusal::Refusal,
    server::Server,
    store::{NewNotice, NoticeOutcome},
};

impl Handle for SendNoticeRequest {
    type Caller = Operator;

    async fn handle(self, _: Operator, server: &Arc<Server>) -> Result<SendNoticeResponse, Refusal> {
        let account = match overviews::account_named(server, &self.username).await? {
            Some(account) if server.store.account(account).await?.is_none_or(|account| !account.enabled) => {
                return Err(Refusal::conflict("the account is disabled or deleted: none of its devices would get it"));
            }
            account => account,
        };
        if !is_fit(&self.text) {
            return Err(Refusal::invalid("a notice has 1 to 4096 bytes, and no control characters but line feeds and tabs"));
        }
        let now = server.clock.now_ms();
        let body = ServerNotice { text: self.text, time_ms: now }.encode_to_vec().into();
        let number = match server.store.begin_notice(NewNotice { account, body, now }).await? {
            NoticeOutcome::Begun(number) => number,
            NoticeOutcome::TooMany => return Err(Refusal::unavailable("too many notices are on their way", 5000)),
        };
        let devices = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&devices);
        let told = move |devices| {
            counted.fetch_add(devices, Ordering::Relaxed);
        };
        // A task of its own: it goes on when the operator does not wait any longer.
        let delivery = tokio::spawn(notices::deliver(Arc::clone(server), number, told));
        let complete = match tokio::time::timeout(NOTICE_PATIENCE, delivery).await {
            Ok(Ok(delivered)) => {
                delivered?;
                true
            }
            Ok(Err(_)) | Err(_) => false,
        };
        Ok(SendNoticeResponse { devices: devices.load(Ordering::Relaxed), complete })
    }
}

fn is_fit(text: &str) -> bool {
    (1..=NOTICE).contains(&text.len()) && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_short_and_cannot_steer_a_terminal() {
        assert!(is_fit("Back at 18:00.\n\tThe operator") && is_fit(&"x".repeat(NOTICE)));
        for wrong in ["", &"x".repeat(NOTICE + 1), "\u{1b}[2J", "a\rb", "\u{9b}1m", "\0"] {
            assert!(!is_fit(wrong), "{wrong:?}");
        }
    }
}
