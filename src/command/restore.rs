//! `sovereign restore`: puts a backup back, checked byte by byte, into a directory in which no server is.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{
    compose,
    failure::{Exit, Failure},
    listing,
    manifest::{DATABASE, Entry, Manifest, SMALL_FILES},
    progress::Progress,
};
use crate::{
    config::Config,
    private_file,
    store::{self, DataDir, Restored},
};

/// Where everything is put together, below the data directory. While it is there, no server starts.
const STAGE: &str = "restoring";
/// What may lie in the directory: nothing of it is a server.
const LEFTOVERS: [&str; 8] = [
    "lock",
    "sovereign.toml",
    "ready.json",
    "control.sock",
    "setup-link",
    "last-backup.json",
    "sovereign.db-wal",
    "sovereign.db-shm",
];

#[derive(Args)]
pub(super) struct Arguments {
    /// The backup: a directory that `sovereign backup` made.
    source: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let manifest = Manifest::read(&arguments.source)?;
    let now = compose::clock(config).now_ms();
    if now < manifest.created_at_ms {
        let text = "the clock stands before the backup was made: set it first, because what a restored server does depends on it";
        return Err(Failure::new(Exit::Configuration, text));
    }
    verify(&arguments.source, &manifest)?;
    let directory = DataDir::open(&config.data)?;
    let removed = make_room(directory.path())?;
    let restored = put_back(&arguments.source, directory.path(), &manifest, now)?;
    report(arguments, config, &manifest, restored, &removed)
}

/// A restore was interrupted here: what lies there is no server yet.
pub(super) fn is_unfinished(data: &Path) -> bool {
    data.join(STAGE).exists()
}

/// Every file of the backup is what its manifest says.
fn verify(source: &Path, manifest: &Manifest) -> Result<(), Failure> {
    for entry in &manifest.files {
        let mut progress = Progress::new("checking");
        let found = Entry::of(source, &entry.name, |passed| progress.at(passed, entry.bytes))?;
        if found != *entry {
            let text = format!("{} is not what was backed up: the backup is damaged", entry.path(source).display());
            return Err(Failure::new(Exit::Io, text));
        }
    }
    Ok(())
}

/// Refuses a directory that holds anything of a server. A write-ahead log without its database is worse than nothing (its
/// rows would be played into whatever database comes beside it) and goes; the answer names what went.
fn make_room(data: &Path) -> Result<Vec<&'static str>, Failure> {
    let failed = |error: io::Error| Failure::io(data.display(), &error);
    let unfinished = is_unfinished(data);
    for entry in fs::read_dir(data).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let known = |names: &[&str]| name.to_str().is_some_and(|name| names.contains(&name));
        if !known(&LEFTOVERS) && !(unfinished && (known(&SMALL_FILES) || known(&[STAGE, "tls", DATABASE]))) {
            let text = format_args!(
                "{} holds {}: a restore wants an empty directory. Move the old one aside (mv {0} {0}.old), and keep it until all is well",
                data.display(),
                name.display()
            );
            return Err(Failure::new(Exit::Usage, text));
        }
    }
    let mut removed = Vec::new();
    for name in ["sovereign.db-wal", "sovereign.db-shm"] {
        if data.join(name).exists() {
            private_file::remove(&data.join(name)).map_err(failed)?;
            removed.push(name);
        }
    }
    for name in ["ready.json", "setup-link"] {
        private_file::remove(&data.join(name)).map_err(failed)?;
    }
    Ok(removed)
}

/// Puts everything together beside its place, and into it by renames, the database last.
fn put_back(source: &Path, data: &Path, manifest: &Manifest, now: u64) -> Result<Restored, Failure> {
    let stage = data.join(STAGE);
    let failed = |error: io::Error| Failure::io(stage.display(), &error);
    private_file::create_directory(&stage.join("tls")).map_err(failed)?;
    sync(data).map_err(failed)?;
    for entry in &manifest.files {
        let mut progress = Progress::new("copying");
        copy(&entry.path(source), &entry.path(&stage), |passed| progress.at(passed, entry.bytes)).map_err(failed)?;
    }
    let inspection = store::inspect(&stage.join(DATABASE))?;
    if inspection.rows != manifest.rows {
        return Err(Failure::new(Exit::Io, "the database does not hold the rows that the manifest names: the backup is damaged"));
    }
    let restored = store::restore(&stage.join(DATABASE), now)?;
    private_file::create_directory(&data.join("tls")).map_err(failed)?;
    for name in SMALL_FILES.into_iter().filter(|name| manifest.files.iter().any(|entry| entry.name == *name)) {
        // A configuration that is there already is the newer word.
        if name == "sovereign.toml" && data.join(name).exists() {
            private_file::remove(&stage.join(name)).map_err(failed)?;
        } else {
            fs::rename(stage.join(name), data.join(name)).map_err(failed)?;
        }
    }
    sync(&data.join("tls")).map_err(failed)?;
    fs::rename(stage.join(DATABASE), data.join(DATABASE)).map_err(failed)?;
    sync(data).map_err(failed)?;
    fs::remove_dir_all(&stage).map_err(failed)?;
    sync(data).map_err(failed)?;
    Ok(restored)
}

fn copy(from: &Path, to: &Path, mut passed: impl FnMut(u64)) -> io::Result<()> {
    use std::{
        io::{Read as _, Write as _},
        os::unix::fs::OpenOptionsExt as _,
    };
    private_file::remove(to)?;
    let mut from = File::open(from)?;
    let mut to = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    let (mut buffer, mut copied) = (vec![0; 1 << 20], 0);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return to.sync_all();
        }
        to.write_all(&buffer[..read])?;
        copied += read as u64;
        passed(copied);
    }
}

fn report(
    arguments: &Arguments,
    config: &Config,
    manifest: &Manifest,
    restored: Restored,
    removed: &[&str],
) -> Result<(), Failure> {
    let Restored { generation, groups, key_packages, tokens, invites } = restored;
    if arguments.json {
        let object = json!({
            "data": config.data.to_string_lossy(),
            "backup_of_ms": manifest.created_at_ms,
            "store_generation": generation,
            "groups_suspended": groups,
            "key_packages_dropped": key_packages,
            "tokens_dropped": tokens,
            "invites_revoked": invites,
            "stale_files_removed": removed,
            "left_out": manifest.left_out,
        });
        return listing::print(&format!("{object}\n"));
    }
    let now = compose::clock(config).now_ms();
    let mut text = format!("{}: as it was {}\n", config.data.display(), listing::ago(now, manifest.created_at_ms));
    text.extend([format!(
        "  dropped, because they may have been used since: {key_packages} key packages, {tokens} session tokens, {invites} invites\n"
    )]);
    text.extend([format!("  {groups} groups wait until their members are there; devices do that by themselves\n")]);
    for name in removed {
        text.extend([format!("  removed {name}, which belonged to another database\n")]);
    }
    for what in &manifest.left_out {
        text.extend([format!("  not in the backup: {what}\n")]);
    }
    text.push_str("  Before you start it: revoke, disable and delete again what you have since the backup.\n");
    listing::print(&text)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
