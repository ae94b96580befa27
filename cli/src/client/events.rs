//! The library's values as this program's events.

use std::collections::HashMap;

use sovereign_client::{
    Client, Contact, DeviceInfo, DeviceState, Event as Happening, GroupInfo, GroupState, IdentityInfo, Message, Presence,
    Receipt, Relation,
};

use super::{groups::title, hex};
use crate::{
    event::{Event, Member},
    exit::Exit,
};

/// A message as an event.
pub(crate) fn message(message: &Message, title: &str) -> Event {
    Event::Message {
        group: hex(&message.group),
        title: title.to_owned(),
        seq: message.seq,
        from: message.from.clone(),
        text: message.text.clone(),
        time_ms: message.time_ms,
        request: message.request,
        urgent: message.urgent,
        expires_at_ms: message.expires_at_ms,
        delivered: Vec::new(),
        read: Vec::new(),
    }
}

/// An own message with what became of it.
pub(crate) fn own_message(message: &Message, title: &str, receipts: &[Receipt]) -> Event {
    let those = |reached: &dyn Fn(&Receipt) -> u64| -> Vec<String> {
        receipts.iter().filter(|receipt| reached(receipt) >= message.seq).map(|receipt| receipt.username.clone()).collect()
    };
    let (has, knows) = (those(&|receipt| receipt.delivered), those(&|receipt| receipt.read));
    let mut event = self::message(message, title);
    if let Event::Message { delivered, read, .. } = &mut event {
        (*delivered, *read) = (has, knows);
    }
    event
}

/// A group as an event.
pub(crate) fn group(group: &GroupInfo, own: &str) -> Event {
    let member = |member: &sovereign_client::Member| Member {
        name: member.username.clone(),
        devices: member.devices,
        leaving: member.leaving,
    };
    let state = match group.state {
        GroupState::Joining => "joining",
        GroupState::Active => "active",
        GroupState::Leaving => "leaving",
        GroupState::Frozen => "frozen",
        GroupState::Left => "left",
    };
    Event::Group {
        group: hex(&group.id),
        name: group.name.clone(),
        title: title(group, own),
        members: group.members.iter().map(member).collect(),
        epoch: group.epoch,
        direct: group.direct,
        state: state.to_owned(),
        request: group.request,
    }
}

/// A device as an event.
pub(crate) fn device(device: &DeviceInfo) -> Event {
    Event::Device {
        device: hex(&device.device_id),
        state: device_state(device.state).to_owned(),
        current: device.this,
        created_at_ms: device.created_at_ms,
        last_seen_ms: device.last_seen_ms,
    }
}

/// Somebody's identity as an event.
pub(crate) fn identity(identity: &IdentityInfo) -> Event {
    Event::Identity {
        username: identity.username.clone(),
        known: hex(&identity.known),
        offered: hex(&identity.offered),
        changed: identity.changed,
    }
}

/// The names of the accounts in a happening that has them as ids.
pub(crate) async fn names_in(client: &Client, happening: &Happening) -> Result<HashMap<[u8; 16], String>, Exit> {
    let mut names = HashMap::new();
    if let Happening::MembersChanged { added, removed, .. } = happening {
        for account in added.iter().chain(removed) {
            names.insert(*account, client.username(*account).await.map_err(|error| super::exit(&error))?);
        }
    }
    Ok(names)
}

/// What happened as an event; `None` for what is told otherwise (messages from the inbox, own ones by who sent them, states from the connection).
/// `name` turns an account id into a username.
pub(crate) fn happening(happening: Happening, name: impl Fn(&[u8; 16]) -> String) -> Option<Event> {
    let names = |accounts: Vec<[u8; 16]>| {
        let mut names: Vec<String> = accounts.iter().map(&name).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    Some(match happening {
        Happening::Message(_) | Happening::Accepted { .. } | Happening::State { .. } => return None,
        Happening::Joined { group } => Event::Joined { group: hex(&group) },
        Happening::Left { group } => Event::Left { group: hex(&group) },
        Happening::Renamed { group, name } => Event::Renamed { group: hex(&group), name },
        Happening::Reset { group, successor } => Event::Reset { group: hex(&group), successor: hex(&successor) },
        Happening::MembersChanged { group, epoch, added, removed } => {
            Event::Members { group: hex(&group), epoch, added: names(added), removed: names(removed) }
        }
        Happening::SendFailed { group, client_id, reason } => {
            Event::SendFailed { group: hex(&group), client_id: hex(&client_id), reason }
        }
        Happening::Delayed { group, reason, retry_after_ms } => Event::Delayed { group: hex(&group), reason, retry_after_ms },
        Happening::Alarm { group, alarm } => Event::Alarm { group: group.map(|group| hex(&group)), text: alarm.to_string() },
        Happening::DeviceState(state) => Event::DeviceState { state: device_state(state).to_owned() },
        Happening::Typing { group, from, active } => Event::Typing { group: hex(&group), from, active },
        Happening::Signal { group, from, kind, payload, .. } => {
            Event::Signal { group: hex(&group), from, kind, payload: hex(&payload) }
        }
        Happening::Presence { username, presence, .. } => self::presence(username, presence),
        Happening::Receipt { group, username, delivered, read, .. } => {
            Event::Receipt { group: hex(&group), username, delivered, read }
        }
        Happening::Contact(contact) => changed(self::contact(&contact)),
        Happening::ServerNotice { text, time_ms } => Event::ServerNotice { text, time_ms },
    })
}

/// Somebody's presence as an event.
pub(crate) fn presence(username: String, presence: Presence) -> Event {
    let (state, last_seen_ms) = match presence {
        Presence::Online => ("online", None),
        Presence::Away => ("away", None),
        Presence::Offline { last_seen_ms } => ("offline", last_seen_ms),
    };
    Event::Presence { username, state: state.to_owned(), last_seen_ms }
}

/// A contact as an event of the list.
pub(crate) fn contact(contact: &Contact) -> Event {
    let relation = match contact.relation {
        Relation::None => "none",
        Relation::Requested => "requested",
        Relation::Request => "request",
        Relation::Accepted => "accepted",
        Relation::Blocked => "blocked",
    };
    Event::Contact {
        username: contact.username.clone(),
        account_id: hex(&contact.account_id),
        relation: relation.to_owned(),
        since_ms: Some(contact.since_ms),
    }
}

/// The same as a change that has just happened.
pub(crate) fn changed(contact: Event) -> Event {
    match contact {
        Event::Contact { username, account_id, relation, .. } => {
            Event::Contact { username, account_id, relation, since_ms: None }
        }
        other => other,
    }
}

fn device_state(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Pending => "pending",
        DeviceState::Active => "active",
        DeviceState::Revoked => "revoked",
    }
}
