//! The server is put back from a backup: one is made while it runs, and some time later the server is killed, its
//! directory goes, and the backup takes its place. Rare, and well before the end, since people need a while to find
//! together again.

use std::{fs, io, path::PathBuf, time::Duration};

use sovereign_client::clock::monotonic;
use tokio::time::Instant;

use crate::{
    history::{Upset, What},
    look,
    nemesis::{Hand, Nemesis},
    random::Stream,
};

/// Storms of so many seconds have a restore more, up to three.
const SECONDS_EACH: u64 = 120;
const RESTORES_MAX: u64 = 3;
/// Groups wait for five seconds at least before they go on without somebody.
const HEALING: Duration = Duration::from_secs(20);

/// When there are restores.
pub(crate) struct Plan {
    /// Hundredths of the storm at which a backup is made, and the next one at which it is put back, in turn; the next
    /// one last.
    due: Vec<u64>,
    backup: Option<PathBuf>,
    last: Option<Instant>,
}

impl Plan {
    /// Of a seed. `wanted`: there are any; `seconds`: how long the storm lasts at least.
    pub(crate) fn new(seed: u64, wanted: bool, seconds: u64) -> Self {
        let mut chance = Stream::new(seed, "restore", 0);
        let count = if wanted { (1 + seconds / SECONDS_EACH).min(RESTORES_MAX) } else { 0 };
        // Sixty hundredths, in as many parts: a backup in the first half of each, and its use in the second.
        let part = 60 / count.max(1);
        let mut due: Vec<u64> = (0..count)
            .flat_map(|index| {
                let begin = index * part;
                [begin + chance.within(part / 8, part / 2), begin + chance.within(part / 2 + 2, part - 1)]
            })
            .collect();
        due.reverse();
        Self { due, backup: None, last: None }
    }

    /// Whether people are not together again for sure.
    pub(crate) fn is_healing(&self) -> bool {
        self.last.is_some_and(|last| last.elapsed() < HEALING)
    }

    /// Does what is due at this hundredth of the storm.
    pub(crate) async fn go_on(&mut self, hand: &mut Hand, at: u64) -> io::Result<()> {
        if self.is_healing() || self.due.last().is_none_or(|due| *due > at) {
            return Ok(());
        }
        self.due.pop();
        match self.backup.take() {
            None => self.backup = Some(hand.back_up(self.due.len()).await?),
            Some(backup) => {
                hand.put_back(&backup).await?;
                self.last = Some(monotonic());
            }
        }
        Ok(())
    }
}

impl Hand {
    /// An online backup; where it is.
    async fn back_up(&mut self, number: usize) -> io::Result<PathBuf> {
        let place = self.server.data().with_file_name(format!("backup-{number}"));
        self.town.history.record(What::Backup {});
        self.server.operate(&["backup", &place.to_string_lossy()]).await?;
        self.town.history.record(What::BackupOk {});
        self.revoked.clear();
        Ok(place)
    }

    /// SIGKILL with sends outstanding, and what there was is as in the backup.
    async fn put_back(&mut self, backup: &std::path::Path) -> io::Result<()> {
        self.progress(20).await;
        let kind = Nemesis::Restore.name().to_owned();
        self.town.history.record(What::Upset(Upset { kind, devs: Vec::new(), for_ms: 0 }));
        self.die().await?;
        let data = self.server.data();
        let old = data.with_file_name("data.old");
        fs::rename(&data, &old)?;
        let told = self.server.operate(&["restore", &backup.to_string_lossy(), "--json"]).await?;
        let told: serde_json::Value = serde_json::from_str(&told)?;
        let generation = told["store_generation"].as_u64().ok_or_else(|| io::Error::other("no generation"))?;
        // As an operator has to, before anybody can sign in.
        for id in &self.revoked {
            self.server.operate(&["device", "revoke", id]).await?;
        }
        self.town.history.record(What::Restored { generation });
        for kept in look::kept(&data).map_err(io::Error::other)? {
            if let Some(g) = self.town.number_of(&kept.id) {
                self.town.history.record(What::Kept { g, to: kept.to, next: kept.next, epoch: kept.epoch });
            }
        }
        self.up().await?;
        fs::remove_dir_all(&old)?;
        fs::remove_dir_all(backup)?;
        self.lives()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restores_are_few_and_well_before_the_end() {
        for (seconds, count) in [(10, 1), (130, 2), (600, 3), (100_000, 3)] {
            for seed in 0..200 {
                let plan = Plan::new(seed, true, seconds);
                assert!(plan.due.len() == 2 * count && plan.due.is_sorted_by(|a, b| a > b), "{seed}: {:?}", plan.due);
                assert!(plan.due.iter().all(|due| *due < 60), "{seed}: {:?}", plan.due);
                assert_eq!(plan.due, Plan::new(seed, true, seconds).due);
            }
        }
        assert!(Plan::new(1, false, 600).due.is_empty());
    }
}
