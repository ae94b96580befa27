//! The client library's values in the words of this program: events, exit codes, names of groups.

use std::time::Duration;

use sovereign_client::{
    Cause, Client, ConnectionState, DeviceInfo, DeviceState, Error, ErrorClass, Event as Happening, GroupInfo, GroupState,
    Message,
};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    event::{Event, Member},
    exit::{self, Exit},
    output::Output,
};

/// How long commands that work offline wait for the newest state.
const CATCH_UP: Duration = Duration::from_secs(5);

/// How long nothing may happen until what came with a sign-in counts as taken in.
const QUIET: Duration = Duration::from_millis(250);

/// How long to wait for that at most.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Between two tries, so that a connection that just broke off is seen as such.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The exit that an error of the library asks for.
pub(crate) fn exit(error: &Error) -> Exit {
    let code = match error.class() {
        ErrorClass::Usage => exit::USAGE,
        ErrorClass::Network => exit::UNAVAILABLE,
        ErrorClass::Vault => exit::IO,
        ErrorClass::Owned | ErrorClass::Timeout => exit::TEMPORARY,
        ErrorClass::NoAccount => exit::CONFIG,
        ErrorClass::Untrusted => exit::NOT_PERMITTED,
        ErrorClass::Refused | ErrorClass::NotFound | ErrorClass::Internal => exit::FAILED,
    };
    Exit::failed(code, error.to_string())
}

/// The same where the vault is being made.
pub(crate) fn exit_creating(error: &Error) -> Exit {
    let is_vault = error.class() == ErrorClass::Vault;
    let exit = exit(error);
    if is_vault { Exit { code: exit::CANNOT_CREATE, ..exit } } else { exit }
}

/// The connection's state as it changes.
pub(crate) struct StateOf {
    receiver: watch::Receiver<(ConnectionState, Cause)>,
}

impl StateOf {
    /// From now on.
    pub(crate) fn new(client: &Client) -> Self {
        Self { receiver: client.state() }
    }

    /// The present state.
    pub(crate) fn event(&mut self) -> Event {
        let (state, cause) = self.receiver.borrow_and_update().clone();
        state_event(state, &cause)
    }

    /// The next state. Cancel safe.
    pub(crate) async fn changed(&mut self) -> Event {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.event()
    }

    /// The exit that the end of the connection asks for, once it has ended for good.
    pub(crate) fn end(&self) -> Option<Exit> {
        let (state, cause) = self.receiver.borrow().clone();
        (state == ConnectionState::Stopped).then(|| end(&cause))
    }

    /// Waits for the connection to end for good.
    pub(crate) async fn stopped(&mut self) -> Exit {
        loop {
            if let Some(exit) = self.end() {
                return exit;
            }
            self.changed().await;
        }
    }
}

fn end(cause: &Cause) -> Exit {
    let code = match cause {
        Cause::ServerUntrusted(_) | Cause::Refused { .. } => exit::NOT_PERMITTED,
        Cause::Network(_) | Cause::HeartbeatLost => exit::UNAVAILABLE,
        _ => exit::FAILED,
    };
    Exit::failed(code, cause.to_string())
}

/// Why the client is not live, if it is not.
pub(crate) fn trouble(client: &Client) -> Option<String> {
    let (state, cause) = client.state().borrow().clone();
    match (state, cause) {
        (ConnectionState::Live, _) => None,
        (ConnectionState::Syncing, _) => Some("signed in, but nothing comes; a new device has to be approved first".to_owned()),
        (_, Cause::Proceeding | Cause::Requested) => Some("connecting".to_owned()),
        (_, cause) => Some(cause.to_string()),
    }
}

/// Does the work once the client is live, and again when the connection broke off before an answer: whatever became
/// durable on the way is found by the next try. Ends with another error, or with the connection.
pub(crate) async fn persistently<T, F>(client: &Client, mut work: impl FnMut() -> F) -> Result<T, Exit>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        client.wait_live().await.map_err(|error| exit(&error))?;
        match work().await {
            Err(error) if error.class() == ErrorClass::Network => sleep(RETRY_PAUSE).await,
            result => return result.map_err(|error| exit(&error)),
        }
    }
}

