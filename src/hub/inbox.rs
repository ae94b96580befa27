//! What the rest of the server leaves for one session. Bounded: wake-ups of one log coalesce, pushes are hints.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sovereign_proto::v1::push;
use tokio::sync::Notify;

use crate::{ids::LogId, limits::WAITING_PUSHES, refusal::CloseCode};

/// Left by anybody, emptied by its session.
#[derive(Default)]
pub struct Inbox {
    mail: Mutex<Mail>,
    arrived: Notify,
}

/// What had been left.
#[derive(Default)]
pub struct Mail {
    /// Logs that have grown, each once.
    pub woken: Vec<LogId>,
    /// Logs that are to be read from the store's cursor again, because another window of them is open now.
    pub reopened: Vec<LogId>,
    /// Pushes, oldest first.
    pub pushes: VecDeque<push::Body>,
    /// The connection is to be closed with this code: the first reason stands.
    pub close: Option<CloseCode>,
}

impl Inbox {
    /// The log has grown.
    pub fn wake(&self, log: LogId) {
        let mut mail = self.lock();
        if !mail.woken.contains(&log) {
            mail.woken.push(log);
            drop(mail);
            self.arrived.notify_one();
        }
    }

    /// Another window of the log is open now.
    pub fn reopen(&self, log: LogId) {
        let mut mail = self.lock();
        if !mail.reopened.contains(&log) {
            mail.reopened.push(log);
        }
        drop(mail);
        self.arrived.notify_one();
    }

    /// Leaves a push. Beyond the bound the oldest is dropped: pushes are hints.
    pub fn push(&self, body: push::Body) {
        let mut mail = self.lock();
        if mail.pushes.len() == WAITING_PUSHES {
            mail.pushes.pop_front();
        }
        mail.pushes.push_back(body);
        drop(mail);
        self.arrived.notify_one();
    }

    /// Asks the session to close.
    pub fn close(&self, code: CloseCode) {
        self.lock().close.get_or_insert(code);
        self.arrived.notify_one();
    }

    /// Waits until something has been left. Safe to cancel.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes all that was left.
    pub fn take(&self) -> Mail {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use sovereign_proto::v1;

    use super::*;
    use crate::ids::{DeviceId, LogId};

    #[test]
    fn wake_ups_coalesce_and_pushes_are_bounded() {
        let inbox = Inbox::default();
        for _ in 0..1000 {
            inbox.wake(LogId::Device(DeviceId([1; 16])));
            inbox.push(push::Body::Live(v1::Live {}));
        }
        let mail = inbox.take();
        assert_eq!((mail.woken.len(), mail.pushes.len()), (1, WAITING_PUSHES));
    }

    #[tokio::test]
    async fn what_is_left_before_the_wait_ends_it() {
        let inbox = Inbox::default();
        inbox.close(CloseCode::Restart);
        inbox.close(CloseCode::Normal);
        inbox.arrived().await;
        assert_eq!(inbox.take().close, Some(CloseCode::Restart), "the first reason stands");
    }
}
