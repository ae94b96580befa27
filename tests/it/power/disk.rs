//! What a disk may hold after a power cut, worked out from the record of what was done to it.
//!
//! A strict disk: what was written is safe once a sync of that file that began later has succeeded, and a name is where it
//! was put once its directory was synced. Everything else may be there, may not, or in part, whatever its order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use crate::harness::{
    dice::Dice,
    faulty_disk::{Operation, Record},
};

/// What disks promise to write whole.
const SECTOR: usize = 512;

/// What becomes of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing of it is there.
    Dropped,
    /// Each write, length and name is there or not.
    Picked,
    /// The same, and each sector of a write.
    Torn,
    /// All of it is there: the process died and the machine did not.
    Kept,
}

/// A file system's content: directories, and files by their path.
#[derive(Default)]
pub struct Image {
    pub directories: BTreeSet<String>,
    pub files: BTreeMap<String, Vec<u8>>,
}

/// The disk as it is after some of the record.
#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    open: HashMap<u64, usize>,
    safe: Names,
    seen: Names,
    names: Vec<(usize, Name)>,
    /// Syncs under way: what they are of, and how much was done before them.
    syncs: HashMap<u64, (Synced, usize)>,
    done: usize,
}

type Names = BTreeMap<String, Node>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Default)]
struct File {
    safe: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<(usize, Change)>,
}

enum Change {
    Write(usize, Bytes),
    Length(usize),
}

enum Name {
    Made(String, Node),
    Moved(String, String, Node),
    Gone(String),
}

enum Synced {
    File(usize),
    Directory(String),
}

impl Disk {
    /// One thing more is done.
    pub fn apply(&mut self, record: &Record) {
        self.done += 1;
        let path = || record.path.clone();
        match &record.operation {
            Operation::Open { made, emptied } => {
                if *made {
                    self.files.push(File::default());
                    self.name(Name::Made(path(), Node::File(self.files.len() - 1)));
                }
                let Some(Node::File(file)) = self.seen.get(&record.path) else { panic!("{} is nowhere", record.path) };
                self.open.insert(record.inode, *file);
                if *emptied {
                    self.change(record, Change::Length(0));
                }
            }
            Operation::Write { offset, data } => self.change(record, Change::Write(position(*offset), data.clone())),
            Operation::Length(length) => self.change(record, Change::Length(position(*length))),
            Operation::Sync { number, directory } => {
                let what = if *directory { Synced::Directory(path()) } else { Synced::File(self.open[&record.inode]) };
                self.syncs.insert(*number, (what, self.done));
            }
            Operation::Synced { number } => self.synced(*number),
            Operation::Rename { to } => {
                let node = self.seen[&record.path];
                self.name(Name::Moved(path(), to.clone(), node));
            }
            Operation::Unlink => self.name(Name::Gone(path())),
            Operation::MakeDirectory => self.name(Name::Made(path(), Node::Directory)),
            Operation::Fault => {}
        }
    }

    /// What a power cut now leaves.
    pub fn image(&self, cut: Cut, dice: &mut Dice) -> Image {
        // Some caches have written nearly everything back, some next to nothing.
        let luck = [10, 50, 90][dice.below(3)];
        let mut names = self.safe.clone();
        for (_, name) in &self.names {
            if cut.takes(luck, dice) {
                name.apply(&mut names);
            }
        }
        let reachable = |path: &str| {
            let mut parents = path.match_indices('/').map(|(at, _)| &path[..at]);
            parents.all(|parent| names.get(parent) == Some(&Node::Directory))
        };
        let mut image = Image::default();
        for (path, node) in names.iter().filter(|(path, _)| reachable(path)) {
            match node {
                Node::Directory => drop(image.directories.insert(path.clone())),
                Node::File(file) => drop(image.files.insert(path.clone(), self.files[*file].after(cut, luck, dice))),
            }
        }
        image
    }

    /// Everything that was done, synced or not.
    pub fn seen(&self) -> Image {
        self.image(Cut::Kept, &mut Dice::new(0))
    }

    fn change(&mut self, record: &Record, change: Change) {
        let file = &mut self.files[self.open[&record.inode]];
        change.apply(&mut file.seen);
        file.unsynced.push((self.done, change));
    }

    fn name(&mut self, name: Name) {
        name.apply(&mut self.seen);
        self.names.push((self.done, name));
    }

