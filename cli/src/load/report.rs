//! What was measured, as a table for people or as an object for programs.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use super::{args::Plan, latency::Figures, process::Usage, tally::Tally};

/// Everything that is told in the end.
#[derive(Serialize)]
#[serde(tag = "event", rename = "load")]
pub(super) struct Report {
    pub(super) pairs: u32,
    pub(super) groups: u32,
    pub(super) members: u32,
    pub(super) size: u32,
    pub(super) outstanding: u32,
    pub(super) rate: Option<u32>,
    pub(super) idle: u32,
    pub(super) storm: u32,
    /// From the first message to the last delivery.
    pub(super) seconds: f64,
    pub(super) sent: u64,
    /// Were due by the rate, and not sent even after its end.
    pub(super) unsent: u64,
    pub(super) accepted: u64,
    pub(super) refused: BTreeMap<String, u64>,
    /// Neither accepted nor refused.
    pub(super) unanswered: u64,
    /// Deliveries that the accepted ones call for.
    pub(super) owed: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) accepted_us: Option<Figures>,
    pub(super) delivered_us: Option<Figures>,
    pub(super) back_us: Option<Figures>,
    /// Of the storm, those who did not come back.
    pub(super) away: u64,
    pub(super) broken: BTreeMap<String, u64>,
    pub(super) reconnects: u64,
    pub(super) server: Option<Server>,
    /// Everything asked for was done, and nothing was lost or refused.
    pub(super) held: bool,
}

/// What the server's process took meanwhile.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Server {
    pub(super) cpu_seconds: f64,
    /// For each accepted message; everything else that happened meanwhile counts in.
    pub(super) cpu_us_per_message: Option<f64>,
    pub(super) memory_bytes_before: u64,
    pub(super) memory_bytes_after: u64,
}

impl Report {
    /// Of a run that took `took`. `usage`: of the server's process, before and after.
    pub(super) fn new(plan: Plan, tally: &Tally, took: Duration, usage: Option<(Usage, Usage)>) -> Self {
        let (sent, accepted, refused) = (tally.sent.get(), tally.accepted.get(), tally.refused.sum());
        let (owed, delivered) = (tally.owed.get(), tally.delivered.get());
        let due = plan.rate.map_or(sent, |rate| u64::from(rate) * u64::from(plan.seconds));
        let mut report = Self {
            pairs: plan.pairs,
            groups: plan.groups,
            members: plan.members,
            size: plan.size,
            outstanding: plan.outstanding,
            rate: plan.rate,
            idle: plan.idle,
            storm: plan.storm,
            seconds: took.as_secs_f64(),
            sent,
            unsent: due.saturating_sub(sent),
            accepted,
            refused: tally.refused.get(),
            unanswered: sent.saturating_sub(accepted + refused),
            owed,
            delivered,
            lost: owed.saturating_sub(delivered),
            accepted_us: tally.accepted_after.get().figures(),
            delivered_us: tally.delivered_after.get().figures(),
            back_us: tally.back_after.get().figures(),
            away: u64::from(plan.storm).saturating_sub(tally.back.get()),
            broken: tally.broken.get(),
            reconnects: tally.reconnects.get(),
            server: usage.map(|(before, after)| Server::new(before, after, accepted)),
            held: false,
        };
        report.held = report.faults().is_empty();
        report
    }

    /// What did not hold, in words.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |count: u64, what: &str| {
            if count > 0 {
                faults.push(format!("{} {what}", grouped(count)));
            }
        };
        fault(self.lost, "deliveries are missing");
        fault(self.refused.values().sum(), "messages were refused");
        fault(self.unanswered, "messages were not answered");
        fault(self.unsent, "messages could not be sent: the rate is more than this can take");
        fault(self.away, "did not come back after the storm");
        // Whatever was not answered may have been delivered; without such there is nothing to deliver beyond.
        if self.unanswered == 0 {
            fault(self.delivered.saturating_sub(self.owed), "deliveries too many");
        }
        faults
    }
}

impl Server {
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    fn new(before: Usage, after: Usage, accepted: u64) -> Self {
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
        Self {
            cpu_seconds: cpu,
            cpu_us_per_message: (accepted > 0).then(|| cpu * 1e6 / accepted as f64),
            memory_bytes_before: before.memory,
            memory_bytes_after: after.memory,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading())?;
        writeln!(f, "\n{:<12}{:>12}{:>12}", "", "count", "a second")?;
        for (name, count) in [("sent", self.sent), ("accepted", self.accepted), ("delivered", self.delivered)] {
            let of = if name == "delivered" { format!("   of {}", grouped(self.owed)) } else { String::new() };
            writeln!(f, "{name:<12}{:>12}{:>12}{of}", grouped(count), grouped(self.a_second(count)))?;
        }
        let times = [("accepted", self.accepted_us), ("delivered", self.delivered_us), ("back again", self.back_us)];
        if times.iter().any(|(_, figures)| figures.is_some()) {
            writeln!(f, "\n{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}", "after, in ms", "p50", "p90", "p99", "p99.9", "max")?;
        }
        for (name, figures) in times {
            if let Some(Figures { p50, p90, p99, p999, max, .. }) = figures {
                let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(millis);
                writeln!(f, "{name:<12}{p50:>10}{p90:>10}{p99:>10}{p999:>10}{max:>10}")?;
            }
        }
        writeln!(f)?;
        writeln!(f, "refused      {}", listed(&self.refused))?;
        writeln!(f, "broken       {}; {} came back by themselves", listed(&self.broken), grouped(self.reconnects))?;
        writeln!(f, "server       {}", self.server_text())?;
        let faults = self.faults();
        if faults.is_empty() {
            return writeln!(f, "\nEverything that was accepted was delivered, once.");
        }
        writeln!(f, "\nFAILED: {}.", faults.join("; "))
    }
}

