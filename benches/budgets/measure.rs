//! A stretch of work, and what it took.

use std::{future::Future, time::Duration};

use sovereign::clock::monotonic;

use crate::process::Cpu;

/// Longest time that one stretch may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a stretch of work took.
#[derive(Clone, Copy)]
pub struct Taken {
    /// Of the measured process.
    pub cpu: Duration,
    /// Until it was done.
    pub wall: Duration,
}

impl Taken {
    /// Microseconds of CPU for each of so many.
    pub fn cpu_us(self, count: usize) -> f64 {
        micros(self.cpu) / as_f64(count)
    }

    /// So many a second.
    pub fn rate(self, count: usize) -> f64 {
        as_f64(count) / self.wall.as_secs_f64()
    }
}

/// Does it while watching the process.
pub async fn watch<T>(pid: u32, work: impl Future<Output = T>) -> (Taken, T) {
    let (cpu, start) = (Cpu::of(pid), monotonic());
    let Ok(done) = tokio::time::timeout(PATIENCE, work).await else { panic!("{PATIENCE:?} were not enough: it is stuck") };
    let wall = start.elapsed();
    (Taken { cpu: Cpu::of(pid).since(cpu), wall }, done)
}

/// The least CPU of several stretches, and the least time, each by itself.
pub fn best(taken: impl IntoIterator<Item = Taken>) -> Taken {
    let least = |a: Taken, b: Taken| Taken { cpu: a.cpu.min(b.cpu), wall: a.wall.min(b.wall) };
    taken.into_iter().reduce(least).expect("it was measured at least once")
}

/// Microseconds.
pub fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The value below which `share` of the sorted values lie.
pub fn percentile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is an index")]
    let index = (as_f64(sorted.len()) * share) as usize;
    sorted[index.min(sorted.len() - 1)]
}

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub fn as_f64(count: usize) -> f64 {
    count as f64
}
