//! The machine: room on the disk, files that may be open. The clock is judged beside the database.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::{Finding, Patient};
use crate::command::listing::size;

/// Files that a server has open besides its connections.
const OWN_FILES: u64 = 128;
/// So many times the reserve is worth a warning.
const ROOMY: u64 = 4;

pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    vec![disk(patient), open_files(patient)]
}

fn disk(patient: &Patient<'_>) -> Finding {
    let config = patient.config;
    let Ok(stat) = rustix::fs::statvfs(&config.data) else {
        return Finding::warning("disk", "the system does not say how much is free", "look at it yourself: df");
    };
    let (free, reserve) = (stat.f_bavail.saturating_mul(stat.f_frsize), config.disk_reserve_bytes);
    let says = format!("{} free, {} kept in reserve", size(free), size(reserve));
    if free < reserve {
        Finding::problem("disk", format!("{says}: messages are refused"), "make room on that disk; the server goes on by itself")
    } else if free < reserve.saturating_mul(ROOMY) {
        Finding::warning("disk", says, "make room before messages are refused")
    } else {
        Finding::well("disk", says)
    }
}

fn open_files(patient: &Patient<'_>) -> Finding {
    let limit = server_limit(patient).or_else(|| getrlimit(Resource::Nofile).current).unwrap_or(u64::MAX);
    let wanted = patient.config.connections_max as u64 + OWN_FILES;
    let whose = if patient.running { "the server may have" } else { "from here it might have" };
    if limit >= wanted {
        return Finding::well(
            "open files",
            format!("{whose} {}", if limit == u64::MAX { "any number".into() } else { limit.to_string() }),
        );
    }
    Finding::warning(
        "open files",
        format!("{whose} {limit} open, and connections_max asks for {wanted}"),
        format!("LimitNOFILE={wanted} in its unit, ulimit -n {wanted} in a shell, or a lower connections_max"),
    )
}

/// The limit of the running process, where the system shows it.
fn server_limit(patient: &Patient<'_>) -> Option<u64> {
    let ready: serde_json::Value = serde_json::from_slice(&fs::read(patient.config.data.join("ready.json")).ok()?).ok()?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", ready["pid"].as_u64()?)).ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}
