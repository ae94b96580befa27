//! How much memory this process may have, and how much it has.

use std::{fs, hint, path::Path, thread};

/// What the operator says, else what the control group allows, else what the machine has; `None`: nobody says.
pub(super) fn limit(configured: u64) -> Option<u64> {
    (configured > 0).then_some(configured).or_else(of_control_group).or_else(|| kilobytes("/proc/meminfo", "MemTotal:"))
}

/// What is resident; `None` where the system does not say.
pub(super) fn resident() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS:")
}

/// Has the allocator give back to the system what is free. mimalloc does that by itself only while threads free pages, and
/// when one ends: a server that everybody has left does neither, and would keep for ever what they took. There is no safe
/// call for it, so a thread ends.
pub(super) fn give_back() {
    // Only a thread that has allocated is known to the allocator.
    let thread = thread::Builder::new().name("give-back".to_owned()).spawn(|| drop(hint::black_box(Box::new(0_u8))));
    // Without a thread to be had it waits for the next time.
    let _ended = thread.map(thread::JoinHandle::join);
}

/// The limit of this process's control group (version 2), or of the one above it that has one.
fn of_control_group() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    root.join(own)
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(|group| fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok())
        .min()
}

fn kilobytes(file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_counts_first() {
        assert_eq!(limit(1 << 30), Some(1 << 30));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_says_what_there_is_and_what_is_used() {
        let (limit, resident) = (limit(0).expect("a machine has memory"), resident().expect("this process has some"));
        assert!(resident > 1 << 20 && resident < limit, "{resident} of {limit}");
    }
}
