//! What the server counts of itself. Counting is an addition to an atomic number: no lock, no allocation, and no label
//! that holds a name, an id or an address. The text of it is made when somebody asks ([`text`]).

mod text;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use sovereign_proto::v1::{FailureCode, REQUEST_NAMES};

use crate::refusal::CloseCode;

/// Failure codes, and one place more for what was done.
const CODES: usize = 16;
/// Bounds of times in nanoseconds: 0.1 ms to 10 s.
const TIMES: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    1_000_000_000,
    10_000_000_000,
];
/// Bounds of the writer's batches in jobs.
const BATCHES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// Everything that is counted where it happens. The store's writer counts on a part of its own.
pub struct Metrics {
    opened: AtomicU64,
    ended: AtomicU64,
    requests: Box<[PerRequest]>,
    refusals: [AtomicU64; CODES],
    closes: [AtomicU64; CloseCode::ALL.len()],
    delivered: AtomicU64,
    races_lost: AtomicU64,
}

/// Of one request of the service block.
struct PerRequest {
    results: [AtomicU64; CODES],
    times: Distribution,
}

/// What the store's writer counts. One thread counts here.
pub struct WriterMetrics {
    messages: AtomicU64,
    batches: Distribution,
    commits: Distribution,
}

/// What is looked up when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Devices that are connected.
    pub devices_connected: u64,
    /// Accounts that are not deleted.
    pub accounts: u64,
    /// Devices that take part.
    pub devices: u64,
    /// Groups that are in use.
    pub groups: u64,
    /// Groups that wait for a member's commit.
    pub groups_behind: u64,
    /// Groups that wait for their reset.
    pub groups_frozen: u64,
    /// Groups that wait, after a restore, until their members have said where they stand.
    pub groups_suspended: u64,
    /// Entries not acknowledged, each counted once for each device.
    pub backlog: u64,
    /// Key packages in stock.
    pub key_packages: u64,
    /// Devices with fewer than they are warned for.
    pub devices_low: u64,
    /// Notices that are on their way into logs.
    pub notices_open: u64,
    /// Length of the write-ahead log.
    pub wal_bytes: u64,
    /// Free on the disk.
    pub disk_free_bytes: u64,
    /// Since the start.
    pub uptime: Duration,
}

/// An open connection; counted until it is dropped.
pub struct Open(Arc<Metrics>);

impl Default for Metrics {
    fn default() -> Self {
        let request = || PerRequest { results: Default::default(), times: Distribution::new(TIMES) };
        Self {
            opened: AtomicU64::default(),
            ended: AtomicU64::default(),
            requests: REQUEST_NAMES.iter().map(|_| request()).collect(),
            refusals: Default::default(),
            closes: Default::default(),
            delivered: AtomicU64::default(),
            races_lost: AtomicU64::default(),
        }
    }
}

impl Metrics {
    /// A connection has come.
    #[must_use]
    pub fn opened(self: &Arc<Self>) -> Open {
        self.opened.fetch_add(1, Relaxed);
        Open(Arc::clone(self))
    }

    /// A request, by its place in the service block, has been answered: done, or refused with this code.
    pub fn request(&self, index: usize, refused: Option<FailureCode>, took: Duration) {
        let Some(request) = self.requests.get(index) else { return };
        request.results[refused.map_or(0, place)].fetch_add(1, Relaxed);
        request.times.add_time(took);
    }

    /// A failure was sent, to a request or to what was no request.
    pub fn refused(&self, code: FailureCode) {
        self.refusals[place(code)].fetch_add(1, Relaxed);
    }

    /// The server has closed a connection.
    pub fn closed(&self, code: CloseCode) {
        if let Some(place) = CloseCode::ALL.iter().position(|known| *known == code) {
            self.closes[place].fetch_add(1, Relaxed);
        }
    }

