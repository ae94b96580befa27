//! Whether the other side still lives: a value over (heard, now).

use std::time::Duration;

use crate::clock::Instant;

/// Pings after one interval of silence, again at 1.75, and gives up at 2.5 intervals (75 s by default).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    interval: Duration,
    heard: Instant,
    pings: u32,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// A ping.
    Ping,
    /// The other side is dead.
    Dead,
}

impl Heartbeat {
    /// Alive as of `now`.
    #[must_use]
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, heard: now, pings: 0 }
    }

    /// Any traffic counts as life.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.pings = 0;
    }

    /// When [`Heartbeat::due`] has something to say next.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.heard
            + match self.pings {
                0 => self.interval,
                1 => self.interval * 7 / 4,
                _ => self.interval * 5 / 2,
            }
    }

    /// What is due at `now`. A ping is due once.
    pub fn due(&mut self, now: Instant) -> Due {
        if now < self.deadline() {
            return Due::Nothing;
        }
        self.pings += 1;
        if self.pings > 2 { Due::Dead } else { Due::Ping }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    #[tokio::test(start_paused = true)]
    async fn silence_is_pinged_twice_and_then_death() {
        let start = monotonic();
        let mut heartbeat = Heartbeat::new(Duration::from_secs(30), start);
        let mut seen = Vec::new();
        for second in 0..=75 {
            match heartbeat.due(start + Duration::from_secs(second)) {
                Due::Nothing => {}
                due => seen.push((second, due)),
            }
        }
        assert_eq!(seen, [(30, Due::Ping), (53, Due::Ping), (75, Due::Dead)]);
    }

    #[tokio::test(start_paused = true)]
    async fn any_traffic_is_life() {
        let start = monotonic();
        let mut heartbeat = Heartbeat::new(Duration::from_secs(30), start);
        for second in 0..1000 {
            heartbeat.heard(start + Duration::from_secs(second));
            assert_eq!(heartbeat.due(start + Duration::from_secs(second + 29)), Due::Nothing);
        }
    }
}
