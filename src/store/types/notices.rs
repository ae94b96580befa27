//! Notices of the server.

use bytes::Bytes;

use crate::{
    clock::UnixMs,
    ids::{AccountId, DeviceId},
};

/// A notice before it is on its way.
pub struct NewNotice {
    /// For the devices of this account; `None`: of all.
    pub account: Option<AccountId>,
    /// The encoded `ServerNotice`.
    pub body: Bytes,
    /// When it is said.
    pub now: UnixMs,
}

/// How beginning a notice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeOutcome {
    /// It is durable and on its way, under this number.
    Begun(i64),
    /// So many are on their way already as may be.
    TooMany,
}

/// One step of a notice's way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoticeStep {
    /// Whose logs have it since this step.
    pub reached: Vec<DeviceId>,
    /// Everybody has it, or there is no such notice any more.
    pub done: bool,
}