/// After a sign-in: a new group's entries follow once its Welcome was taken, and names of people are asked for. Waits
/// until nothing has happened for a moment.
async fn settle(client: &Client) {
    let mut happenings = client.events();
    let quiet = async { while timeout(QUIET, happenings.recv()).await.is_ok_and(|happening| happening.is_ok()) {} };
    // A group where something happens all the time is shown as it is.
    timeout(SETTLE_MAX, quiet).await.ok();
}

/// Waits a little for the newest state; says so if there is none to be had.
pub(crate) async fn catch_up(client: &Client, output: &mut impl Output) -> Result<(), Exit> {
    if matches!(timeout(CATCH_UP, client.wait_live()).await, Ok(Ok(()))) {
        settle(client).await;
    } else {
        let why = trouble(client).unwrap_or_else(|| "offline".to_owned());
        output.emit(vec![Event::Note { text: format!("showing what this device knows ({why})") }]).await?;
    }
    Ok(())
}

/// The group of an id, of the beginning of an id (4 digits at least), or of a name that only one group has. One that is
/// not known yet may come with what the server still has for this device.
pub(crate) async fn find_group(client: &Client, wanted: &str) -> Result<[u8; 32], Exit> {
    let own = client.account().username;
    let groups = client.groups().await.map_err(|error| exit(&error))?;
    if let Ok(group) = choose(&groups, wanted, &own) {
        return Ok(group);
    }
    client.wait_live().await.map_err(|error| exit(&error))?;
    settle(client).await;
    let groups = client.groups().await.map_err(|error| exit(&error))?;
    choose(&groups, wanted, &own)
}

fn choose(groups: &[GroupInfo], wanted: &str, own: &str) -> Result<[u8; 32], Exit> {
    let lower = wanted.to_ascii_lowercase();
    let is_id = lower.len() >= 4 && lower.bytes().all(|byte| byte.is_ascii_hexdigit());
    let by_id = |group: &&GroupInfo| is_id && hex(&group.id).starts_with(&lower);
    let by_name = |group: &&GroupInfo| title(group, own) == wanted;
    let mut found: Vec<&GroupInfo> = groups.iter().filter(by_name).collect();
    if found.is_empty() {
        found = groups.iter().filter(by_id).collect();
    }
    match found[..] {
        [one] => Ok(one.id),
        [] => Err(Exit::failed(exit::FAILED, format!("there is no group {wanted:?} here; `sov groups` lists them"))),
        _ => Err(Exit::failed(
            exit::FAILED,
            format!("{wanted:?} is the beginning or the name of several groups; use more of the id"),
        )),
    }
}

/// What a group is called here: its name, or its other members.
pub(crate) fn title(group: &GroupInfo, own: &str) -> String {
    if let Some(name) = &group.name {
        return name.clone();
    }
    let mut others: Vec<&str> = group.members.iter().map(|member| member.username.as_str()).filter(|name| *name != own).collect();
    others.sort_unstable();
    if others.is_empty() { own.to_owned() } else { others.join(", ") }
}

/// The title of a group by its id; the beginning of the id where it is not known.
pub(crate) async fn title_of(client: &Client, group: &[u8; 32]) -> Result<String, Exit> {
    let own = client.account().username;
    let groups = client.groups().await.map_err(|error| exit(&error))?;
    Ok(groups.iter().find(|known| known.id == *group).map_or_else(|| hex(&group[..4]), |known| title(known, &own)))
}

