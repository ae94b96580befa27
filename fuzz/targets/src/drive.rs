//! Runs a target on the corpus and on inputs made of it.

use std::{
    fmt, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use sovereign::clock::monotonic;

use crate::{
    Target, corpus,
    mutation::{Random, input},
};

/// When it is enough.
#[derive(Clone, Copy)]
pub enum Until {
    /// After so many inputs.
    Cases(usize),
    /// After so long.
    Elapsed(Duration),
}

/// An input that shows something wrong.
pub struct Finding {
    target: &'static str,
    seed: u64,
    /// Which input after the corpus; `None`: one of the corpus.
    case: Option<usize>,
    /// `None`: it could not be kept.
    kept: Option<PathBuf>,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, seed, case, kept, what } = self;
        let which = case.map_or_else(|| "an input of the corpus".to_owned(), |case| format!("seed {seed}, case {case}"));
        write!(f, "{target}: {which}: {what}")?;
        match kept {
            Some(kept) => write!(f, "\nthe input is kept: ./scripts/fuzz --replay {} {target}", kept.display()),
            None => write!(f, "\nthe input could not be kept"),
        }
    }
}

/// Runs every input of the corpus, then inputs made of it; how many.
pub fn drive(target: Target, seed: u64, until: Until) -> Result<usize, Finding> {
    let seeds = corpus::of(target.name);
    for (_, data) in &seeds {
        attempt(target, data, seed, None)?;
    }
    let mut random = Random::new(seed);
    let began = monotonic();
    let mut cases = 0;
    loop {
        let over = match until {
            Until::Cases(most) => cases >= most,
            Until::Elapsed(longest) => began.elapsed() >= longest,
        };
        if over {
            return Ok(seeds.len() + cases);
        }
        attempt(target, &input(&mut random, &seeds), seed, Some(cases))?;
        cases += 1;
    }
}

fn attempt(target: Target, data: &[u8], seed: u64, case: Option<usize>) -> Result<(), Finding> {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| (target.run)(data))) else { return Ok(()) };
    let text = panic.downcast_ref::<String>().cloned();
    let what = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    // Where it cannot be kept, seed and case still lead to it.
    let kept = keep(target, data).ok();
    Err(Finding { target: target.name, seed, case, kept, what: what.unwrap_or_default() })
}

/// Where cargo-fuzz keeps what it finds.
fn keep(target: Target, data: &[u8]) -> io::Result<PathBuf> {
    let directory = artifacts().join(target.name);
    fs::create_dir_all(&directory)?;
    let name = Sha256::digest(data).iter().take(6).fold("crash-".to_owned(), |name, byte| format!("{name}{byte:02x}"));
    let kept = directory.join(name);
    fs::write(&kept, data)?;
    Ok(kept)
}

/// `fuzz/artifacts`.
#[must_use]
pub fn artifacts() -> PathBuf {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf);
    fuzz.join("artifacts")
}
