//! A disk that fails: the library of `tests/native/faulty_disk.c` before the server's libc. It looks at the server's
//! directory alone, and does nothing until it is given rules.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

#[path = "../../tests/native/compile.rs"]
mod native;

/// Of `faulty_disk.c`, whose own page says how rules look.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/native");

/// The disk under one server.
pub(crate) struct Disk {
    library: PathBuf,
    directory: PathBuf,
    rules: PathBuf,
}

impl Disk {
    /// Below `directory`. `scratch`: where the library and the rules are put.
    pub(crate) fn below(directory: &Path, scratch: &Path) -> io::Result<Self> {
        let library = native::library(Path::new(SOURCES), "faulty_disk", scratch)?;
        Ok(Self { library, directory: directory.canonicalize()?, rules: scratch.join("rules") })
    }

    /// What the server's environment has to hold.
    pub(crate) fn variables(&self) -> Vec<(OsString, OsString)> {
        vec![
            ("LD_PRELOAD".into(), self.library.clone().into()),
            ("FAULTY_DISK_DIRECTORY".into(), self.directory.clone().into()),
            ("FAULTY_DISK_FAULTS".into(), self.rules.clone().into()),
        ]
    }

    /// From now on it fails like this; empty: not at all.
    pub(crate) fn fails(&self, rules: &str) -> io::Result<()> {
        let next = self.rules.with_extension("next");
        fs::write(&next, format!("{rules}\n"))?;
        fs::rename(next, &self.rules)
    }
}
