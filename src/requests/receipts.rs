//! Receipts between the requests: who has got further, told to the live members of the group at most once a second.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    hub::Progress,
    ids::{AccountId, GroupId},
    server::Server,
    store::{Movement, Receipt, StoreError},
};

/// Groups that one snapshot is held for.
const AT_ONCE: usize = 64;

/// The receipts that `account` is shown: its own, and those of others if neither side hides them or has blocked the
/// other.
pub fn shown_to(receipts: &[Receipt], account: AccountId) -> impl Iterator<Item = &Receipt> {
    let own = receipts.iter().find(|receipt| receipt.account == account);
    let hides = own.is_none_or(|own| own.hidden);
    let member = own.is_some();
    let apart = move |receipt: &Receipt| hides || receipt.hidden || receipt.blocked.contains(&account);
    receipts.iter().filter(move |receipt| member && (receipt.account == account || !apart(receipt)))
}

/// In the hub's words.
#[must_use]
pub fn progress(receipt: &Receipt) -> Progress {
    Progress { delivered: receipt.delivered, read: receipt.read }
}

/// Every second. A group costs the same however many messages it had; one that nobody live reads costs nothing.
pub async fn tick(server: &Arc<Server>) -> Result<(), StoreError> {
    let mut moved: BTreeMap<GroupId, BTreeMap<AccountId, Movement>> = server.store.movements().into_iter().collect();
    moved.retain(|group, _| server.hub.is_read(*group));
    let groups: Vec<GroupId> = moved.keys().copied().collect();
    for some in groups.chunks(AT_ONCE) {
        for (group, receipts) in server.store.receipts(some.to_vec()).await? {
            let Some(accounts) = moved.get(&group) else { continue };
            server.hub.tell_progress(group, |account| told(&receipts, accounts, account));
        }
    }
    Ok(())
}

/// What a live member is told of those who moved. Its own cursors it knows; its own read marker moved on another device.
fn told(receipts: &[Receipt], moved: &BTreeMap<AccountId, Movement>, account: AccountId) -> Vec<(AccountId, Progress)> {
    let news =
        |receipt: &&Receipt| moved.get(&receipt.account).is_some_and(|movement| receipt.account != account || movement.read);
    shown_to(receipts, account).filter(news).map(|receipt| (receipt.account, progress(receipt))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: AccountId = AccountId([1; 16]);
    const BOB: AccountId = AccountId([2; 16]);
    const EVE: AccountId = AccountId([3; 16]);

    fn receipt(account: AccountId, hidden: bool) -> Receipt {
        Receipt { account, delivered: 7, read: 5, hidden, blocked: Vec::new() }
    }

    fn names(told: Vec<(AccountId, Progress)>) -> Vec<AccountId> {
        told.into_iter().map(|(account, _)| account).collect()
    }

    #[test]
    fn who_hides_neither_shows_nor_sees_and_strangers_see_nothing() {
        let receipts = [receipt(ADA, false), receipt(BOB, false), receipt(EVE, true)];
        let moved = [ADA, BOB, EVE].map(|account| (account, Movement { read: false })).into();
        assert_eq!(names(told(&receipts, &moved, ADA)), [BOB]);
        assert!(told(&receipts, &moved, EVE).is_empty());
        assert!(told(&receipts, &moved, AccountId([9; 16])).is_empty());
    }

    #[test]
    fn who_is_blocked_sees_nothing_of_the_other_and_the_other_nothing_of_them() {
        let mut receipts = [receipt(ADA, false), receipt(BOB, false), receipt(EVE, false)];
        (receipts[0].blocked, receipts[1].blocked) = (vec![BOB], vec![ADA]);
        let moved = [ADA, BOB, EVE].map(|account| (account, Movement { read: false })).into();
        assert_eq!(names(told(&receipts, &moved, ADA)), [EVE]);
        assert_eq!(names(told(&receipts, &moved, BOB)), [EVE]);
        assert_eq!(names(told(&receipts, &moved, EVE)), [ADA, BOB]);
    }

    #[test]
    fn only_what_moved_is_told_and_the_own_marker_reaches_the_own_devices() {
        let receipts = [receipt(ADA, false), receipt(BOB, true)];
        let moved = [(BOB, Movement { read: true })].into();
        assert!(told(&receipts, &moved, ADA).is_empty());
        assert_eq!(names(told(&receipts, &moved, BOB)), [BOB], "also where it hides from others");
    }
}
