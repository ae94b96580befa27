//! What is looked after without being asked: the stock of key packages, and the groups of the account.

use std::sync::Arc;

use sovereign_proto::v1;

use super::Engine;
use crate::error::Error;

/// Key packages in one request at most.
const BATCH_MAX: u32 = 100;
/// Stock of this age is replaced.
const STOCK_AGE_MAX_MS: u64 = 30 * 24 * 3600 * 1000;
/// Pages of groups that are read in one go.
const PAGES_MAX: usize = 64;

impl Engine {
    /// Publishes what the server's stock of this device lacks.
    pub(crate) async fn keep_stock(self: &Arc<Self>, stock: v1::KeyPackageStock) -> Result<(), Error> {
        let _one_at_a_time = self.stock.lock().await;
        let mut stock = stock;
        loop {
            let old = stock.oldest_at_ms != 0 && stock.oldest_at_ms + STOCK_AGE_MAX_MS < self.clock.now_ms();
            let missing = if old { stock.wanted } else { stock.wanted.saturating_sub(stock.available) }.min(BATCH_MAX);
            let last_resort = !stock.has_last_resort || stock.last_resort_used;
            if missing == 0 && !last_resort {
                return Ok(());
            }
            let request = self.run(|work| {
                let package = |last| Ok::<_, Error>(work.mls.key_package(work.tx, work.now, last)?.into());
                Ok(v1::PublishKeyPackagesRequest {
                    key_packages: (0..missing).map(|_| package(false)).collect::<Result<_, _>>()?,
                    last_resort: if last_resort { package(true)? } else { bytes::Bytes::new() },
                    replace: old,
                })
            })?;
            let answer = self.call(request).await?.stock.unwrap_or_default();
            if answer.available <= stock.available && !old && !last_resort {
                // The server keeps fewer than it wants: no reason to go on for ever.
                return Ok(());
            }
            stock = answer;
        }
    }

    /// Learns the account's groups, and finds those that this device is to come into from outside.
    pub(crate) async fn list_groups(self: &Arc<Self>) -> Result<(), Error> {
        let mut after = bytes::Bytes::new();
        for _ in 0..PAGES_MAX {
            let page = self.call(v1::ListGroupsRequest { after_group_id: after }).await?;
            self.run(|work| page.groups.iter().try_for_each(|summary| work.listed(summary)))?;
            match page.groups.last() {
                Some(last) if page.more => after = last.group_id.clone(),
                _ => break,
            }
        }
        Ok(())
    }
}