    /// Entries were handed to a connection.
    pub fn delivered(&self, entries: u64) {
        self.delivered.fetch_add(entries, Relaxed);
    }

    /// A commit came behind another one of its epoch.
    pub fn race_lost(&self) {
        self.races_lost.fetch_add(1, Relaxed);
    }

    /// Everything as `OpenMetrics` text.
    #[must_use]
    pub fn text(self: &Arc<Self>, writer: &Arc<WriterMetrics>, gauges: Gauges) -> String {
        text::encode(Arc::clone(self), Arc::clone(writer), gauges)
    }
}

impl Default for WriterMetrics {
    fn default() -> Self {
        Self { messages: AtomicU64::default(), batches: Distribution::new(BATCHES), commits: Distribution::new(TIMES) }
    }
}

impl WriterMetrics {
    /// A transaction is durable: how many jobs it took, how many messages it stored, and how long it took.
    pub fn committed(&self, jobs: usize, messages: u64, took: Duration) {
        self.messages.fetch_add(messages, Relaxed);
        self.batches.add(jobs as u64);
        self.commits.add_time(took);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for WriterMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterMetrics").finish_non_exhaustive()
    }
}

/// How often a value lay between two bounds.
struct Distribution {
    bounds: &'static [u64],
    /// One for each bound, and one for what lies above the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Distribution {
    fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::default()).collect(), sum: AtomicU64::default() }
    }

    fn add(&self, value: u64) {
        let place = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        self.counts[place].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// Where a code is counted; 0 is what was done.
fn place(code: FailureCode) -> usize {
    usize::try_from(i32::from(code)).unwrap_or(0).min(CODES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_place_of_its_own() {
        let codes = (1..).map_while(|number| FailureCode::try_from(number).ok());
        let mut places: Vec<usize> = codes.map(place).collect();
        let count = places.len();
        places.dedup();
        assert_eq!(places.len(), count);
        assert!(places.iter().all(|place| (1..CODES).contains(place)));
    }

    #[test]
    fn what_is_counted_stands_in_the_text() {
        let metrics = Arc::new(Metrics::default());
        let writer = Arc::new(WriterMetrics::default());
        let _open = metrics.opened();
        drop(metrics.opened());
        let index = REQUEST_NAMES.iter().position(|name| *name == "SendMessage").expect("a request");
        metrics.request(index, None, Duration::from_millis(3));
        metrics.request(index, Some(FailureCode::NotFound), Duration::from_mins(1));
        metrics.refused(FailureCode::NotFound);
        metrics.closed(CloseCode::Superseded);
        metrics.delivered(5);
        metrics.race_lost();
        writer.committed(3, 2, Duration::from_micros(80));
        let gauges = Gauges { backlog: 7, uptime: Duration::from_millis(1500), ..Gauges::default() };
        let text = metrics.text(&writer, gauges);
        for line in [
            "sovereign_connections 1.0",
            "sovereign_connections_opened_total 2",
            r#"sovereign_requests_total{request="SendMessage",code="ok"} 1"#,
            r#"sovereign_requests_total{request="SendMessage",code="not_found"} 1"#,
            r#"sovereign_request_seconds_bucket{le="0.005",request="SendMessage"} 1"#,
            r#"sovereign_request_seconds_bucket{le="+Inf",request="SendMessage"} 2"#,
            r#"sovereign_request_seconds_count{request="SendMessage"} 2"#,
            r#"sovereign_refusals_total{code="not_found"} 1"#,
            r#"sovereign_closes_total{code="4009"} 1"#,
            "sovereign_entries_delivered_total 5",
            "sovereign_messages_accepted_total 2",
            "sovereign_commit_races_lost_total 1",
            r#"sovereign_writer_batch_jobs_bucket{le="4.0"} 1"#,
            "sovereign_writer_commit_seconds_count 1",
            "sovereign_backlog_entries 7.0",
            "sovereign_uptime_seconds 1.5",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
        }
    }
}