impl Report {
    fn heading(&self) -> String {
        let mut parts = Vec::new();
        if self.pairs > 0 {
            parts.push(format!("{} pairs", grouped(u64::from(self.pairs))));
        }
        if self.groups > 0 {
            parts.push(format!("{} groups of {}", grouped(u64::from(self.groups)), self.members));
        }
        if self.pairs + self.groups > 0 {
            let pace = match self.rate {
                Some(rate) => format!("{} a second by schedule", grouped(u64::from(rate))),
                None => "as fast as that goes".to_owned(),
            };
            let size = grouped(u64::from(self.size));
            parts.push(format!("{size} bytes a message, {} outstanding each, {pace}", self.outstanding));
        }
        if self.idle > 0 {
            parts.push(format!("{} idle", grouped(u64::from(self.idle))));
        }
        if self.storm > 0 {
            parts.push(format!("{} breaking off at half time", grouped(u64::from(self.storm))));
        }
        format!("{}; {:.1} s", parts.join("; "), self.seconds)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is small and positive"
    )]
    fn a_second(&self, count: u64) -> u64 {
        (count as f64 / self.seconds.max(f64::EPSILON)) as u64
    }

    fn server_text(&self) -> String {
        let Some(server) = self.server else {
            return "n/a (give its --pid, where it runs on this machine and that is Linux)".to_owned();
        };
        let share = server.cpu_seconds / self.seconds.max(f64::EPSILON) * 100.0;
        let each = server.cpu_us_per_message.map_or_else(|| "n/a".to_owned(), |each| format!("{each:.1} us"));
        let (before, after) = (mebibytes(server.memory_bytes_before), mebibytes(server.memory_bytes_after));
        format!("CPU {each} an accepted message, {share:.0} % of one core; memory {before} before, {after} after")
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a memory are far below 2^52")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Microseconds as milliseconds, with three digits that mean something.
#[expect(clippy::cast_precision_loss, reason = "no wait here is longer than 2^52 microseconds")]
fn millis(micros: u64) -> String {
    let millis = micros as f64 / 1000.0;
    match micros {
        0..10_000 => format!("{millis:.2}"),
        10_000..100_000 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.iter().map(|(name, count)| format!("{} {name}", grouped(*count))).collect::<Vec<_>>().join(", ")
}

/// With a comma between thousands.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan =
        Plan { pairs: 5, groups: 1, members: 3, size: 1024, outstanding: 4, rate: Some(600), idle: 2, storm: 3, seconds: 2 };

    /// 1,200 messages, all of them accepted and delivered.
    fn tally() -> Tally {
        let tally = Tally::default();
        tally.sent.add(1200);
        tally.accepted.add(1200);
        tally.owed.add(1400);
        tally.delivered.add(1400);
        tally.back.add(3);
        tally.accepted_after.record(Duration::from_micros(1500));
        tally.delivered_after.record(Duration::from_millis(25));
        tally
    }

    fn report(tally: &Tally) -> Report {
        let usage = |millis, memory| Usage { cpu: Duration::from_millis(millis), memory };
        Report::new(PLAN, tally, Duration::from_secs(2), Some((usage(100, 10 << 20), usage(220, 12 << 20))))
    }

    #[test]
    fn the_table_says_it_all() {
        let text = report(&tally()).to_string();
        for line in [
            "5 pairs; 1 groups of 3; 1,024 bytes a message, 4 outstanding each, 600 a second by schedule; 2 idle; 3 breaking off at half time; 2.0 s",
            "                   count    a second",
            "delivered          1,400         700   of 1,400",
            "after, in ms       p50       p90       p99     p99.9       max",
            "accepted          1.50      1.50      1.50      1.50      1.50",
            "refused      none",
            "server       CPU 100.0 us an accepted message, 6 % of one core; memory 10.0 MiB before, 12.0 MiB after",
            "Everything that was accepted was delivered, once.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn whatever_is_missing_fails() {
        assert!(report(&tally()).held);
        let spoiled = |spoil: fn(&Tally), what: &str| {
            let tally = tally();
            spoil(&tally);
            let report = report(&tally);
            let text = report.to_string();
            let last = text.lines().next_back().unwrap_or_default();
            assert!(!report.held && last.starts_with("FAILED: ") && last.contains(what), "{last}");
        };
        spoiled(|tally| tally.owed.add(1), "1 deliveries are missing");
        spoiled(|tally| tally.sent.add(2), "2 messages were not answered");
        spoiled(|tally| tally.delivered.add(1), "1 deliveries too many");
        spoiled(
            |tally| {
                tally.sent.add(1);
                tally.refused.add("rate_limited");
            },
            "1 messages were refused",
        );
        let unsent = Report::new(Plan { rate: Some(700), ..PLAN }, &tally(), Duration::from_secs(2), None);
        assert!(!unsent.held && unsent.unsent == 200 && unsent.to_string().contains("server       n/a"));
        let away = Report::new(Plan { storm: 4, ..PLAN }, &tally(), Duration::from_secs(2), None);
        assert!(!away.held && away.away == 1);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1234, 12_340, 123_400].map(millis), ["0.00", "1.23", "12.3", "123"]);
    }
}