    fn synced(&mut self, number: u64) {
        let (what, before) = self.syncs.remove(&number).expect("a sync begins before it ends");
        match what {
            Synced::File(file) => {
                let File { safe, unsynced, .. } = &mut self.files[file];
                let covered = unsynced.partition_point(|(at, _)| *at < before);
                unsynced.drain(..covered).for_each(|(_, change)| change.apply(safe));
            }
            Synced::Directory(directory) => {
                let (safe, mut left) = (&mut self.safe, Vec::new());
                for (at, name) in self.names.drain(..) {
                    if at < before && name.directory() == directory { name.apply(safe) } else { left.push((at, name)) }
                }
                self.names = left;
            }
        }
    }
}

impl File {
    fn after(&self, cut: Cut, luck: usize, dice: &mut Dice) -> Vec<u8> {
        let mut content = match cut {
            Cut::Kept => return self.seen.clone(),
            _ => self.safe.clone(),
        };
        for (_, change) in &self.unsynced {
            match change {
                Change::Write(offset, data) if cut == Cut::Torn => {
                    let mut at = 0;
                    while at < data.len() {
                        let end = data.len().min((offset + at) / SECTOR * SECTOR + SECTOR - offset);
                        if cut.takes(luck, dice) {
                            Change::Write(offset + at, data.slice(at..end)).apply(&mut content);
                        } else {
                            // The length may be known already where the data is not.
                            let length_known = cut.takes(luck, dice);
                            if length_known {
                                let length = content.len().max(offset + end);
                                content.resize(length, 0);
                            }
                        }
                        at = end;
                    }
                }
                change if cut.takes(luck, dice) => change.apply(&mut content),
                _ => {}
            }
        }
        content
    }
}

impl Cut {
    fn takes(self, luck: usize, dice: &mut Dice) -> bool {
        match self {
            Self::Dropped => false,
            Self::Kept => true,
            Self::Picked | Self::Torn => dice.below(100) < luck,
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl Name {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Made(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Gone(path) => drop(names.remove(path)),
            Self::Moved(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }

    /// Whose sync makes it safe. Nothing is moved from one directory to another here.
    fn directory(&self) -> &str {
        let (Self::Made(path, _) | Self::Gone(path) | Self::Moved(path, ..)) = self;
        path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("files here are small")
}

mod tests {
    use super::*;

    /// What is done to files `a` and `b`, whose directory is the root.
    fn record(operation: Operation, path: &str) -> Record {
        Record { end: 0, operation, inode: u64::from(path.as_bytes()[0]), path: path.to_owned() }
    }

    fn written(disk: &mut Disk, path: &str, offset: u64, data: &[u8]) {
        disk.apply(&record(Operation::Write { offset, data: Bytes::copy_from_slice(data) }, path));
    }

    fn sync(disk: &mut Disk, path: &str, directory: bool) {
        disk.apply(&record(Operation::Sync { number: 1, directory }, path));
        disk.apply(&record(Operation::Synced { number: 1 }, path));
    }

    #[test]
    fn a_cut_leaves_what_was_synced_and_no_name_before_its_directory_was() {
        let (mut disk, mut dice) = (Disk::default(), Dice::new(1));
        disk.apply(&record(Operation::Open { made: true, emptied: false }, "a"));
        written(&mut disk, "a", 0, b"one");
        sync(&mut disk, "a", false);
        assert!(disk.image(Cut::Dropped, &mut dice).files.is_empty(), "the file has no name yet");
        let root = Record { path: String::new(), ..record(Operation::Sync { number: 2, directory: true }, "a") };
        disk.apply(&root);
        // Too late for the sync that is under way.
        written(&mut disk, "a", 3, b"two");
        disk.apply(&record(Operation::Rename { to: "b".to_owned() }, "a"));
        disk.apply(&Record { operation: Operation::Synced { number: 2 }, ..root });
        let image = disk.image(Cut::Dropped, &mut dice);
        assert_eq!(image.files.into_iter().collect::<Vec<_>>(), [("a".to_owned(), b"one".to_vec())]);
        assert_eq!(disk.seen().files["b"], b"onetwo");
    }

    #[test]
    fn a_torn_write_is_there_by_sectors() {
        let (mut disk, mut seen) = (Disk::default(), BTreeSet::new());
        disk.apply(&record(Operation::Open { made: true, emptied: false }, "a"));
        written(&mut disk, "a", 100, &[7; 1000]);
        for seed in 0..500 {
            let image = disk.image(Cut::Torn, &mut Dice::new(seed));
            if let Some(content) = image.files.get("a") {
                let whole =
                    |range: std::ops::Range<usize>| content.get(range).is_some_and(|part| part.iter().all(|byte| *byte == 7));
                seen.insert([whole(100..512), whole(512..1024), whole(1024..1100)]);
            }
        }
        assert_eq!(seen.len(), 8, "each of its three sectors with and without the others: {seen:?}");
    }
}
