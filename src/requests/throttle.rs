//! How often requests may be made: the class of each, and the one check that stands in the gate.
//!
//! A device and its account are asked first and charged for the attempt. A group is charged for what succeeded, so that
//! nobody from outside can use up what its members share, and refuses members only: to all others it does not exist.

use std::{sync::Arc, time::Duration};

use sovereign_proto::v1::{FailureCode, OutgoingMessage, request};

use crate::{
    caller::{Connection, Identity},
    clock::Instant,
    ids::{ClientId, DeviceId, GroupId},
    limits::{HEAVY, Limits, MESSAGE_UNIT, Rate},
    order::{Behind, InPlace},
    rates::{Bucket, Purse},
    refusal::Refusal,
    server::Server,
    store::Membership,
};

/// When to ask again for a message that stands behind a refused one, in milliseconds.
const BEHIND_MS: u64 = 250;

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// A message: one, and another for each 16 KiB.
    Message,
    /// Answered from memory, or by reading a little.
    Light,
    /// Validated, hashed, written in many places, or answered with much: counts for ten. The messages of a bundle count as
    /// messages besides.
    Heavy,
    /// Somebody comes in: counted for its address.
    Entry,
    /// The operator's own.
    Operator,
}

fn class(body: &request::Body) -> Class {
    use request::Body;
    match body {
        Body::SendMessage(_) => Class::Message,
        Body::SignUp(_) | Body::SignIn(_) | Body::SignInWithPassword(_) => Class::Entry,
        Body::Ping(_)
        | Body::SignOut(_)
        | Body::IssueTicket(_)
        | Body::FindAccount(_)
        | Body::ListManifests(_)
        | Body::ListDevices(_)
        | Body::ListRelations(_)
        | Body::SetRelation(_)
        | Body::CountKeyPackages(_)
        | Body::ReserveGroup(_)
        | Body::ListGroups(_)
        | Body::ConfirmEpoch(_)
        | Body::FetchEntries(_)
        | Body::SetPresence(_)
        | Body::SetPrivacy(_)
        | Body::MarkRead(_)
        | Body::GetReceipts(_)
        | Body::GetUsage(_) => Class::Light,
        Body::IssueToken(_)
        | Body::ChangePassword(_)
        | Body::PublishManifest(_)
        | Body::PublishKeyPackages(_)
        | Body::ClaimKeyPackages(_)
        | Body::CreateGroup(_)
        | Body::SubmitCommit(_)
        | Body::Propose(_)
        | Body::GetGroupInfo(_)
        | Body::LeaveGroup(_)
        | Body::ResetGroup(_)
        | Body::ReviveGroup(_)
        | Body::WatchPresence(_) => Class::Heavy,
        Body::CreateInvite(_)
        | Body::ListInvites(_)
        | Body::RevokeInvite(_)
        | Body::SetAccountEnabled(_)
        | Body::ListAccounts(_)
        | Body::ShowAccount(_)
        | Body::ResetPassword(_)
        | Body::DeleteAccount(_)
        | Body::ListAccountDevices(_)
        | Body::RevokeDevice(_)
        | Body::ListSessions(_)
        | Body::EndSession(_)
        | Body::SendNotice(_)
        | Body::GetStatus(_)
        | Body::BackUp(_) => Class::Operator,
    }
}

/// What the gate does with a request.
pub enum Verdict {
    /// Lets it through.
    Go(Charge),
    /// Says when to come back.
    Refused(Refusal),
    /// Its group has no more: who is a member is told so.
    Busy(Busy),
}

/// What a request takes out of a purse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    messages: u32,
    requests: u32,
}

/// How fast the two buckets of a purse fill.
#[derive(Clone, Copy)]
struct Rates {
    messages: Rate,
    requests: Rate,
}

/// How long a purse has not enough, and whether it is messages that are missing.
struct Missing {
    wait: Duration,
    messages: bool,
}