/// A message as an event.
pub(crate) fn message(message: &Message, title: &str) -> Event {
    Event::Message {
        group: hex(&message.group),
        title: title.to_owned(),
        seq: message.seq,
        from: message.from.clone(),
        text: message.text.clone(),
        time_ms: message.time_ms,
    }
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

/// What happened as an event; `None` for what is told otherwise (messages from the inbox, states from the connection).
/// `name` turns an account id into a username.
pub(crate) fn happening(happening: Happening, name: impl Fn(&[u8; 16]) -> String) -> Option<Event> {
    let names = |accounts: Vec<[u8; 16]>| {
        let mut names: Vec<String> = accounts.iter().map(&name).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    Some(match happening {
        Happening::Message(_) | Happening::State { .. } => return None,
        Happening::Joined { group } => Event::Joined { group: hex(&group) },
        Happening::Left { group } => Event::Left { group: hex(&group) },
        Happening::Renamed { group, name } => Event::Renamed { group: hex(&group), name },
        Happening::MembersChanged { group, epoch, added, removed } => {
            Event::Members { group: hex(&group), epoch, added: names(added), removed: names(removed) }
        }
        Happening::SendFailed { group, client_id, reason } => {
            Event::SendFailed { group: hex(&group), client_id: hex(&client_id), reason }
        }
        Happening::Alarm { group, alarm } => Event::Alarm { group: group.map(|group| hex(&group)), text: alarm.to_string() },
        Happening::DeviceState(state) => Event::DeviceState { state: device_state(state).to_owned() },
    })
}

fn device_state(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Pending => "pending",
        DeviceState::Active => "active",
        DeviceState::Revoked => "revoked",
    }
}

fn state_event(state: ConnectionState, cause: &Cause) -> Event {
    let state = match state {
        ConnectionState::Connecting { .. } => "connecting",
        ConnectionState::Authenticating => "authenticating",
        ConnectionState::Syncing => "syncing",
        ConnectionState::Live => "live",
        ConnectionState::Backoff { .. } => "backoff",
        ConnectionState::Stopped => "stopped",
    };
    Event::State { state: state.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group_of(id: u8, name: Option<&str>, members: &[&str]) -> GroupInfo {
        let member = |name: &&str| sovereign_client::Member {
            username: (*name).to_owned(),
            account_id: [0; 16],
            devices: 1,
            leaving: false,
        };
        GroupInfo {
            id: [id; 32],
            name: name.map(str::to_owned),
            members: members.iter().map(member).collect(),
            epoch: 1,
            direct: name.is_none(),
            state: GroupState::Active,
        }
    }

    #[test]
    fn groups_are_found_by_id_beginning_and_name() {
        let groups = [
            group_of(0xab, Some("Tea"), &["ann", "bob"]),
            group_of(0xac, Some("Tea"), &["ann", "bob"]),
            group_of(0xad, None, &["ann", "carol", "bob"]),
            group_of(0xae, Some("abab"), &["ann"]),
        ];
        let find = |wanted: &str| choose(&groups, wanted, "ann").map(|id| id[0]).map_err(|exit| exit.code);
        assert_eq!(find(&"ac".repeat(32)), Ok(0xac));
        assert_eq!(find("ADAD"), Ok(0xad));
        assert_eq!(find("bob, carol"), Ok(0xad));
        assert_eq!(find("abab"), Ok(0xae), "a name goes before the beginning of an id");
        assert_eq!(find("Tea"), Err(exit::FAILED));
        assert_eq!(find("aba"), Err(exit::FAILED));
        assert_eq!(find("nothing"), Err(exit::FAILED));
    }

    #[test]
    fn ends_have_their_exit_codes() {
        assert_eq!(end(&Cause::ServerUntrusted("x".into())).code, exit::NOT_PERMITTED);
        assert_eq!(end(&Cause::Superseded).code, exit::FAILED);
        assert_eq!(exit(&Error::NoAccount).code, exit::CONFIG);
        assert_eq!(exit(&Error::Network("x".into())).code, exit::UNAVAILABLE);
        assert_eq!(exit(&Error::Timeout).code, exit::TEMPORARY);
    }
}
