//! When a message is meant to be sent. Latency counts from then, so that a server that stalls cannot hide the time for
//! which it kept messages from being sent at all (coordinated omission).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use sovereign_client::clock::monotonic;
use tokio::{sync::Notify, time::Instant};

/// The longest that the pacing thread sleeps before it looks whether it is still needed.
const NAP: Duration = Duration::from_millis(50);

/// One sender's part of the load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    start: Instant,
    end: Instant,
    /// Which sender, of how many, and messages a second of all of them; `None`: whenever there is room.
    pace: Option<(u32, u32, u32)>,
}

impl Schedule {
    /// Of the sender with this index among `senders`: their messages follow each other at equal distances, in turn.
    pub(super) fn new(start: Instant, duration: Duration, rate: Option<u32>, index: u32, senders: u32) -> Self {
        Self { start, end: start + duration, pace: rate.map(|rate| (index, senders, rate)) }
    }

    /// When message `number` (from 0) is meant to be sent, if that is now or was before. Without a rate that is now.
    pub(super) fn due(&self, number: u64, now: Instant) -> Option<Instant> {
        let intended = self.intended(number, now);
        (intended <= now && intended < self.end).then_some(intended)
    }

    /// From when on nothing more is due.
    pub(super) fn end(&self) -> Instant {
        self.end
    }

    /// Whether no message from `number` on will ever be due.
    pub(super) fn is_over(&self, number: u64, now: Instant) -> bool {
        self.intended(number, now) >= self.end
    }

    fn intended(&self, number: u64, now: Instant) -> Instant {
        self.pace.map_or(now, |(index, senders, rate)| self.start + turn(u64::from(index) + number * u64::from(senders), rate))
    }
}

/// How long after the start the turn `number` of all turns comes.
fn turn(number: u64, rate: u32) -> Duration {
    let nanos = u128::from(number) * 1_000_000_000 / u128::from(rate);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Wakes senders when their turn has come. A thread of its own, because the runtime's timers go by whole milliseconds.
pub(super) struct Pacer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Pacer {
    /// Wakes `senders` in turn, from `start` on, until it is dropped.
    pub(super) fn start(start: Instant, rate: u32, senders: Vec<Arc<Notify>>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let pace = move || {
            let turns = senders.iter().cycle().zip(0_u64..);
            for (sender, number) in turns {
                let at = start + turn(number, rate);
                while let Some(left) = at.checked_duration_since(monotonic()).filter(|left| !left.is_zero()) {
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    thread::sleep(left.min(NAP));
                }
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                sender.notify_one();
            }
        };
        let thread = thread::Builder::new().name("pacer".to_owned()).spawn(pace)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A pacer that has panicked has nothing to give back.
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn senders_take_turns_at_equal_distances_until_the_time_is_over() {
        let start = monotonic();
        let schedules = [0, 1, 2].map(|index| Schedule::new(start, SECOND, Some(6), index, 3));
        let mut turns: Vec<(Duration, usize)> = Vec::new();
        for (index, schedule) in schedules.iter().enumerate() {
            let mut number = 0;
            while let Some(intended) = schedule.due(number, start + 2 * SECOND) {
                turns.push((intended - start, index));
                number += 1;
            }
            assert!(schedule.is_over(number, start));
        }
        turns.sort_unstable();
        let expected: Vec<(Duration, usize)> = (0..6).map(|turn| (SECOND * turn / 6, turn as usize % 3)).collect();
        assert_eq!(turns.len(), 6, "a rate of 6 a second for a second");
        for ((at, index), (expected_at, expected_index)) in turns.iter().zip(&expected) {
            assert_eq!(index, expected_index);
            assert!(at.abs_diff(*expected_at) < Duration::from_micros(1), "{at:?}");
        }
    }

    #[test]
    fn a_message_that_could_not_be_sent_in_time_keeps_its_time() {
        let start = monotonic();
        let schedule = Schedule::new(start, SECOND, Some(10), 0, 1);
        let late = start + SECOND * 10;
        assert_eq!(schedule.due(3, late), Some(start + SECOND * 3 / 10), "the stall counts as its latency");
        assert_eq!(schedule.due(3, start), None, "its turn has not come");
        assert_eq!(schedule.due(10, late), None, "the time is over");
    }

    #[test]
    fn without_a_rate_it_is_always_now_until_the_time_is_over() {
        let start = monotonic();
        let schedule = Schedule::new(start, SECOND, None, 0, 1);
        let now = start + SECOND / 2;
        assert_eq!((schedule.due(7, now), schedule.is_over(7, now)), (Some(now), false));
        assert_eq!((schedule.due(7, start + SECOND), schedule.is_over(7, start + SECOND)), (None, true));
    }

    #[tokio::test]
    async fn the_pacer_wakes_everybody_and_stops() {
        let senders: Vec<Arc<Notify>> = (0..3).map(|_| Arc::default()).collect();
        let pacer = Pacer::start(monotonic(), 1000, senders.clone()).expect("a thread");
        for sender in &senders {
            sender.notified().await;
        }
        drop(pacer);
    }
}
