//! One JSON object for each run that ended, under `target/reliability`: what docs/reliability.md is made of.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sovereign_client::clock::UnixMs;

use crate::look;

/// Where results go, below the target directory.
const DIRECTORY: &str = "reliability";

/// Holds the source's commit as it was before the binaries were built; set by the script.
const COMMIT: &str = "TORTURE_COMMIT";

/// What a run came to. Other programs write such files too; what this one does not know stays in `more`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunResult {
    /// Of which program and kind of run.
    pub(crate) kind: String,
    /// When the run began: `YYYY-MM-DDThh:mm:ssZ`. Files of before may have the day alone.
    pub(crate) date: String,
    /// Of the source that was built for the run; `+` behind it: with changes that were not committed.
    pub(crate) commit: String,
    /// Figures by name.
    pub(crate) counts: BTreeMap<String, Value>,
    #[serde(flatten)]
    pub(crate) more: BTreeMap<String, Value>,
}

impl RunResult {
    /// A result of a run that begins now and here. Made before anything is done: what is committed meanwhile is none of it.
    pub(crate) fn begin(kind: &str, now: UnixMs, server: &Path) -> Self {
        let versions = [
            ("server", said(Command::new(server).arg("--version"))),
            ("sqlite", look::version().to_owned()),
            ("kernel", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()),
            ("rustc", said(Command::new("rustc").arg("--version"))),
            ("build", if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned()),
        ];
        let versions = versions.into_iter().map(|(name, version)| (name.to_owned(), Value::from(version))).collect();
        let commit = std::env::var(COMMIT).unwrap_or_else(|_| {
            let describe = ["describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"];
            said(Command::new("git").args(describe))
        });
        let commit = if commit.is_empty() { "unknown".to_owned() } else { commit };
        let more = BTreeMap::from([("versions".to_owned(), Value::Object(versions))]);
        Self { kind: kind.to_owned(), date: date(now), commit, counts: BTreeMap::new(), more }
    }

    /// Adds a figure.
    pub(crate) fn count(&mut self, name: &str, value: impl Into<Value>) {
        self.counts.insert(name.to_owned(), value.into());
    }

    /// Writes it; where it is.
    pub(crate) fn write(&self, target: &Path, name: &str) -> io::Result<PathBuf> {
        let directory = target.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{}-{name}.json", self.kind));
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(path)
    }

    /// All results, by kind and date. A file that is none is an error: a report must not be silent about it.
    pub(crate) fn all(target: &Path) -> io::Result<Vec<Self>> {
        let mut results: Vec<Self> = Vec::new();
        for entry in fs::read_dir(target.join(DIRECTORY))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let wrong = |error| io::Error::other(format!("{}: {error}", path.display()));
                results.push(serde_json::from_slice(&fs::read(&path)?).map_err(wrong)?);
            }
        }
        results.sort_by(|a, b| (&a.kind, &a.date).cmp(&(&b.kind, &b.date)));
        Ok(results)
    }
}

/// What a program says; empty where it cannot be asked.
fn said(command: &mut Command) -> String {
    command.output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// A time in UTC, as of RFC 3339 (the day: Howard Hinnant's algorithm for the civil calendar).
fn date(now: UnixMs) -> String {
    let second = now / 1000 % 86_400;
    let days = now / 86_400_000 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year_of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, if shifted < 10 { shifted + 3 } else { shifted - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_times() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(date(1_795_219_199_999), "2026-11-20T23:59:59Z");
        assert_eq!(date(1_795_219_200_000), "2026-11-21T00:00:00Z");
    }

    #[test]
    fn results_are_read_as_they_were_written_and_nothing_is_passed_over() {
        let target = tempfile::tempdir().expect("a directory");
        let mut result = RunResult::begin("torture", 0, Path::new("no-such-server"));
        result.count("kills", 7);
        result.write(target.path(), "1").expect("written");
        let all = RunResult::all(target.path()).expect("read");
        assert_eq!((all.len(), all[0].kind.as_str(), &all[0].counts["kills"]), (1, "torture", &Value::from(7)));
        fs::write(target.path().join("reliability/other.json"), "{}").expect("written");
        assert!(RunResult::all(target.path()).is_err());
    }
}
