//! A disk that keeps a record and fails on request: the library in `tests/native/faulty_disk.c` before a server's libc.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use bytes::{Buf as _, Bytes};
use tempfile::TempDir;

/// Compiles it.
#[path = "../../native/compile.rs"]
pub mod native;

/// What the library is told, and what it has told so far. Processes that carry its environment share one record.
pub struct FaultyDisk {
    directory: PathBuf,
    scratch: TempDir,
}

/// Something that was done to a file below the directory.
#[derive(Clone, Debug)]
pub struct Record {
    /// Length of the record's file up to here.
    pub end: u64,
    pub operation: Operation,
    /// Of the file that is meant, where it is open.
    pub inode: u64,
    /// Below the directory.
    pub path: String,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Open { made: bool, emptied: bool },
    Write { offset: u64, data: Bytes },
    Length(u64),
    Sync { number: u64, directory: bool },
    Synced { number: u64 },
    Rename { to: String },
    Unlink,
    MakeDirectory,
    Fault,
}

impl FaultyDisk {
    /// For the files below this directory, as the file system names it.
    pub fn below(directory: &Path) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        Self { directory: directory.canonicalize().expect("the directory is there"), scratch }
    }

    /// What the environment of a process has to hold.
    pub fn environment(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("LD_PRELOAD", library().to_owned()),
            ("FAULTY_DISK_DIRECTORY", self.directory.clone()),
            ("FAULTY_DISK_LOG", self.record()),
            ("FAULTY_DISK_FAULTS", self.scratch.path().join("rules")),
        ]
    }

    /// From now on the disk fails like this; the library's own page says how rules look. No rules: no faults.
    pub fn fails(&self, rules: &str) {
        let next = self.scratch.path().join("rules.next");
        fs::write(&next, format!("{rules}\n")).expect("the rules can be written");
        fs::rename(next, self.scratch.path().join("rules")).expect("the rules can be replaced");
    }

    /// How long the record is by now: whatever was seen to be done stands before it.
    pub fn recorded(&self) -> u64 {
        fs::metadata(self.record()).map_or(0, |record| record.len())
    }

    /// The record behind a position.
    pub fn records(&self, after: u64) -> Vec<Record> {
        let (mut file, mut bytes) = (fs::File::open(self.record()).expect("the record is there"), Vec::new());
        file.seek(SeekFrom::Start(after)).and_then(|_| file.read_to_end(&mut bytes)).expect("the record is readable");
        let (end, mut rest) = (after + bytes.len() as u64, Bytes::from(bytes));
        let mut records = Vec::new();
        while let Some(record) = Record::take(&mut rest, end) {
            records.push(record);
        }
        records
    }

    fn record(&self) -> PathBuf {
        self.scratch.path().join("record")
    }
}

impl Record {
    /// The next record of `rest`, unless it is not whole yet; the whole ends at `end`.
    fn take(rest: &mut Bytes, end: u64) -> Option<Self> {
        let length = usize::try_from(rest.get(..4)?.get_u32_ne()).expect("it fits");
        let mut record = (rest.len() >= length).then(|| rest.split_to(length))?;
        record.advance(4);
        let (operation, path) = (record.get_u16_ne(), usize::from(record.get_u16_ne()));
        let (inode, a, b) = (record.get_u64_ne(), record.get_u64_ne(), record.get_u64_ne());
        let path = String::from_utf8(record.split_to(path).to_vec()).expect("paths are UTF-8");
        let (path, to) = path.split_once('\0').map_or((path.as_str(), ""), |both| both);
        let operation = match operation {
            1 => Operation::Open { made: a & 1 > 0, emptied: a & 2 > 0 },
            2 => Operation::Write { offset: a, data: record },
            3 => Operation::Length(a),
            4 => Operation::Sync { number: a, directory: b > 0 },
            5 => Operation::Synced { number: a },
            6 => Operation::Rename { to: to.to_owned() },
            7 => Operation::Unlink,
            8 => Operation::MakeDirectory,
            9 => Operation::Fault,
            other => panic!("the library writes no operation {other}"),
        };
        Some(Self { end: end - rest.len() as u64, operation, inode, path: path.to_owned() })
    }
}

/// The library, compiled once a process.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        native::library(&sources, "faulty_disk", target).expect("the library compiles")
    })
}
