//! The seeds, as files: `fuzz/corpus/TARGET/NAME`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{joined, requests};

/// Where they are.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// The seeds of a target, by name: its files, and a frame of every request where frames are what it takes.
#[must_use]
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds = files(&directory().join(target));
    match target {
        "envelope" => seeds.extend(requests::frames()),
        "session" => {
            let asked = |(name, frame): (String, Vec<u8>)| {
                let device = [&[1][..], &joined([frame.as_slice()])].concat();
                let operator = [&[2][..], &joined([frame.as_slice()])].concat();
                [(format!("{name} of a device"), device), (format!("{name} of the operator"), operator)]
            };
            seeds.extend(requests::frames().into_iter().flat_map(asked));
        }
        _ => {}
    }
    seeds
}

/// The files of a directory, by name.
#[must_use]
pub fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut files: Vec<(String, Vec<u8>)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.to_owned(), fs::read(&path).ok()?))
        })
        .collect();
    files.sort();
    files
}
