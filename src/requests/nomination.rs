//! Asks one live member at a time to commit what its group needs: removals of revoked devices and leavers, additions of
//! devices that had no key package. Whoever lets its lease run out is passed over.

use std::sync::Arc;

use sovereign_proto::v1::{self, push};

use super::answers;
use crate::{
    ids::{GroupId, Leaf},
    limits::NOMINATION_LEASE,
    server::Server,
    store::StoreError,
};

/// Asks one live member of the group to commit what is open, unless one is being asked already.
pub async fn raise(server: &Server, group: GroupId) -> Result<(), StoreError> {
    let asked = server.duties.lease(group);
    if asked.is_some_and(|asked| asked.holds()) {
        return Ok(());
    }
    let (remove, add) = (server.store.removal_tasks(group).await?, server.store.add_tasks(group).await?);
    let live = server.hub.readers(group);
    let candidates = || live.iter().copied().filter(|device| remove.iter().all(|removal| removal.device_id != *device));
    let last = asked.map(|asked| asked.device);
    // The next one in line; the same one again only if there is no other.
    let next = candidates().skip_while(|device| last.is_some_and(|last| *device != last)).find(|device| Some(*device) != last);
    let nominee = next.or_else(|| candidates().next());
    let Some(device) = nominee.filter(|_| !(remove.is_empty() && add.is_empty())) else {
        server.duties.forget(group);
        return Ok(());
    };
    server.duties.ask(group, device);
    let reference = |leaf: &Leaf| answers::device(leaf.account_id, leaf.device_id);
    let needed = v1::CommitNeeded {
        group_id: answers::bytes(group.as_bytes()),
        remove: remove.iter().map(reference).collect(),
        add: add.iter().map(reference).collect(),
        lease_ms: u32::try_from(NOMINATION_LEASE.as_millis()).unwrap_or(u32::MAX),
    };
    server.hub.push(device, push::Body::CommitNeeded(needed));
    Ok(())
}

/// A commit of this group was accepted: its open tasks, if any, are asked for anew.
pub async fn settled(server: &Server, group: GroupId) -> Result<(), StoreError> {
    if server.duties.forget(group) { raise(server, group).await } else { Ok(()) }
}

/// Asks for what is open in the groups of somebody who has just become live.
pub async fn raise_all(server: &Server, groups: Vec<GroupId>) -> Result<(), StoreError> {
    for group in groups {
        raise(server, group).await?;
    }
    Ok(())
}

/// Every second: whoever let a lease run out is passed over.
pub async fn tick(server: &Arc<Server>) -> Result<(), StoreError> {
    for group in server.duties.overdue() {
        raise(server, group).await?;
    }
    Ok(())
}
