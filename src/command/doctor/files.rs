//! The files of the data directory: who may read them, the keys, the certificate, the last backup.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{Finding, Patient};
use crate::{
    auth::server_key,
    clock::UnixMs,
    command::{
        backup::LAST_BACKUP,
        compose,
        listing::{ago, size},
    },
    limits::{WAL_GROWTH_REFUSED, WAL_RESTART},
    private_file,
    transport::tls::{self, Source},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A certificate that somebody else keeps is renewed before this, in days.
const RENEWAL_DAYS: u64 = 14;
/// A backup older than this, in days, is worth a warning.
const BACKUP_DAYS: u64 = 7;
/// Files named in one finding.
const NAMED_MAX: usize = 5;

pub(super) fn check(patient: &Patient<'_>) -> Vec<Finding> {
    vec![permissions(patient), key(patient), certificate(patient), wal(patient), backup(patient)]
}

/// Everything that others may read or write, one level below the data directory included.
fn permissions(patient: &Patient<'_>) -> Finding {
    let data = &patient.config.data;
    let mut open = Vec::new();
    let mut looked_at = 0_u64;
    let mut look = |path: &Path| {
        // A link has no permissions of its own.
        let Some(metadata) = path.symlink_metadata().ok().filter(|metadata| !metadata.is_symlink()) else { return };
        looked_at += 1;
        if metadata.permissions().mode() & 0o077 != 0 {
            open.push(path.to_owned());
        }
    };
    look(data);
    for entry in entries(data) {
        look(&entry);
        if entry.file_name().is_some_and(|name| name == "tls") {
            entries(&entry).iter().for_each(|entry| look(entry));
        }
    }
    if open.is_empty() {
        return Finding::well("permissions", format!("nobody else may read any of {looked_at} files and directories"));
    }
    let named: Vec<String> = open.iter().take(NAMED_MAX).map(|path| path.display().to_string()).collect();
    Finding::problem(
        "permissions",
        format!("others may read {} of {looked_at}: {}", open.len(), named.join(", ")),
        format!("chmod -R go= {}", data.display()),
    )
}

fn key(patient: &Patient<'_>) -> Finding {
    let path = patient.config.data.join(server_key::FILE_NAME);
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() == 32 => Finding::well("server key", "is there"),
        Ok(_) => Finding::problem("server key", "is damaged", "put it back from a backup: clients have pinned it"),
        Err(_) => Finding::problem("server key", "is missing", "put it back from a backup: clients have pinned it"),
    }
}

fn certificate(patient: &Patient<'_>) -> Finding {
    let source = compose::certificate_source(patient.config);
    let local = matches!(source, Source::Local { .. });
    let remedy =
        if local { "start the server: it makes a new one, and pins stay good" } else { "renew it, and send the server SIGHUP" };
    match tls::expiry(&source) {
        Err(error) => Finding::problem("certificate", error.to_string(), remedy),
        Ok(end) if end <= patient.now => Finding::problem("certificate", "has expired", remedy),
        Ok(end) => {
            let days = (end - patient.now) / DAY_MS;
            let says = format!("is good for {days} days{}", if local { ", and renewed by itself" } else { "" });
            if days < RENEWAL_DAYS { Finding::warning("certificate", says, remedy) } else { Finding::well("certificate", says) }
        }
    }
}

fn wal(patient: &Patient<'_>) -> Finding {
    let bytes = fs::metadata(patient.config.data.join("sovereign.db-wal")).map_or(0, |metadata| metadata.len());
    let says = size(bytes);
    let remedy = "something holds an old snapshot of the database: end other programs that have it open";
    match bytes {
        WAL_GROWTH_REFUSED.. => Finding::problem("write-ahead log", format!("{says}: messages are refused"), remedy),
        WAL_RESTART.. => Finding::warning("write-ahead log", says, remedy),
        _ => Finding::well("write-ahead log", says),
    }
}

fn backup(patient: &Patient<'_>) -> Finding {
    let remedy = "sovereign backup DIRECTORY, every night, and a copy of it on another machine";
    match last_backup(&patient.config.data) {
        None => Finding::warning("backup", "none was made yet", remedy),
        Some((at, path)) => {
            let says = format!("{}, to {path}", ago(patient.now, at));
            let old = patient.now.saturating_sub(at) > BACKUP_DAYS * DAY_MS;
            if old { Finding::warning("backup", says, remedy) } else { Finding::well("backup", says) }
        }
    }
}

fn last_backup(data: &Path) -> Option<(UnixMs, String)> {
    let content = private_file::read(&data.join(LAST_BACKUP), 64 * 1024).ok()??;
    let noted: serde_json::Value = serde_json::from_slice(&content).ok()?;
    Some((noted["at_ms"].as_u64()?, noted["path"].as_str()?.to_owned()))
}

fn entries(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
