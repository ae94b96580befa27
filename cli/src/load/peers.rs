//! Those who send, receive, or only stand there; each a task of its own, until it is aborted or has sent everything.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sovereign_client::{
    clock::monotonic,
    load::{Arrived, Device, Heard, Line, LineError, Mint, Route},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{schedule::Schedule, tally::Tally};

/// Wait before the first try to come back; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A device that is connected, and what it needs to come back.
pub(super) struct Seat {
    pub(super) device: Device,
    pub(super) line: Line,
}

/// What all of them share.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) route: Route,
    pub(super) tally: Arc<Tally>,
    /// From which stamps count.
    pub(super) start: Instant,
}

/// Sends in one conversation.
pub(super) struct Sender {
    pub(super) run: Run,
    pub(super) seat: Seat,
    pub(super) mint: Mint,
    pub(super) schedule: Schedule,
    /// Other members, to each of whom a message goes.
    pub(super) others: u64,
    pub(super) outstanding_max: usize,
    /// Says that a message may be due.
    pub(super) turn: Arc<Notify>,
}

impl Run {
    /// Connects again, however often it takes.
    async fn come_back(&self, seat: &mut Seat, error: &LineError) {
        self.tally.broke(error);
        let mut pause = PAUSE;
        loop {
            match seat.device.sign_in(&self.route).await {
                Ok(line) => {
                    seat.line = line;
                    self.tally.reconnects.add(1);
                    return;
                }
                Err(error) => self.tally.broke(&error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    fn stamp(&self, at: Instant) -> u64 {
        u64::try_from((at - self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn since(&self, stamp: u64) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_nanos(stamp))
    }
}

impl Sender {
    /// Sends everything that becomes due, and waits for all answers. After a break, what was not answered is sent again
    /// under the same ids, which the server knows if it has them.
    pub(super) async fn work(mut self) {
        let mut next = 0;
        // By request id: number, and when it was meant to be sent.
        let mut outstanding: BTreeMap<u64, (u64, Instant)> = BTreeMap::new();
        loop {
            while outstanding.len() < self.outstanding_max
                && let Some(intended) = self.schedule.due(next, monotonic())
            {
                outstanding.insert(self.send(next, intended), (next, intended));
                self.run.tally.sent.add(1);
                next += 1;
            }
            if outstanding.is_empty() && self.schedule.is_over(next, monotonic()) {
                return;
            }
            let heard = tokio::select! {
                heard = self.seat.line.hear() => heard.and_then(|heard| self.take(heard, &mut outstanding)),
                () = self.turn.notified(), if outstanding.len() < self.outstanding_max => Ok(()),
                () = sleep_until(self.schedule.end()), if outstanding.is_empty() => Ok(()),
            };
            if let Err(error) = heard {
                self.run.come_back(&mut self.seat, &error).await;
                let mut unanswered: Vec<_> = std::mem::take(&mut outstanding).into_values().collect();
                unanswered.sort_unstable();
                for (number, intended) in unanswered {
                    outstanding.insert(self.send(number, intended), (number, intended));
                }
            }
        }
    }

    fn send(&mut self, number: u64, intended: Instant) -> u64 {
        self.seat.line.send(&mut self.mint, number, self.run.stamp(intended))
    }

    /// Takes this and whatever has arrived with it.
    fn take(&mut self, heard: Heard, outstanding: &mut BTreeMap<u64, (u64, Instant)>) -> Result<(), LineError> {
        let (tally, mut heard, mut own) = (&self.run.tally, Some(heard), None);
        while let Some(one) = heard {
            match one {
                Heard::Accepted { request } => {
                    if let Some((_, intended)) = outstanding.remove(&request) {
                        tally.accepted.add(1);
                        tally.owed.add(self.others);
                        tally.accepted_after.record(intended.elapsed());
                    }
                }
                Heard::Refused { request, code } if outstanding.remove(&request).is_some() => {
                    tally.refused.add(code.to_lowercase());
                }
                Heard::Entries { log, last, .. } => own = Some((log, last)),
                _ => {}
            }
            heard = self.seat.line.heard()?;
        }
        if let Some((log, last)) = own {
            self.seat.line.acknowledge(log, last);
        }
        Ok(())
    }
}

/// Takes and acknowledges what comes in a conversation. Never ends by itself.
pub(super) async fn receive(run: Run, mut seat: Seat) {
    // What came before is known by its place: after a break, what was not acknowledged comes again.
    let mut newest = 0;
    loop {
        let error = match seat.line.hear().await {
            Ok(heard) => match take(&run, &mut seat.line, heard, &mut newest) {
                Ok(()) => continue,
                Err(error) => error,
            },
            Err(error) => error,
        };
        run.come_back(&mut seat, &error).await;
    }
}

fn take(run: &Run, line: &mut Line, heard: Heard, newest: &mut u64) -> Result<(), LineError> {
    let (mut heard, mut taken) = (Some(heard), None);
    while let Some(one) = heard {
        match one {
            Heard::Entries { log, last, .. } if log.is_empty() => line.acknowledge(log, last),
            Heard::Entries { log, last, messages } => {
                for Arrived { seq, stamp } in messages {
                    if let Some(stamp) = stamp.filter(|_| seq > *newest) {
                        run.tally.delivered.add(1);
                        run.tally.delivered_after.record(run.since(stamp));
                        *newest = seq;
                    }
                }
                taken = Some((log, last));
            }
            _ => {}
        }
        heard = line.heard()?;
    }
    if let Some((log, last)) = taken {
        line.acknowledge(log, last);
    }
    Ok(())
}

/// Stands there; comes back when its connection breaks. Never ends by itself.
pub(super) async fn stand(run: &Run, seat: &mut Seat) {
    loop {
        match seat.line.hear().await {
            Ok(Heard::Entries { log, last, .. }) => seat.line.acknowledge(log, last),
            Ok(_) => {}
            Err(error) => run.come_back(seat, &error).await,
        }
    }
}

/// Stands there until `at`, breaks off without a word, and comes back at once, like all the others do. Then it stands
/// there again.
pub(super) async fn storm(run: Run, mut seat: Seat, at: Instant) {
    tokio::select! {
        () = stand(&run, &mut seat) => {}
        () = sleep_until(at) => {}
    }
    let Seat { device, line } = seat;
    drop(line);
    let mut pause = PAUSE;
    let line = loop {
        let coming = async {
            let mut line = device.sign_in(&run.route).await?;
            line.until_live().await.map(|()| line)
        };
        match coming.await {
            Ok(line) => break line,
            Err(error) => run.tally.broke(&error),
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    };
    run.tally.back_after.record(at.elapsed());
    run.tally.back.add(1);
    stand(&run, &mut Seat { device, line }).await;
}
