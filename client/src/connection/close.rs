//! What a close code, or a refused sign-in, asks of this client. Each asks exactly one thing.

use sovereign_proto::v1::FailureCode;

use super::Cause;

/// What to do after a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Connect again at once (after a delay if the last connection was short-lived).
    RetryNow,
    /// Connect again after the backoff's delay.
    RetryAfterDelay,
    /// Give up; the person is told unless this program asked for it.
    Stop,
}

/// Codes of `docs/protocol`, section Close codes, as far as this client acts on them by name.
const NORMAL: u16 = 1000;
const SESSION_ENDED: u16 = 4004;
const SUPERSEDED: u16 = 4009;
const HEARTBEAT_LOST: u16 = 4011;
const SLOW_READER: u16 = 4012;

/// The table of close codes. A code this client does not know (1006 where there was none) is worth another try later.
pub(super) fn action(code: u16) -> Action {
    match code {
        // Every connection authenticates with the device's key, so "authenticate again" is "connect again".
        SESSION_ENDED | HEARTBEAT_LOST | SLOW_READER => Action::RetryNow,
        // Nothing is left to do (this device signed out), or this client is at fault and would be again (no WebSocket
        // frame, a text frame, a frame above the limit, a request out of order, no Envelope), or somebody has to decide
        // (authentication failed, account disabled, superseded), or the code is reserved.
        NORMAL | 1002 | 1003 | 1009 | 4006 | 4007 | 4002 | 4005 | SUPERSEDED | 1008 | 4003 | 4010 => Action::Stop,
        _ => Action::RetryAfterDelay,
    }
}

/// The cause to tell for a close code.
pub(super) fn cause(code: u16, reason: &str) -> Cause {
    match code {
        NORMAL => Cause::Requested,
        SUPERSEDED => Cause::Superseded,
        _ => Cause::Closed { code, reason: reason.to_owned() },
    }
}

/// What a refused sign-in asks for: passing troubles of the server are waited out, a judgement is final.
pub(super) fn sign_in_refused(code: FailureCode) -> Action {
    match code {
        FailureCode::Unavailable
        | FailureCode::DeadlineExceeded
        | FailureCode::RateLimited
        | FailureCode::QuotaExceeded
        | FailureCode::Internal
        | FailureCode::Unspecified => Action::RetryAfterDelay,
        _ => Action::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_protocol_has_its_action() {
        let stop = [1000, 1002, 1003, 1008, 1009, 4002, 4003, 4005, 4006, 4007, 4009, 4010];
        let now = [4004, 4011, 4012];
        let later = [1001, 1006, 1011, 1012, 1013, 4001, 4008, 4999];
        assert!(stop.iter().all(|code| action(*code) == Action::Stop));
        assert!(now.iter().all(|code| action(*code) == Action::RetryNow));
        assert!(later.iter().all(|code| action(*code) == Action::RetryAfterDelay));
        assert_eq!(cause(4009, "elsewhere"), Cause::Superseded);
        assert_eq!(cause(1000, "goodbye"), Cause::Requested);
        assert_eq!(cause(4006, "order"), Cause::Closed { code: 4006, reason: "order".to_owned() });
    }

    #[test]
    fn only_passing_troubles_of_a_sign_in_are_retried() {
        assert_eq!(sign_in_refused(FailureCode::Unavailable), Action::RetryAfterDelay);
        assert_eq!(sign_in_refused(FailureCode::Unauthenticated), Action::Stop);
        assert_eq!(sign_in_refused(FailureCode::Conflict), Action::Stop);
    }
}
