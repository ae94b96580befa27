//! What a client has to do with people: contacts, presence, receipts, identities, and the own account's devices.

use bytes::Bytes;
use sovereign_proto::v1;

use super::Client;
use crate::{
    error::Error,
    model::{Availability, Contact, DeviceInfo, IdentityInfo, Presence, Receipt, Room, Usage},
};

#[expect(clippy::unused_async, reason = "all methods are awaited, whether they meet the network today or not")]
impl Client {
    /// How this account stands to others, by name; strangers are not among them. What the server says, or, where it
    /// cannot be asked, what is known here.
    pub async fn contacts(&self) -> Result<Vec<Contact>, Error> {
        self.engine.contacts().await
    }

    /// Wants to hear from somebody: their messages and groups are requests no more.
    pub async fn accept(&self, name: &str) -> Result<(), Error> {
        self.engine.relate(name, v1::RelationChange::Accept).await
    }

    /// Looks unknown to somebody from now on. Who shares a group of more with them goes on to see them there.
    pub async fn block(&self, name: &str) -> Result<(), Error> {
        self.engine.relate(name, v1::RelationChange::Block).await
    }

    /// Makes somebody a stranger again: declines a request, forgets a contact, takes back a block. They are not told.
    pub async fn remove_contact(&self, name: &str) -> Result<(), Error> {
        self.engine.relate(name, v1::RelationChange::Remove).await
    }

    /// The own account's devices.
    pub async fn devices(&self) -> Result<Vec<DeviceInfo>, Error> {
        self.engine.devices().await
    }

    /// Lets a pending device take part. `id`: its id in hex, or the start of it. The answer is the whole id.
    pub async fn approve_device(&self, id: &str) -> Result<[u8; 16], Error> {
        self.engine.approve(id).await
    }

    /// Shuts a device out for good. `id` as above.
    pub async fn revoke_device(&self, id: &str) -> Result<[u8; 16], Error> {
        self.engine.revoke(id).await
    }

    /// Shows this account as there or away by this device, now and after every start; or hides it, on all its devices
    /// until one of them shows it again. Resolves when the server knows.
    pub async fn set_availability(&self, availability: Availability) -> Result<(), Error> {
        self.engine.set_availability(availability).await
    }

    /// Everybody whom this device shares a group with, by username, with account id and presence; of more than 512 people
    /// only so many. Waits until the server can be asked. Changes are told as [`Event::Presence`].
    pub async fn presence(&self) -> Result<Vec<(String, [u8; 16], Presence)>, Error> {
        self.engine.presence().await
    }

    /// This account has read the group up to `seq`, which others see unless receipts are off. Resolves when this device
    /// has noted it; the server hears of the newest marker when it can.
    pub async fn mark_read(&self, group: [u8; 32], seq: u64) -> Result<(), Error> {
        self.engine.mark_read(group, seq)
    }

    /// How far this account has read the group on any of its devices, as far as this one knows. 0: nothing.
    pub async fn read_marker(&self, group: [u8; 32]) -> Result<u64, Error> {
        self.engine.run(|work| work.read_marker(&group))
    }

    /// How far the other members have got, by account id: as the server says, or as it said last where it cannot be
    /// asked now. Empty where receipts are off, and in groups of more than 64 accounts.
    pub async fn receipts(&self, group: [u8; 32]) -> Result<Vec<Receipt>, Error> {
        self.engine.receipts(group).await
    }

    /// How many bytes of this account's messages wait on the server, of how many that may; and in a group, if one is
    /// named.
    pub async fn usage(&self, group: Option<[u8; 32]>) -> Result<Usage, Error> {
        let group_id = Bytes::from(group.map(|group| group.to_vec()).unwrap_or_default());
        let told = self.engine.patiently(|| self.engine.call(v1::GetUsageRequest { group_id: group_id.clone() })).await?;
        let room = |quota: v1::Quota| Room { used_bytes: quota.used_bytes, limit_bytes: quota.limit_bytes };
        Ok(Usage { account: room(told.account.unwrap_or_default()), group: told.group.map(room) })
    }

    /// Shows others how far this account has received and read, and sees it of them; or neither. For all its devices,
    /// until it is changed. Resolves when the server knows.
    pub async fn set_receipts(&self, on: bool) -> Result<(), Error> {
        self.engine.set_receipts(on).await
    }

    /// The identity of somebody known here, and the one that the server shows now. `NotFound`: nobody of this name is
    /// known.
    pub async fn identity(&self, name: &str) -> Result<IdentityInfo, Error> {
        self.engine.identity(name).await
    }

    /// Accepts somebody's changed identity, if the server still shows the one of this fingerprint and it vouches for its
    /// devices from the first manifest on; sending works again then. Leaves that it does not vouch for are removed.
    pub async fn trust(&self, name: &str, fingerprint: [u8; 32]) -> Result<(), Error> {
        self.engine.trust(name, fingerprint).await
    }
}
