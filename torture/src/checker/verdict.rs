//! What a history has come to.

use std::collections::BTreeMap;

use crate::{history::Class, spread::Spread};

/// Findings of a class that are told in words.
const TOLD_MAX: usize = 20;

/// Counts, and the first findings of every class.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// SIGKILLs with sends outstanding.
    pub(crate) kills: u64,
    /// Distinct acknowledged messages.
    pub(crate) sends: u64,
    /// Commits that every group has seen.
    pub(crate) commits: u64,
    /// Messages that reached a device, each device and message once.
    pub(crate) deliveries: u64,
    /// Those of them that reached a whole client, which has decrypted them and holds them durably.
    pub(crate) deliveries_to_persons: u64,
    /// From the start of a killed server to its taking connections, in microseconds.
    pub(crate) ready: Vec<u64>,
    /// Devices revoked.
    pub(crate) revocations: u64,
    /// From a request to revoke a device to the last byte on the connections that it had then, in microseconds.
    pub(crate) last_byte: Vec<u64>,
    /// And to the last entry of a log that the device was given, on any connection.
    pub(crate) last_entry: Vec<u64>,
    /// Restores from a backup.
    pub(crate) restores: u64,
    /// Faults by kind.
    pub(crate) upsets: BTreeMap<String, u64>,
    found: BTreeMap<Class, u64>,
    told: Vec<String>,
}

impl Verdict {
    /// Counts a broken promise.
    pub(super) fn find(&mut self, class: Class, t: u64, text: impl std::fmt::Display) {
        let count = self.found.entry(class).or_default();
        *count += 1;
        if *count <= TOLD_MAX as u64 {
            self.told.push(format!("{} at {}.{:06} s: {text}", class.name(), t / 1_000_000, t % 1_000_000));
        }
    }

    pub(super) fn upset(&mut self, kind: String) {
        *self.upsets.entry(kind).or_default() += 1;
    }

    /// How often a promise of this class was broken.
    pub(crate) fn count(&self, class: Class) -> u64 {
        self.found.get(&class).copied().unwrap_or(0)
    }

    /// The figures of a result.
    pub(crate) fn figures(&self) -> Vec<(String, u64)> {
        let plain = [
            ("kills", self.kills),
            ("sends", self.sends),
            ("commits", self.commits),
            ("deliveries", self.deliveries),
            ("deliveries_to_persons", self.deliveries_to_persons),
            ("revocations", self.revocations),
        ];
        let spreads = [("ready", &self.ready), ("last_byte", &self.last_byte), ("last_entry", &self.last_entry)];
        let spreads = spreads.into_iter().flat_map(|(name, samples)| Spread::of(samples).figures(name));
        let plain = plain.into_iter().map(|(name, count)| (name.to_owned(), count));
        let classes = Class::ALL.into_iter().map(|class| (class.name().to_owned(), self.count(class)));
        let upsets = self.upsets.iter().map(|(kind, count)| (format!("fault {kind}"), *count));
        plain.chain(spreads).chain(classes).chain(upsets).collect()
    }

    /// Whether no promise was broken.
    pub(crate) fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// The first findings, in words.
    pub(crate) fn told(&self) -> &[String] {
        &self.told
    }

    /// The last line of a run.
    pub(crate) fn line(&self) -> String {
        let Self { kills, sends, commits, deliveries, .. } = self;
        let classes: Vec<String> = Class::ALL.iter().map(|class| format!("{}={}", class.name(), self.count(*class))).collect();
        format!("kills={kills} sends={sends} commits={commits} deliveries={deliveries} {}", classes.join(" "))
    }
}
