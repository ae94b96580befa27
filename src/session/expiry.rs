//! When a session that came by a token ends: a value over (end, now).

use std::time::Duration;

use crate::clock::{Instant, UnixMs};

/// The longest warning before the end.
const WARNING: Duration = Duration::from_mins(5);

/// Warns once, five minutes or a tenth of a token's life before the end, whichever is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    expires_at: UnixMs,
    end: Instant,
    /// `None` once warned.
    warn: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// The warning: the token ends then.
    Warning(UnixMs),
    /// The session is over.
    End,
}

impl Expiry {
    /// Of a token that ends at `expires_at`, where tokens live for `life`.
    #[must_use]
    pub fn new(expires_at: UnixMs, life: Duration, now_ms: UnixMs, now: Instant) -> Self {
        let end = now + Duration::from_millis(expires_at.saturating_sub(now_ms));
        let warn = end.checked_sub(WARNING.min(life / 10)).map_or(now, |warn| warn.max(now));
        Self { expires_at, end, warn: Some(warn) }
    }

    /// When [`Expiry::due`] has something to say next.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.warn.unwrap_or(self.end)
    }

    /// What is due at `now`. The warning is due once.
    pub fn due(&mut self, now: Instant) -> Due {
        if now >= self.end {
            Due::End
        } else if self.warn.take_if(|warn| now >= *warn).is_some() {
            Due::Warning(self.expires_at)
        } else {
            Due::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;

    /// The seconds at which something was due, of a token with so many seconds left.
    fn seen(left: u64, life: Duration) -> Vec<(u64, Due)> {
        let start = monotonic();
        let mut expiry = Expiry::new(left * 1000, life, 0, start);
        let due = (0..=left).map(|second| (second, expiry.due(start + Duration::from_secs(second))));
        due.filter(|(_, due)| *due != Due::Nothing).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn warns_once_in_time_and_ends() {
        let day = Duration::from_hours(24);
        assert_eq!(seen(3600, day), [(3300, Due::Warning(3_600_000)), (3600, Due::End)]);
        assert_eq!(seen(60, day), [(0, Due::Warning(60_000)), (60, Due::End)], "at once where little is left");
        assert_eq!(seen(100, Duration::from_secs(100)), [(90, Due::Warning(100_000)), (100, Due::End)]);
    }
}
