//! Who is asking. A caller type can be held only if the connection admits it, so a handler cannot run for anybody else.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

pub use crate::identity::{Device, Identity};

use crate::{
    clock::UnixMs,
    hub::{Inbox, Registration},
    ids::LogId,
    order::InOrder,
    rates::Purse,
    refusal::Refusal,
};

/// What is known of a connection while one of its requests is handled.
pub struct Connection {
    /// Where it comes from; loopback for the control socket.
    pub address: IpAddr,
    /// From this connection's `Hello`.
    pub challenge: [u8; 32],
    /// One authentication attempt per challenge: taken by the first.
    pub attempt: Mutex<bool>,
    /// Left by the handler of an authentication that went well, taken by the session with the answer.
    pub admission: Mutex<Option<Admission>>,
    /// Where the hub leaves what this connection has to know.
    pub inbox: Arc<Inbox>,
    /// Who it is, so far.
    pub identity: Identity,
    /// What its device and its account may still do; `None`: nobody is signed in.
    pub purses: Option<(Arc<Purse>, Arc<Purse>)>,
    /// Messages that have to be sent again before others.
    pub in_order: Arc<InOrder>,
}

/// What an authentication brings: who it is, its place in the hub, and which logs may have news.
pub struct Admission {
    /// From now on.
    pub identity: Identity,
    /// Held by the session for as long as it lives.
    pub registration: Registration,
    /// To be looked through before `Live`.
    pub news: Vec<LogId>,
    /// The end of the token it came by; `None`: it proved its key, or had a ticket.
    pub expires_at: Option<UnixMs>,
}

/// A kind of caller.
pub trait Caller: Sized {
    /// The caller, if the connection is one.
    fn admit(connection: &Arc<Connection>) -> Result<Self, Refusal>;
}

/// Anybody, authenticated or not.
pub struct Anyone;

impl Caller for Anyone {
    fn admit(_: &Arc<Connection>) -> Result<Self, Refusal> {
        Ok(Self)
    }
}

/// A connection that is about to prove who it is, with its one attempt.
pub struct Guest(pub Arc<Connection>);

impl Caller for Guest {
    fn admit(connection: &Arc<Connection>) -> Result<Self, Refusal> {
        if !matches!(connection.identity, Identity::Guest) {
            return Err(Refusal::conflict("this connection is signed in already: open another one"));
        }
        let mut used = connection.attempt.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if std::mem::replace(&mut *used, true) {
            return Err(Refusal::unauthenticated("one attempt per challenge: connect again"));
        }
        drop(used);
        Ok(Self(Arc::clone(connection)))
    }
}

impl Caller for Device {
    fn admit(connection: &Arc<Connection>) -> Result<Self, Refusal> {
        match &connection.identity {
            Identity::Active(device) => Ok(device.clone()),
            Identity::Pending(_) => {
                Err(Refusal::forbidden("this device is pending: approve it on another device of the account first"))
            }
            Identity::Operator => Err(Refusal::forbidden("the control socket speaks for the operator, not for a device")),
            Identity::Guest => Err(Refusal::unauthenticated("sign in first")),
        }
    }
}

/// An active device with the inbox of this very connection: for what ends with it.
pub struct Connected(pub Device, pub Arc<Inbox>);

impl Caller for Connected {
    fn admit(connection: &Arc<Connection>) -> Result<Self, Refusal> {
        Device::admit(connection).map(|device| Self(device, Arc::clone(&connection.inbox)))
    }
}

/// An active device with the order of this very connection's messages.
pub struct Sending(pub Device, pub Arc<InOrder>);

impl Caller for Sending {
    fn admit(connection: &Arc<Connection>) -> Result<Self, Refusal> {
        Device::admit(connection).map(|device| Self(device, Arc::clone(&connection.in_order)))
    }
}

/// A device of the account, pending or active.
pub struct Enrolled(pub Device);

impl Caller for Enrolled {
    fn admit(connection: &Arc<Connection>) -> Result<Self, Refusal> {
        match &connection.identity {
            Identity::Pending(device) => Ok(Self(device.clone())),
            _ => Device::admit(connection).map(Self),
        }
    }
}

/// Whoever may open the control socket.
pub struct Operator;

impl Caller for Operator {
    fn admit(connection: &Arc<Connection>) -> Result<Self, Refusal> {
        match connection.identity {
            Identity::Operator => Ok(Self),
            Identity::Guest => Err(Refusal::unauthenticated("sign in first")),
            _ => Err(Refusal::forbidden("only the operator may do this")),
        }
    }
}
