//! `sovereign backup`: a complete, verified copy of the server in a directory of its own, made while the server works.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use sovereign_proto::v1::{BackUpRequest, BackUpResponse};

use super::{
    compose,
    failure::{Exit, Failure},
    listing::{self, size},
    manifest::{DATABASE, Entry, FILE_NAME, Manifest, SMALL_BYTES_MAX, SMALL_FILES},
    operator,
    progress::Progress,
};
use crate::{
    config::Config,
    private_file,
    store::{self, CopyCounts},
};

/// Says when the last backup was made, and where to; for `sovereign doctor`.
pub(super) const LAST_BACKUP: &str = "last-backup.json";

#[derive(Args)]
pub(super) struct Arguments {
    /// The directory to make; it must not be there yet.
    target: PathBuf,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let target = std::path::absolute(&arguments.target).map_err(|error| Failure::io(arguments.target.display(), &error))?;
    if target.symlink_metadata().is_ok() {
        let text = format_args!("{} is there already: a backup makes a directory of its own", target.display());
        return Err(Failure::new(Exit::Usage, text));
    }
    let partial = prepare(&target)?;
    let made = make(&partial, &target, config);
    if made.is_err() {
        clear(&partial);
    }
    let manifest = made?;
    note(config, &target, &manifest);
    report(&target, &manifest, arguments.json)
}

/// The directory that becomes the backup once it is complete. What an interrupted one left behind goes.
fn prepare(target: &Path) -> Result<PathBuf, Failure> {
    let mut name = target.file_name().ok_or_else(|| Failure::new(Exit::Usage, "name a directory to make"))?.to_owned();
    name.push(".partial");
    let partial = target.with_file_name(name);
    clear(&partial);
    if let Some(parent) = target.parent().filter(|parent| !parent.is_dir()) {
        return Err(Failure::new(Exit::Usage, format_args!("there is no directory {}", parent.display())));
    }
    private_file::create_directory(&partial.join("tls")).map_err(|error| Failure::io(partial.display(), &error))?;
    Ok(partial)
}

fn make(partial: &Path, target: &Path, config: &Config) -> Result<Manifest, Failure> {
    let copied = operator::ask_on(config, |operator| {
        let mut progress = Progress::new("copying");
        loop {
            let answer = operator.ask(BackUpRequest { directory: text(partial)?.to_owned() })?;
            progress.at(answer.pages.saturating_sub(answer.pages_left), answer.pages);
            if answer.complete {
                return Ok(answer);
            }
        }
    })?;
    let created_at_ms = compose::clock(config).now_ms();
    let database = partial.join(DATABASE);
    let inspection = store::inspect(&database)?;
    if inspection.counts != counts(&copied) {
        let text =
            format_args!("the copy does not hold what the server held: {:?}, and not {:?}", inspection.counts, counts(&copied));
        return Err(Failure::new(Exit::Bug, text));
    }
    let mut files = vec![hashed(partial, DATABASE)?];
    for name in SMALL_FILES {
        if copy_small(&config.data, partial, name)? {
            files.push(hashed(partial, name)?);
        }
    }
    let manifest = Manifest::new(inspection, created_at_ms, files, left_out(config));
    manifest.write(partial)?;
    let failed = |error: std::io::Error| Failure::io(target.display(), &error);
    sync(&partial.join("tls")).and_then(|()| sync(partial)).map_err(failed)?;
    fs::rename(partial, target).map_err(failed)?;
    sync(target.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    Ok(manifest)
}

fn counts(copied: &BackUpResponse) -> CopyCounts {
    let BackUpResponse { accounts, devices, groups, logs, entries_ever, .. } = *copied;
    CopyCounts { accounts, devices, groups, logs, entries_ever }
}

fn hashed(directory: &Path, name: &str) -> Result<Entry, Failure> {
    let bytes = fs::metadata(directory.join(name)).map_or(0, |metadata| metadata.len());
    let mut progress = Progress::new("verifying");
    Entry::of(directory, name, |passed| progress.at(passed, bytes))
}

/// Copies one of the small files; false: the server has none of that name.
fn copy_small(from: &Path, to: &Path, name: &str) -> Result<bool, Failure> {
    let (from, to) = (from.join(name), to.join(name));
    let content = fs::read(&from);
    let content = match content {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        content => zeroize::Zeroizing::new(content.map_err(|error| Failure::io(from.display(), &error))?),
    };
    if content.len() as u64 > SMALL_BYTES_MAX {
        return Err(Failure::new(Exit::Io, format_args!("{} is far too long for what it should be", from.display())));
    }
    private_file::write(&to, &content).map_err(|error| Failure::io(to.display(), &error))?;
    Ok(true)
}

/// What the server needs and this backup does not hold.
fn left_out(config: &Config) -> Vec<String> {
    let mut left_out = Vec::new();
    if let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) {
        left_out.push(format!("your certificate and its key: {}, {}", certificate.display(), key.display()));
    }
    left_out.push("configuration that came from flags, the environment or --config FILE".to_owned());
    left_out
}

/// Best effort: a backup is good without it.
fn note(config: &Config, target: &Path, manifest: &Manifest) {
    let content = json!({"at_ms": manifest.created_at_ms, "path": target.to_string_lossy()});
    if let Err(error) = private_file::write(&config.data.join(LAST_BACKUP), format!("{content}\n").as_bytes()) {
        eprintln!("sovereign: the backup is complete, but {LAST_BACKUP} was not written: {error}");
    }
}

fn report(target: &Path, manifest: &Manifest, json: bool) -> Result<(), Failure> {
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    if json {
        let object = json!({
            "backup": target.to_string_lossy(),
            "bytes": bytes,
            "created_at_ms": manifest.created_at_ms,
            "files": manifest.files,
            "rows": manifest.rows,
            "left_out": manifest.left_out,
        });
        return listing::print(&format!("{object}\n"));
    }
    let rows = |table: &str| manifest.rows.get(table).copied().unwrap_or(0);
    let mut text = format!(
        "{}\n  {} in {} files: {} accounts, {} devices, {} groups, {} entries; verified\n",
        target.display(),
        size(bytes),
        manifest.files.len() + 1,
        rows("accounts"),
        rows("devices"),
        rows("groups"),
        rows("entries"),
    );
    for what in &manifest.left_out {
        text.extend([format!("  not in it: {what}\n")]);
    }
    text.push_str("  It holds the server's secret keys: keep it as safe as the server.\n");
    listing::print(&text)
}

/// Removes what a backup may have begun; a directory with anything else in it stays.
fn clear(partial: &Path) {
    for name in SMALL_FILES.into_iter().chain([DATABASE, "sovereign.db-journal", FILE_NAME]) {
        let _ = fs::remove_file(partial.join(name));
    }
    let _ = fs::remove_dir(partial.join("tls"));
    let _ = fs::remove_dir(partial);
}

fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| Failure::new(Exit::Usage, "the path is not UTF-8"))
}
