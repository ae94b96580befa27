//! The database: its schema and pages, the times in it, and how devices and groups stand.

use std::fs;

use super::{Finding, Patient};
use crate::{
    clock::EPOCH_MS,
    command::{duration, manifest::DATABASE},
    store::{self, Census, Depth, Examination, OpenError},
};

/// A file up to this is looked through while a server runs on it; a longer one by `--deep`, or when it is stopped.
const LOOKED_THROUGH: u64 = 256 << 20;
/// Clocks that differ by this much are right.
const TOLERANCE_MS: u64 = 5 * 60 * 1000;
/// A share of devices that run low on key packages that is worth a warning.
const LOW_SHARE: u64 = 4;

pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    let path = patient.config.data.join(DATABASE);
    let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let depth = match (patient.deep, patient.running && bytes > LOOKED_THROUGH) {
        (true, _) => Depth::Everything,
        (false, true) => Depth::Rows,
        (false, false) => Depth::Pages,
    };
    if bytes == 0 {
        let remedy = "name the directory with --data; or put the server back: sovereign restore";
        return vec![clock(patient, 0), Finding::problem("database", "is missing", remedy)];
    }
    match store::examine(&path, depth, store::Options::default().key_packages_low) {
        Ok(examination) => found(patient, &examination, depth),
        Err(OpenError::Newer { found, known }) => {
            let says = format!("has version {found}, and this binary knows versions up to {known}");
            vec![clock(patient, 0), Finding::problem("schema", says, "install the newer binary again")]
        }
        Err(error) => {
            vec![
                clock(patient, 0),
                Finding::problem("database", error.to_string(), "stop the server, and restore the last backup"),
            ]
        }
    }
}

fn found(patient: &Patient<'_>, examination: &Examination, depth: Depth) -> Vec<Finding> {
    let mut findings = vec![clock(patient, examination.newest_ms)];
    let Examination { schema, known, .. } = *examination;
    findings.push(if schema == known {
        Finding::well("schema", format!("has version {schema}, the newest"))
    } else {
        let says = format!("has version {schema}, and this binary brings it to {known}");
        Finding::warning("schema", says, "make a backup with the old binary, then start the new one")
    });
    findings.push(match (&examination.damage, depth) {
        (Some(damage), _) => Finding::problem("integrity", damage, "stop the server, and restore the last backup"),
        (None, Depth::Rows) => {
            Finding::well("integrity", "not looked at while it runs: add --deep; every backup looks at it, too")
        }
        (None, Depth::Pages) => Finding::well("integrity", "every page is sound"),
        (None, Depth::Everything) => Finding::well("integrity", "every page and every index is sound"),
    });
    if let Some(census) = &examination.census {
        findings.extend([key_packages(census), groups(census)]);
    }
    findings
}

fn clock(patient: &Patient<'_>, newest_ms: u64) -> Finding {
    let remedy = "set it, and keep it right: timedatectl set-ntp true";
    if patient.now < EPOCH_MS {
        Finding::problem("clock", "stands before 2026", remedy)
    } else if newest_ms > patient.now + TOLERANCE_MS {
        let behind = duration::show((newest_ms - patient.now) / 1000);
        Finding::problem("clock", format!("is {behind} behind what the server has stored"), remedy)
    } else if patient.config.clock_offset_seconds != 0 {
        let says = format!("is moved by {} s", patient.config.clock_offset_seconds);
        Finding::warning("clock", says, "clock_offset_seconds is for drills: take it out")
    } else {
        Finding::well("clock", "is not behind anything that was stored")
    }
}

fn key_packages(census: &Census) -> Finding {
    let says = format!("{} in stock; {} of {} devices run low", census.key_packages, census.devices_low, census.devices_active);
    if census.devices_low * LOW_SHARE > census.devices_active && census.devices_low > 1 {
        let remedy = "devices publish new ones when they connect: if these do connect, look at the log";
        return Finding::warning("key packages", says, remedy);
    }
    Finding::well("key packages", says)
}

fn groups(census: &Census) -> Finding {
    let Census { groups, groups_behind, groups_frozen, groups_suspended, .. } = census;
    let says = format!("{groups}; {groups_behind} behind, {groups_frozen} frozen, {groups_suspended} suspended since a restore");
    if *groups_suspended > 0 {
        let remedy = "they go on by themselves when enough of their members have connected";
        return Finding::warning("groups", says, remedy);
    }
    if census.groups_frozen > 0 {
        let remedy = "a member has to replace each frozen one: sov group reset NAME";
        return Finding::warning("groups", says, remedy);
    }
    if census.groups_behind > 0 {
        let remedy =
            "members commit what these wait for when they are next there; devices you revoked also want sov devices revoke";
        return Finding::warning("groups", says, remedy);
    }
    Finding::well("groups", says)
}
