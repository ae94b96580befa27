//! Entries from wherever they come: applied, and whatever is missing for that fetched.

use std::sync::Arc;

use sovereign_proto::v1;

use super::{Engine, apply::Need, joins::DEVICE_LOG, lock, records::Stage};
use crate::error::Error;

/// Rounds of fetching and learning for one batch of entries; a server that keeps asking for more is not followed.
const ROUNDS_MAX: usize = 4096;

impl Engine {
    /// Applies entries of a group.
    pub(super) async fn apply(self: &Arc<Self>, id: &[u8; 32], entries: &[v1::Entry]) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let strangers: Vec<[u8; 16]> = lock(&self.strangers).iter().copied().collect();
            match self.run(|work| work.apply(id, entries, &strangers))? {
                Need::Nothing => return Ok(()),
                Need::Identity(account) => self.learn_or_estrange(account).await?,
                Need::Entries { after } => {
                    let page = self.fetch(id, after).await?;
                    if page.is_empty() {
                        return Ok(());
                    }
                    self.apply_page(id, &page).await?;
                }
                Need::Broken { epoch } => return Box::pin(self.broken(id, epoch)).await,
            }
        }
        Ok(())
    }

    /// Applies entries of the device's own log.
    pub(super) async fn apply_device(self: &Arc<Self>, entries: &[v1::Entry]) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let Need::Entries { after } = self.run(|work| work.apply_device(entries))? else { return Ok(()) };
            let page = self.fetch(DEVICE_LOG, after).await?;
            if page.is_empty() || page.first().is_some_and(|entry| entry.seq > after + 1) {
                return Ok(());
            }
            self.run(|work| work.apply_device(&page).map(drop))?;
        }
        Ok(())
    }

    /// Brings the group to the epoch that the server names.
    pub(super) async fn catch_up(self: &Arc<Self>, id: &[u8; 32], stale: v1::StaleEpoch) -> Result<(), Error> {
        self.apply(id, &stale.entries).await?;
        for _ in 0..ROUNDS_MAX {
            let Some((epoch, cursor)) = self.position(id)? else { return Ok(()) };
            if epoch >= stale.current_epoch {
                return Ok(());
            }
            let page = self.fetch(id, cursor).await?;
            if page.is_empty() {
                break;
            }
            self.apply(id, &page).await?;
        }
        Err(Error::Network("the server does not give the entries it speaks of".to_owned()))
    }

    pub(super) async fn fetch(&self, id: &[u8], after: u64) -> Result<Vec<v1::Entry>, Error> {
        let request = v1::FetchEntriesRequest { group_id: id.to_vec().into(), from_seq: after, backward: false, limit: 0 };
        Ok(self.call(request).await?.entries)
    }

    /// A page that fills a hole may itself need identities, but never leads to another hole.
    async fn apply_page(self: &Arc<Self>, id: &[u8; 32], page: &[v1::Entry]) -> Result<(), Error> {
        for _ in 0..ROUNDS_MAX {
            let strangers: Vec<[u8; 16]> = lock(&self.strangers).iter().copied().collect();
            match self.run(|work| work.apply(id, page, &strangers))? {
                Need::Identity(account) => self.learn_or_estrange(account).await?,
                Need::Broken { epoch } => return Box::pin(self.broken(id, epoch)).await,
                Need::Nothing => return Ok(()),
                Need::Entries { .. } => break,
            }
        }
        Err(Error::Network("the server leaves a hole in a log".to_owned()))
    }

    /// A commit cannot be processed: the log is read once more from the server; then the server is told, and as the
    /// last resort this device comes in again from outside.
    async fn broken(self: &Arc<Self>, id: &[u8; 32], epoch: u64) -> Result<(), Error> {
        let first = self.run(|work| {
            let mut record = work.known_group(id)?;
            let first = !std::mem::replace(&mut record.replayed, true);
            work.put_group(&record)?;
            Ok(first)
        })?;
        if first {
            if let Some((_, cursor)) = self.position(id)? {
                let page = self.fetch(id, cursor).await?;
                return Box::pin(self.apply(id, &page)).await;
            }
            return Ok(());
        }
        let verdict = Some(v1::confirm_epoch_request::Verdict::Nack(true));
        let request = v1::ConfirmEpochRequest { group_id: id.to_vec().into(), epoch, verdict };
        if self.confirm(request).await? {
            return Ok(());
        }
        self.run(|work| {
            let mut record = work.known_group(id)?;
            record.stage = Stage::Outside;
            record.replayed = false;
            work.effects.wake.insert(*id);
            work.put_group(&record)
        })
    }

    /// Epoch and cursor of a group that this device is in.
    fn position(self: &Arc<Self>, id: &[u8; 32]) -> Result<Option<(u64, u64)>, Error> {
        self.run(|work| {
            let active = work.group(id)?.is_some_and(|record| record.stage == Stage::Active);
            if !active {
                return Ok(None);
            }
            let cursor = work.log(id)?.unwrap_or_default().cursor;
            Ok(Some((work.look(id, crate::mls::Group::epoch)?, cursor)))
        })
    }
}
