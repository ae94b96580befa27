//! From a proof that was good to a live device: the same for every way to authenticate.

use std::sync::{Arc, PoisonError};

use sovereign_proto::v1;

use super::{
    answers::{bytes, stock},
    nomination,
};
use crate::{
    auth::secret,
    caller::{Admission, Connection, Device, Identity},
    clock::monotonic,
    ids::{DeviceId, GroupId, LogId},
    refusal::Refusal,
    server::Server,
    store::{Applicant, Arrival, DeviceState, LogPosition, SignInOutcome},
    wire::group_id,
};

/// The answer to everything that is not good enough: the same bytes for all causes.
#[must_use]
pub fn refused() -> Refusal {
    Refusal::unauthenticated("account, device or proof is not good")
}

/// Makes the device, which has stated nothing of itself, live and tells it where it stands. The connection takes what is
/// left in its admission slot.
pub async fn admit(server: &Arc<Server>, connection: &Connection, device: Device) -> Result<v1::Session, Refusal> {
    let applicant = server.store.applicant(device.device).await?;
    admit_as(server, connection, device, applicant, Arrival::default()).await
}

/// The same where the store has been asked already, and the device states how it arrives.
pub async fn admit_as(
    server: &Arc<Server>,
    connection: &Connection,
    device: Device,
    applicant: Option<Applicant>,
    arrival: Arrival,
) -> Result<v1::Session, Refusal> {
    let applicant = admissible(applicant, &device)?;
    let (account_id, device_id) = (device.account, device.device);
    // Registered before the snapshot is read: what is stored behind the snapshot wakes this connection.
    let registration = server.hub.register(device_id, account_id, Arc::clone(&connection.inbox));
    let (identity, news, told) = if applicant.state == DeviceState::Pending {
        // Whoever was shut out a moment ago was not found in the hub; from here on it is. Of an active device the store
        // looks in the same way below.
        admissible(server.store.applicant(device_id).await?, &device)?;
        (Identity::Pending(device), Vec::new(), None)
    } else {
        let hub = server.hub.clone();
        let follow = move |groups: &[GroupId]| hub.subscribe(device_id, groups.iter().copied());
        let mut signed_in = match server.store.sign_in(device_id, arrival, server.clock.now_ms(), follow).await? {
            SignInOutcome::SignedIn(signed_in) => signed_in,
            SignInOutcome::Refused => return Err(refused()),
            SignInOutcome::RolledBack => {
                return Err(Refusal::conflict("this device's store was rolled back: link the device anew"));
            }
        };
        // A full list may have been cut: then every log is looked through.
        let complete = signed_in.news.len() < crate::limits::GROUPS_PER_PAGE;
        let news = if complete {
            signed_in.news.iter().map(|position| position.log).collect()
        } else {
            let groups = std::mem::take(&mut signed_in.groups);
            std::iter::once(LogId::Device(device_id)).chain(groups.into_iter().map(LogId::Group)).collect()
        };
        (Identity::Active(device), news, Some(signed_in))
    };
    let device_state = if told.is_some() { v1::DeviceState::Active } else { v1::DeviceState::Pending };
    let session = v1::Session {
        account_id: bytes(account_id.as_bytes()),
        device_id: bytes(device_id.as_bytes()),
        device_state: device_state.into(),
        username: applicant.username,
        key_package_stock: told.as_ref().map(|told| stock(server, told.stock)),
        logs: told.iter().flat_map(|told| &told.news).map(log_state).collect(),
        manifest_version: applicant.manifest_version,
        administrator: applicant.administrator,
    };
    *connection.admission.lock().unwrap_or_else(PoisonError::into_inner) =
        Some(Admission { identity, registration, news, expires_at: None });
    if let Some(told) = told {
        nomination::raise_all(server, told.tasks).await?;
    }
    Ok(session)
}

/// Authenticates by a session token, with which the session ends.
pub async fn by_token(server: &Arc<Server>, connection: &Connection, token: &str) -> Result<v1::Session, Refusal> {
    let (device, expires_at) = server.store.token(secret::hash(token), server.clock.now_ms()).await?.ok_or_else(refused)?;
    let session = by_secret(server, connection, device).await?;
    if let Some(admission) = connection.admission.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        admission.expires_at = Some(expires_at);
    }
    Ok(session)
}

/// Authenticates by a ticket, which is used up.
pub async fn by_ticket(server: &Arc<Server>, connection: &Connection, ticket: &str) -> Result<v1::Session, Refusal> {
    let device = server.auth.tickets.redeem(ticket, monotonic()).ok_or_else(refused)?;
    by_secret(server, connection, device).await
}

async fn by_secret(server: &Arc<Server>, connection: &Connection, device: DeviceId) -> Result<v1::Session, Refusal> {
    let known = server.store.applicant(device).await?.ok_or_else(refused)?;
    let device = Device { account: known.account_id, device, key: known.device_key, challenge: connection.challenge };
    admit_as(server, connection, device, Some(known), Arrival::default()).await
}

fn admissible(applicant: Option<Applicant>, device: &Device) -> Result<Applicant, Refusal> {
    let good = |applicant: &Applicant| applicant.account_id == device.account && applicant.enabled;
    applicant.filter(|applicant| good(applicant) && applicant.state != DeviceState::Revoked).ok_or_else(refused)
}

fn log_state(position: &LogPosition) -> v1::LogState {
    v1::LogState {
        group_id: group_id(position.log),
        first_available: position.first_available,
        head: position.head,
        cursor: position.cursor,
    }
}
