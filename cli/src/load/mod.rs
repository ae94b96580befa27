//! `sov load`: puts a load on a server and tells what it made of it.

mod args;
mod latency;
mod peers;
mod process;
mod report;
mod schedule;
mod settle;
mod tally;
mod target;

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use sovereign_client::{clock::monotonic, load::Route};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

pub(crate) use self::args::Args;
use self::{
    args::Plan,
    peers::{Run, Sender, receive, stand, storm},
    process::Usage,
    report::{Report, grouped},
    schedule::{Pacer, Schedule},
    settle::{Settlement, settle},
    tally::Tally,
    target::Target,
};
use crate::{
    exit::{self, Exit},
    local_server::interrupted,
};

/// Between the last preparation and the first message.
const RUN_UP: Duration = Duration::from_millis(100);
/// Longest wait, after the last message, for answers and deliveries.
const DRAIN: Duration = Duration::from_secs(20);
/// How often it is looked whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How many looks there are between two lines of progress.
const LOOKS_A_LINE: u64 = 25;

impl Args {
    /// Loads, and tells. An error unless everything was done and nothing was lost.
    pub(crate) async fn run(self, json: bool) -> Result<(), Exit> {
        let plan = self.plan()?;
        let interrupted = interrupted()?;
        process::raise_file_limit();
        let target = Target::find(&self, plan).await?;
        let ended = tokio::select! {
            ended = Box::pin(loaded(plan, &target)) => ended,
            () = interrupted => Err(Exit::failed(exit::INTERRUPTED, "")),
        };
        target.end().await?;
        let report = ended?;
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &report).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            write!(out, "{report}")?;
        }
        if report.held { Ok(()) } else { Err(Exit::failed(exit::FAILED, "")) }
    }
}

async fn loaded(plan: Plan, target: &Target) -> Result<Report, Exit> {
    let usage = || target.pid.map(|pid| (pid, Usage::of(pid)));
    if let (Some((pid, None)), true) = (usage(), cfg!(target_os = "linux")) {
        return Err(Exit::failed(exit::USAGE, format!("there is no process {pid} to look at")));
    }
    let progress = Progress::new();
    let route = Route::new(target.link.endpoint.clone()).map_err(|error| Exit::failed(exit::NOT_PERMITTED, error.to_string()))?;
    let count = plan.senders() + plan.idle + plan.storm;
    let told = |done| progress.tell(&format!("settling: {done} of {count}"));
    let settlement = settle(plan, route.clone(), target.link.code.clone(), told).await?;

    let before = usage().and_then(|(_, usage)| usage);
    let run = Run { route, tally: Arc::new(Tally::default()), start: monotonic() + RUN_UP };
    let mut crowd = Crowd::start(plan, &run, settlement)?;
    let done_at = crowd.watch(plan, &run, &progress).await;
    let after = usage().and_then(|(_, usage)| usage);
    drop(crowd);
    progress.clear();
    Ok(Report::new(plan, &run.tally, done_at - run.start, before.zip(after)))
}

/// Everybody at work. They stop when this is dropped.
struct Crowd {
    senders: JoinSet<()>,
    /// Those who never end by themselves.
    others: JoinSet<()>,
    _pacer: Option<Pacer>,
}

impl Crowd {
    fn start(plan: Plan, run: &Run, settlement: Settlement) -> io::Result<Self> {
        let (mut senders, mut others, mut turns) = (JoinSet::new(), JoinSet::new(), Vec::new());
        let duration = Duration::from_secs(u64::from(plan.seconds));
        for (index, conversation) in (0..).zip(settlement.conversations) {
            let turn = Arc::new(Notify::new());
            turns.push(Arc::clone(&turn));
            let sender = Sender {
                run: run.clone(),
                seat: conversation.sender,
                mint: conversation.mint,
                schedule: Schedule::new(run.start, duration, plan.rate, index, plan.senders()),
                others: u64::try_from(conversation.receivers.len()).unwrap_or(u64::MAX),
                outstanding_max: plan.outstanding as usize,
                turn,
            };
            let start = run.start;
            senders.spawn(async move {
                tokio::time::sleep_until(start).await;
                sender.work().await;
            });
            for seat in conversation.receivers {
                others.spawn(receive(run.clone(), seat));
            }
        }
        for mut seat in settlement.idle {
            let run = run.clone();
            others.spawn(async move { stand(&run, &mut seat).await });
        }
        for seat in settlement.storm {
            others.spawn(storm(run.clone(), seat, run.start + duration / 2));
        }
        let pacer = plan.rate.map(|rate| Pacer::start(run.start, rate, turns)).transpose()?;
        Ok(Self { senders, others, _pacer: pacer })
    }

    /// Until all is done, or it takes too long; when that was.
    async fn watch(&mut self, plan: Plan, run: &Run, progress: &Progress) -> Instant {
        let end = run.start + Duration::from_secs(u64::from(plan.seconds));
        let tally = &run.tally;
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut look) = ((monotonic(), 0), 0_u64);
        loop {
            looks.tick().await;
            look += 1;
            for ended in [&mut self.senders, &mut self.others] {
                while let Some(ended) = ended.try_join_next() {
                    ended.expect("nobody at work panics");
                }
            }
            let (now, accepted, delivered) = (monotonic(), tally.accepted.get(), tally.delivered.get());
            let all = self.senders.is_empty() && delivered >= tally.owed.get() && tally.back.get() >= u64::from(plan.storm);
            if (all && now >= end) || now >= end + DRAIN {
                return now;
            }
            if look % LOOKS_A_LINE == 0 {
                let rate = (accepted - last.1) * 1000 / u64::try_from((now - last.0).as_millis().max(1)).unwrap_or(u64::MAX);
                last = (now, accepted);
                let seconds = now.saturating_duration_since(run.start).as_secs();
                progress.tell(&format!(
                    "{seconds} s of {}: sent {}, accepted {} ({}/s), delivered {}, broken {}",
                    plan.seconds,
                    grouped(tally.sent.get()),
                    grouped(accepted),
                    grouped(rate),
                    grouped(delivered),
                    grouped(tally.broken.sum()),
                ));
            }
        }
    }
}

/// One line on standard error that is written over, where that is a terminal.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal() }
    }

    fn tell(&self, text: &str) {
        if self.shown {
            eprint!("\r\u{1b}[K{text}");
        }
    }

    fn clear(&self) {
        self.tell("");
    }
}