/// What is done about a request that was let through, once its outcome is known.
pub struct Charge {
    /// The group's purse, what the request costs it, and when it came.
    group: Option<(Arc<Purse>, Price, u64)>,
    /// A message that keeps its place among those of its connection.
    in_place: Option<InPlace>,
}

/// A request for a group that is busier than the server allows.
pub struct Busy {
    group: GroupId,
    device: Option<DeviceId>,
    refusal: Refusal,
}

/// Lets a request through, or says when to come back.
pub fn admit(server: &Server, connection: &Connection, body: &request::Body, now: Instant) -> Verdict {
    let (class, limits) = (class(body), &server.settings.limits);
    let in_place = match in_place(connection, body, now) {
        Ok(in_place) => in_place,
        Err(behind) => return Verdict::Refused(behind),
    };
    let price = price(class, body);
    let at = server.rates.at(now);
    let admitted = match &connection.purses {
        Some((device, account)) => own(device, account, price, limits, at),
        None if class == Class::Entry => address(server, connection, now),
        // A guest lives for seconds; the operator is nobody's burden but the operator's.
        None => Ok(()),
    };
    if let Err(refusal) = admitted {
        hold(in_place);
        return Verdict::Refused(refusal);
    }
    let Some(group) = group_of(body) else { return Verdict::Go(Charge { group: None, in_place }) };
    let purse = server.rates.group(group, now);
    let wait = price.missing(&purse, Rates::in_group(limits), at).wait;
    if wait.is_zero() {
        return Verdict::Go(Charge { group: Some((purse, price, at)), in_place });
    }
    hold(in_place);
    let device = if let Identity::Active(device) = &connection.identity { Some(device.device) } else { None };
    Verdict::Busy(Busy { group, device, refusal: limited("this group is busier than the server allows", wait) })
}

impl Charge {
    /// The request was answered: its group is charged for what succeeded, and what was refused is not overtaken.
    pub fn settle<T>(self, server: &Server, result: &Result<T, Refusal>) {
        match (result, self) {
            (Ok(_), Self { group: Some((purse, price, at)), .. }) => {
                price.spend(&purse, Rates::in_group(&server.settings.limits), at);
            }
            (Err(refusal), Self { in_place, .. }) if is_of_one(refusal.code()) => hold(in_place),
            _ => {}
        }
    }
}

impl Busy {
    /// The refusal: whoever may not see the group does not learn that it is busy.
    pub async fn refused<T>(self, server: Arc<Server>) -> Result<T, Refusal> {
        let Some(device) = self.device else { return Err(Refusal::not_found()) };
        match server.store.membership(self.group, device).await? {
            Membership::None => Err(Refusal::not_found()),
            Membership::Member | Membership::Leaving | Membership::AccountOnly => Err(self.refusal),
        }
    }
}

/// Whether somebody from this address may come in now. It is charged for the attempt.
pub fn address(server: &Server, connection: &Connection, now: Instant) -> Result<(), Refusal> {
    let (purse, rate, at) =
        (server.rates.address(connection.address, now), server.settings.limits.sign_ins(), server.rates.at(now));
    let wait = purse.requests.wait(1, rate, at);
    if !wait.is_zero() {
        return Err(limited("too many come in from this address", wait));
    }
    purse.requests.spend(1, rate, at);
    Ok(())
}

fn own(device: &Purse, account: &Purse, price: Price, limits: &Limits, at: u64) -> Result<(), Refusal> {
    let (of_device, of_account) = (Rates::of_device(limits), Rates::of_account(limits));
    let (devices, accounts) = (price.missing(device, of_device, at), price.missing(account, of_account, at));
    if devices.wait.is_zero() && accounts.wait.is_zero() {
        price.spend(device, of_device, at);
        price.spend(account, of_account, at);
        return Ok(());
    }
    let its_own = devices.wait >= accounts.wait;
    let missing = if its_own { devices } else { accounts };
    let message = match (missing.messages, its_own) {
        (true, true) => "this device sends more messages than the server allows",
        (true, false) => "this account's devices send more messages than the server allows",
        (false, true) => "this device asks more often than the server allows",
        (false, false) => "this account's devices ask more often than the server allows",
    };
    Err(limited(message, missing.wait))
}

