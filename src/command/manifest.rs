//! What stands in a backup: `manifest.json`, by which a restore recognises every byte.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::failure::{Exit, Failure};
use crate::{auth::server_key, private_file};

/// Name of the file in a backup.
pub(super) const FILE_NAME: &str = "manifest.json";
/// Name of the database, in the data directory and in a backup.
pub(super) const DATABASE: &str = "sovereign.db";
/// What is copied besides the database, where it is there.
pub(super) const SMALL_FILES: [&str; 6] =
    [server_key::FILE_NAME, "tls/ca.pem", "tls/ca.key", "tls/server.pem", "tls/server.key", "sovereign.toml"];
/// Bytes of each of those.
pub(super) const SMALL_BYTES_MAX: u64 = 1024 * 1024;
/// The form described here.
const FORMAT: u32 = 1;

/// A backup, described.
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// The version of the binary that made it.
    pub(super) made_by: String,
    /// When the copy of the database was complete.
    pub(super) created_at_ms: u64,
    /// The version of the database's schema.
    pub(super) schema: u32,
    /// The generation of the store in it.
    pub(super) store_generation: u64,
    /// Every file but this one.
    pub(super) files: Vec<Entry>,
    /// Rows of every table of the database.
    pub(super) rows: BTreeMap<String, u64>,
    /// What the server uses and the backup does not hold, in words.
    pub(super) left_out: Vec<String>,
}

/// A file of a backup.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct Entry {
    /// Below the backup, and below the data directory when it is restored.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// 64 hex digits.
    pub(super) sha256: String,
}

impl Manifest {
    /// Describes a database and the files beside it.
    pub(super) fn new(
        inspection: crate::store::Inspection,
        created_at_ms: u64,
        files: Vec<Entry>,
        left_out: Vec<String>,
    ) -> Self {
        Self {
            format: FORMAT,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            created_at_ms,
            schema: inspection.schema,
            store_generation: inspection.generation,
            files,
            rows: inspection.rows,
            left_out,
        }
    }

    /// Writes it into a backup.
    pub(super) fn write(&self, backup: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Failure::new(Exit::Bug, error))?;
        let path = backup.join(FILE_NAME);
        private_file::write(&path, format!("{text}\n").as_bytes()).map_err(|error| Failure::io(path.display(), &error))
    }

    /// Reads that of a backup, and holds it against what this binary knows.
    pub(super) fn read(backup: &Path) -> Result<Self, Failure> {
        let path = backup.join(FILE_NAME);
        let content = private_file::read(&path, SMALL_BYTES_MAX).map_err(|error| Failure::io(path.display(), &error))?;
        let none = || Failure::new(Exit::Usage, format_args!("{} is no backup: it has no {FILE_NAME}", backup.display()));
        let manifest: Self = serde_json::from_slice(&content.ok_or_else(none)?)
            .map_err(|error| Failure::new(Exit::Configuration, format_args!("{} is damaged: {error}", path.display())))?;
        if manifest.format != FORMAT {
            let text =
                format_args!("the backup was made by version {} in a form that this binary does not know", manifest.made_by);
            return Err(Failure::new(Exit::Configuration, text));
        }
        let strange = manifest.files.iter().find(|entry| entry.name != DATABASE && !SMALL_FILES.contains(&entry.name.as_str()));
        if let Some(strange) = strange {
            let text = format_args!("the backup lists {:?}, which is none of a server's files", strange.name);
            return Err(Failure::new(Exit::Configuration, text));
        }
        if !manifest.files.iter().any(|entry| entry.name == DATABASE) {
            return Err(Failure::new(Exit::Configuration, "the backup holds no database"));
        }
        Ok(manifest)
    }
}

impl Entry {
    /// Measures a file below `directory`; `passed` hears of every few bytes.
    pub(super) fn of(directory: &Path, name: &str, passed: impl FnMut(u64)) -> Result<Self, Failure> {
        let path = directory.join(name);
        let (bytes, sha256) = hash(&path, passed).map_err(|error| Failure::io(path.display(), &error))?;
        Ok(Self { name: name.to_owned(), bytes, sha256 })
    }

    /// The same file below another directory.
    pub(super) fn path(&self, directory: &Path) -> PathBuf {
        directory.join(&self.name)
    }
}

fn hash(path: &Path, mut passed: impl FnMut(u64)) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, HEXLOWER.encode(&hash.finalize())));
        }
        hash.update(&buffer[..read]);
        bytes += read as u64;
        passed(bytes);
    }
}
