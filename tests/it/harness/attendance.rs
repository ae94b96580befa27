//! A raw connection that shows itself, watches others and hears how far they have got.

use bytes::Bytes;
use openmls::prelude::MlsGroup;
use sovereign_proto::v1::{self, PresenceState, push};

use super::{
    Raw, TestServer,
    raw::Keys,
    scene::{Person, Seat, pair},
};

/// Ada and Bob in a group that both have accepted: they may see each other.
pub async fn acquainted(server: &TestServer) -> (Seat, Seat) {
    let (ada, mut bob) = pair(server).await;
    bob.person.accept(&bob.group).await;
    (ada, bob)
}

impl Person {
    /// Accepts a group that somebody has added this account to.
    pub async fn accept(&mut self, group: &MlsGroup) {
        let target = Some(v1::set_relation_request::Target::GroupId(Bytes::copy_from_slice(group.group_id().as_slice())));
        let request = v1::SetRelationRequest { target, change: v1::RelationChange::Accept.into() };
        self.raw.call(request).await.unwrap_or_else(|failure| panic!("not accepted: {}", failure.message));
    }
}

impl Raw {
    /// Shows this device.
    pub async fn show(&mut self, state: PresenceState) {
        let request = v1::SetPresenceRequest { state: state.into() };
        self.call(request).await.unwrap_or_else(|failure| panic!("not shown: {}", failure.message));
    }

    /// Watches these accounts; what is told of them at once.
    pub async fn watch(&mut self, accounts: &[&Keys]) -> Vec<v1::AccountPresence> {
        let request = watch_request(accounts.iter().map(|keys| keys.account));
        self.call(request).await.unwrap_or_else(|failure| panic!("not watched: {}", failure.message)).accounts
    }

    /// Watches one account until it is shown like this.
    pub async fn until_shown(&mut self, keys: &Keys, state: PresenceState) -> v1::AccountPresence {
        loop {
            let told = self.next_presence().await;
            if let Some(presence) = told.into_iter().find(|told| told.account_id == keys.account[..] && told.state() == state) {
                return presence;
            }
        }
    }

    /// The accounts of the next push of presence.
    pub async fn next_presence(&mut self) -> Vec<v1::AccountPresence> {
        loop {
            if let push::Body::Presence(changed) = self.push().await {
                return changed.accounts;
            }
        }
    }

    /// The next receipts of a group.
    pub async fn next_receipts(&mut self, group_id: &[u8]) -> Vec<v1::Receipt> {
        loop {
            if let push::Body::Receipts(changed) = self.push().await
                && changed.group_id == group_id
            {
                return changed.receipts;
            }
        }
    }

    /// Waits until an account is said to have got this far.
    pub async fn until_progress(&mut self, group_id: &[u8], keys: &Keys, delivered: u64, read: u64) {
        loop {
            let receipts = self.next_receipts(group_id).await;
            let reached = |receipt: &v1::Receipt| receipt.delivered_seq >= delivered && receipt.read_seq >= read;
            if receipts.iter().any(|receipt| receipt.account_id == keys.account[..] && reached(receipt)) {
                return;
            }
        }
    }

    /// The receipts of a group as they are told when asked: account, delivered, read.
    pub async fn receipts(&mut self, group_id: &[u8]) -> Vec<(Vec<u8>, u64, u64)> {
        let request = v1::GetReceiptsRequest { group_id: Bytes::copy_from_slice(group_id) };
        let answer = self.call(request).await.unwrap_or_else(|failure| panic!("no receipts: {}", failure.message));
        let row = |receipt: v1::Receipt| (receipt.account_id.to_vec(), receipt.delivered_seq, receipt.read_seq);
        answer.receipts.into_iter().map(row).collect()
    }
}

/// A watch list.
pub fn watch_request(accounts: impl IntoIterator<Item = [u8; 16]>) -> v1::WatchPresenceRequest {
    v1::WatchPresenceRequest { account_ids: accounts.into_iter().map(|id| Bytes::copy_from_slice(&id)).collect() }
}

/// A change of what is hidden.
pub fn privacy(hide_presence: Option<bool>, hide_receipts: Option<bool>) -> v1::SetPrivacyRequest {
    v1::SetPrivacyRequest { hide_presence, hide_receipts }
}

/// A read marker.
pub fn read_request(group_id: &[u8], seq: u64) -> v1::MarkReadRequest {
    v1::MarkReadRequest { group_id: Bytes::copy_from_slice(group_id), seq }
}