impl Price {
    /// What a purse lacks of it; nothing is lacking where the wait is zero.
    fn missing(self, purse: &Purse, rates: Rates, at: u64) -> Missing {
        // Whoever takes nothing waits for nothing, whatever others have taken.
        let wait = |bucket: &Bucket, cost, rate| if cost == 0 { Duration::ZERO } else { bucket.wait(cost, rate, at) };
        let messages = wait(&purse.messages, self.messages, rates.messages);
        let requests = wait(&purse.requests, self.requests, rates.requests);
        Missing { wait: messages.max(requests), messages: messages >= requests }
    }

    fn spend(self, purse: &Purse, rates: Rates, at: u64) {
        if self.messages > 0 {
            purse.messages.spend(self.messages, rates.messages, at);
        }
        if self.requests > 0 {
            purse.requests.spend(self.requests, rates.requests, at);
        }
    }
}

impl Rates {
    fn of_device(limits: &Limits) -> Self {
        Self { messages: limits.of_device(true), requests: limits.of_device(false) }
    }

    fn of_account(limits: &Limits) -> Self {
        Self { messages: limits.of_account(true), requests: limits.of_account(false) }
    }

    fn in_group(limits: &Limits) -> Self {
        Self { messages: limits.in_group(true), requests: limits.in_group(false) }
    }
}

fn price(class: Class, body: &request::Body) -> Price {
    let messages = match body {
        request::Body::SendMessage(send) => send.message.as_ref().map_or(1, of_message),
        // Otherwise eight messages would cost no more than none, and nobody's share of messages anything.
        request::Body::SubmitCommit(submit) => submit.messages.iter().map(of_message).fold(0, u32::saturating_add),
        _ => 0,
    };
    let requests = match class {
        Class::Message => 0,
        Class::Heavy => HEAVY,
        Class::Light | Class::Entry | Class::Operator => 1,
    };
    Price { messages, requests }
}

fn of_message(message: &OutgoingMessage) -> u32 {
    u32::try_from(1 + message.ciphertext.len() / MESSAGE_UNIT).unwrap_or(u32::MAX)
}

/// The group whose members share what the request takes.
fn group_of(body: &request::Body) -> Option<GroupId> {
    let id = match body {
        request::Body::SendMessage(send) => &send.group_id,
        request::Body::SubmitCommit(submit) => &submit.group_id,
        request::Body::Propose(propose) => &propose.group_id,
        _ => return None,
    };
    GroupId::try_from(&id[..]).ok()
}

/// The message's place, if it is one that keeps it, and does not stand behind one that was refused.
fn in_place(connection: &Connection, body: &request::Body, now: Instant) -> Result<Option<InPlace>, Refusal> {
    let request::Body::SendMessage(send) = body else { return Ok(None) };
    if !send.in_order {
        return Ok(None);
    }
    let id = send.message.as_ref().and_then(|message| ClientId::try_from(&message.client_id[..]).ok());
    // What is no message is refused by its handler.
    let (Some(group), Some(id)) = (group_of(body), id) else { return Ok(None) };
    let in_place = connection.in_order.take(group, id, send.anew, now).map_err(|Behind| {
        let message = "a message before this one was refused: send that one again first, or begin anew";
        Refusal::unavailable(message, BEHIND_MS)
    })?;
    Ok(Some(in_place))
}

fn hold(in_place: Option<InPlace>) {
    if let Some(in_place) = in_place {
        in_place.hold();
    }
}

fn limited(message: &'static str, wait: Duration) -> Refusal {
    // Rounded up: who comes back then is let through.
    Refusal::rate_limited(message, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_add(1))
}

/// Whether a message behind the one that was refused might be taken: not where the group takes none of them.
fn is_of_one(code: FailureCode) -> bool {
    !matches!(code, FailureCode::NotFound | FailureCode::Forbidden | FailureCode::StaleEpoch)
}
