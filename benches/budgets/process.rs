//! What the kernel says of a process.

use std::{fs, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A tick of the kernel's clock, in which it counts a process's CPU time.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a process has taken so far, user and system together, as the kernel tells it in two ways.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// In whole ticks, of all threads that ever were.
    ticks: Duration,
    /// Exact, of the threads that are.
    threads: Duration,
}

impl Cpu {
    /// Of that process, now.
    pub fn of(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
        // The name, in parentheses, may hold anything; utime and stime are the 12th and 13th fields behind it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
        Self { ticks: TICK.saturating_mul(ticks), threads: threads(pid) }
    }

    /// What was taken since `earlier`: the exact figure, unless threads have ended and taken theirs with them.
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        let exact = self.threads.saturating_sub(earlier.threads);
        if exact + 2 * TICK < ticks { ticks } else { exact }
    }
}

fn threads(pid: u32) -> Duration {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let schedstats = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
    schedstats.filter_map(|text| run_time(&text)).sum()
}

/// CPU time that the calling thread has taken.
pub fn own_thread_cpu() -> Duration {
    // A thread's figure is brought up to date when it is scheduled.
    std::thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel keeps schedstat");
    run_time(&text).expect("schedstat starts with a number")
}

fn run_time(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Bytes of anonymous memory that are resident.
pub fn anonymous_bytes(pid: u32) -> u64 {
    memory(pid, "RssAnon:")
}

/// Bytes that are resident, files included: what the server looks at.
pub fn resident_bytes(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the kernel counts memory");
    let kilobytes: u64 = line.split_whitespace().next().and_then(|text| text.parse().ok()).expect("a number of kilobytes");
    kilobytes * 1024
}

/// How many files this process may have open; so may a server that it starts.
pub fn file_limit() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Allows this process and its children as many open files as the system lets them have.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).is_err() {
        eprintln!("the limit of open files stays at {:?}", limit.current);
    }
}
