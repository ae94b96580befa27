//! Power cuts: a server works on a disk that keeps a record, and what the disk may hold after a cut at any moment is opened
//! and held against what the server had acknowledged by then.
//!
//! `./scripts/powercut` runs it at length. A seed repeats the story's course and the cuts, not the timing of the server.

mod disk;
mod story;
mod verdict;

use std::{collections::BTreeMap, env, fs, path::Path};

use sovereign::entropy;
use tempfile::TempDir;

use self::{
    disk::{Cut, Disk},
    story::{Fact, Plan, Story},
    verdict::{Fault, judge, lay_out},
};
use crate::harness::{Raw, TestServer, dice::Dice};

/// Images from one story at most.
const IMAGES_PER_STORY: usize = 500;
/// Images of which one is also opened by the server's binary.
const IMAGES_PER_START: usize = 75;
/// A short story, with a quiet moment and a restart.
const SHORT: Plan = Plan { rounds: 6, messages: 12, bytes_max: 4000, lies: false };
/// Long enough for a write-ahead log that is emptied under load.
const LONG: Plan = Plan { rounds: 24, messages: 30, bytes_max: 8000, lies: false };

/// What many images showed.
#[derive(Default)]
struct Tally {
    stories: usize,
    operations: usize,
    images: usize,
    started: usize,
    promises: usize,
    faults: BTreeMap<Fault, usize>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_moment_takes_back_nothing_that_was_acknowledged() {
    let seed = asked("POWERCUT_SEED").unwrap_or_else(|| u64::from_ne_bytes(entropy::random()));
    let images = asked("POWERCUT_IMAGES").unwrap_or(150);
    println!("seed {seed}");
    let (mut dice, mut tally) = (Dice::new(seed), Tally::default());
    while tally.images < images {
        let plan = if tally.stories % 5 == 1 { LONG } else { SHORT };
        let story = story::tell(plan, &mut dice).await;
        let cuts = (images - tally.images).min(IMAGES_PER_STORY);
        tally.cut(&story, cuts, &mut dice).await;
        println!("{tally}");
    }
    tally.write(seed);
    assert!(tally.faults.is_empty(), "a power cut does harm: {tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_lies_about_its_syncs_is_found_out() {
    let (mut dice, mut tally) = (Dice::new(7), Tally::default());
    let story = story::tell(Plan { rounds: 3, lies: true, ..SHORT }, &mut dice).await;
    tally.cut(&story, 40, &mut dice).await;
    println!("{tally}");
    assert!(tally.faults.contains_key(&Fault::Lost), "this would not notice if syncs were left out: {tally}");
}

impl Tally {
    /// Cuts a story short in so many ways.
    async fn cut(&mut self, story: &Story, images: usize, dice: &mut Dice) {
        self.stories += 1;
        self.operations += story.records.len();
        let mut moments: Vec<usize> = (0..images).map(|_| moment(story, dice)).collect();
        moments.sort_unstable();
        let (mut disk, mut done) = (Disk::default(), 0);
        for moment in moments {
            story.records[done..moment].iter().for_each(|record| disk.apply(record));
            done = moment;
            let cut = [Cut::Dropped, Cut::Picked, Cut::Torn, Cut::Dropped, Cut::Picked, Cut::Torn, Cut::Kept][dice.below(7)];
            let image = disk.image(cut, dice);
            let position = moment.checked_sub(1).map_or(0, |last| story.records[last].end);
            self.images += 1;
            let root = place();
            lay_out(&image, root.path());
            let verdict = judge(&image, root.path(), story, position).await;
            self.promises += verdict.promises;
            for (fault, what) in verdict.faults {
                let number = self.faults.entry(fault).or_default();
                *number += 1;
                if *number <= 5 {
                    println!("{fault:?}, cut behind operation {moment}, unsynced {cut:?}: {what}");
                }
            }
            if self.images.is_multiple_of(IMAGES_PER_START) {
                let root = place();
                lay_out(&image, root.path());
                serve(root, story, position).await;
                self.started += 1;
            }
        }
    }

    /// One JSON object in the file that is asked for.
    fn write(&self, seed: u64) {
        let Some(path) = env::var_os("POWERCUT_RESULT") else { return };
        let text = |name: &str| env::var(name).unwrap_or_default();
        let count = |fault| self.faults.get(&fault).copied().unwrap_or(0);
        let result = serde_json::json!({
            "kind": "powercut", "date": text("POWERCUT_DATE"), "commit": text("POWERCUT_COMMIT"), "seed": seed,
            "counts": {
                "images": self.images, "stories": self.stories, "operations": self.operations, "started": self.started,
                "acknowledged_checked": self.promises, "lost": count(Fault::Lost), "corrupt": count(Fault::Corrupt),
                "half": count(Fault::Half), "phantom": count(Fault::Phantom),
            },
        });
        fs::write(path, format!("{result}\n")).expect("the result can be written");
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stories, operations, images, started, promises, faults } = self;
        let count = |fault| faults.get(&fault).copied().unwrap_or(0);
        let [lost, corrupt, half, phantom] = [Fault::Lost, Fault::Corrupt, Fault::Half, Fault::Phantom].map(count);
        write!(f, "images={images} stories={stories} operations={operations} started={started} acknowledged={promises} ")?;
        write!(f, "lost={lost} corrupt={corrupt} half={half} phantom={phantom}")
    }
}

/// How much of the record is done: anything, or what was done when the server had just promised something.
fn moment(story: &Story, dice: &mut Dice) -> usize {
    let records = &story.records;
    if dice.below(2) == 0 {
        return dice.below(records.len() + 1);
    }
    let promise = &story.promises[dice.below(story.promises.len())];
    let seen = records.partition_point(|record| record.end < promise.position) + 1;
    (seen + dice.below(6)).min(records.len())
}

/// The server's binary on an image: it starts, and whoever was promised an account comes in.
async fn serve(root: TempDir, story: &Story, position: u64) {
    let server = TestServer::start_in(root).await;
    let due = |fact: &Fact| matches!(fact, Fact::Account { device } if *device == story.ada.device);
    if story.promises.iter().any(|promise| promise.position <= position && due(&promise.fact)) {
        Raw::sign_in(&server, &story.ada).await.0.until_live().await;
    }
}

/// A directory in memory, where there is one: thousands of images come and go.
fn place() -> TempDir {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    directory.expect("a temporary directory")
}

fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().map(|text| text.parse().ok().unwrap_or_else(|| panic!("{name} is not a number: {text}")))
}
