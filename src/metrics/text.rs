//! The numbers as `OpenMetrics` text.

use std::{fmt, sync::Arc, sync::atomic::Ordering::Relaxed};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, MetricEncoder, NoLabelSet, text::encode as encode_registry},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use sovereign_proto::v1::{FailureCode, REQUEST_NAMES};

use super::{CODES, Distribution, Gauges, Metrics, PerRequest, WriterMetrics};
use crate::refusal::CloseCode;

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// Encodes everything, each name with `sovereign_` before it.
pub(super) fn encode(metrics: Arc<Metrics>, writer: Arc<WriterMetrics>, gauges: Gauges) -> String {
    let mut registry = Registry::with_prefix("sovereign");
    registry.register_collector(Box::new(Snapshot { metrics, writer, gauges }));
    let mut text = String::with_capacity(16 * 1024);
    // A String takes every write.
    let _ = encode_registry(&mut text, &registry);
    text
}

/// The label values of one line.
type Labels = [(&'static str, &'static str)];

#[derive(Debug)]
struct Snapshot {
    metrics: Arc<Metrics>,
    writer: Arc<WriterMetrics>,
    gauges: Gauges,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.gauges(&mut page)?;
        self.counters(&mut page)?;
        self.requests(&mut page)?;
        page.distribution("writer_batch_jobs", "Jobs that the writer has committed at once", &self.writer.batches, 1.0)?;
        page.distribution("writer_commit_seconds", "Time of a transaction, its sync included", &self.writer.commits, SECOND)
    }
}

impl Snapshot {
    #[expect(clippy::cast_precision_loss, reason = "metrics are approximate above 2^53")]
    fn gauges(&self, page: &mut Page<'_>) -> fmt::Result {
        let (gauges, metrics) = (&self.gauges, &self.metrics);
        let connections = metrics.opened.load(Relaxed).saturating_sub(metrics.ended.load(Relaxed));
        let rows = [
            ("connections", "Open connections, authenticated or not", connections),
            ("devices_connected", "Devices that are connected", gauges.devices_connected),
            ("accounts", "Accounts that are not deleted", gauges.accounts),
            ("devices", "Devices that take part", gauges.devices),
            ("groups", "Groups in use", gauges.groups),
            ("groups_behind", "Groups that wait for a commit of a member", gauges.groups_behind),
            ("groups_frozen", "Groups that wait for their reset", gauges.groups_frozen),
            ("groups_suspended", "Groups that wait for their members after a restore", gauges.groups_suspended),
            ("backlog_entries", "Entries not acknowledged, once for each device", gauges.backlog),
            ("key_packages", "Key packages in stock", gauges.key_packages),
            ("devices_low", "Devices that run low on key packages", gauges.devices_low),
            ("notices_open", "Notices on their way into logs", gauges.notices_open),
            ("wal_bytes", "Length of the write-ahead log", gauges.wal_bytes),
            ("disk_free_bytes", "Free space on the disk of the data directory", gauges.disk_free_bytes),
        ];
        for (name, help, value) in rows {
            page.gauge(name, help, value as f64)?;
        }
        page.gauge("uptime_seconds", "Time since the start", gauges.uptime.as_secs_f64())
    }

    fn counters(&self, page: &mut Page<'_>) -> fmt::Result {
        let metrics = &self.metrics;
        let rows = [
            ("connections_opened", "Connections that came", &metrics.opened),
            ("messages_accepted", "Messages stored durably", &self.writer.messages),
            ("entries_delivered", "Entries of logs handed to connections", &metrics.delivered),
            ("commit_races_lost", "Commits that came behind another one of their epoch", &metrics.races_lost),
        ];
        for (name, help, value) in rows {
            page.counter(name, help)?.encode_counter::<NoLabelSet, _, u64>(&value.load(Relaxed), None)?;
        }
        let mut refusals = page.counter("refusals", "Failures sent, by code")?;
        for (code, name) in codes().filter(|(place, _)| *place > 0) {
            line(&mut refusals, &[("code", name)], metrics.refusals[code].load(Relaxed))?;
        }
        let mut closes = page.counter("closes", "Connections closed by the server, by close code")?;
        for (place, code) in CloseCode::ALL.iter().enumerate() {
            let count = metrics.closes[place].load(Relaxed);
            ConstCounter::new(count).encode(closes.encode_family(&[("code", (*code as u16).to_string())])?)?;
        }
        Ok(())
    }

    /// Of the requests that came at all.
    fn requests(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut requests = page.counter("requests", "Requests answered, by name and result")?;
        for (name, request) in self.asked() {
            for (code, result) in codes() {
                let count = request.results[code].load(Relaxed);
                if count > 0 {
                    line(&mut requests, &[("request", name), ("code", result)], count)?;
                }
            }
        }
        let mut times = page.0.encode_descriptor(
            "request_seconds",
            "Time from reading a request to its answer, by name",
            None,
            MetricType::Histogram,
        )?;
        for (name, request) in self.asked() {
            request.times.encode(times.encode_family(&[("request", name)])?, SECOND)?;
        }
        Ok(())
    }

    fn asked(&self) -> impl Iterator<Item = (&'static str, &PerRequest)> {
        let requests = REQUEST_NAMES.iter().copied().zip(&self.metrics.requests);
        requests.filter(|(_, request)| request.results.iter().any(|count| count.load(Relaxed) > 0))
    }
}

/// The text as it grows.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn counter<'p>(&'p mut self, name: &'p str, help: &'p str) -> Result<MetricEncoder<'p>, fmt::Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Counter)
    }

    fn distribution(&mut self, name: &str, help: &str, distribution: &Distribution, unit: f64) -> fmt::Result {
        distribution.encode(self.0.encode_descriptor(name, help, None, MetricType::Histogram)?, unit)
    }
}

impl Distribution {
    /// `unit`: how many of what is counted make one of what is shown.
    #[expect(clippy::cast_precision_loss, reason = "metrics are approximate above 2^53")]
    fn encode(&self, mut encoder: MetricEncoder<'_>, unit: f64) -> fmt::Result {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / unit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.counts.iter().map(|count| count.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum.load(Relaxed) as f64 / unit, count, &buckets, None)
    }
}

fn line(family: &mut MetricEncoder<'_>, labels: &Labels, count: u64) -> fmt::Result {
    ConstCounter::new(count).encode(family.encode_family(&labels)?)
}

/// Every place with what it is called; the first is what was done.
fn codes() -> impl Iterator<Item = (usize, &'static str)> {
    let failures = (1..).map_while(|number| FailureCode::try_from(number).ok());
    let named = failures.map(|code| (super::place(code), CODE_NAMES[super::place(code)]));
    std::iter::once((0, CODE_NAMES[0])).chain(named)
}

/// As docs/protocol writes them.
const CODE_NAMES: [&str; CODES] = [
    "ok",
    "unauthenticated",
    "forbidden",
    "not_found",
    "invalid_argument",
    "conflict",
    "stale_epoch",
    "too_large",
    "rate_limited",
    "quota_exceeded",
    "unavailable",
    "deadline_exceeded",
    "unimplemented",
    "internal",
    "",
    "",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_called_as_the_contract_calls_them() {
        for code in (1..).map_while(|number| FailureCode::try_from(number).ok()) {
            let name = code.as_str_name().trim_start_matches("FAILURE_CODE_").to_lowercase();
            assert_eq!(CODE_NAMES[super::super::place(code)], name);
        }
    }
}
