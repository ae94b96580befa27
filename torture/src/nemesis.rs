//! What goes wrong, and when: a list that the seed decides, and those who carry it out.

use std::{io, sync::Arc, time::Duration};

use clap::ValueEnum;
use rustix::process::Signal;
use sovereign_client::clock::monotonic;
use tokio::time::sleep;

use crate::{
    actors::Town,
    disk::Disk,
    history::{Upset, What},
    look,
    proxy::{Lane, Way},
    random::Stream,
    server::Server,
};

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Nemesis {
    /// SIGKILL of the server, with sends outstanding.
    Kill,
    /// SIGTERM, and a start.
    Term,
    /// SIGSTOP, and SIGCONT a moment later.
    Stop,
    /// Nothing passes, either way; connections live.
    Partition,
    /// Nothing passes one way.
    OneWay,
    /// Pieces are lost and come late.
    Loss,
    /// The server has lost the connection, and the device does not know.
    HalfOpen,
    /// Connections are reset.
    Reset,
    /// Answers vanish after the server has committed, and the connection is reset.
    DropAnswers,
    /// Everything comes late.
    Delay,
    /// Somebody reads a few bytes a second.
    SlowReader,
    /// A device is revoked while messages for it are under way.
    Revoke,
    /// No file of the server can grow.
    DiskFull,
    /// A sync fails: the server has to end, and to have acknowledged nothing that it covered.
    FsyncError,
    /// SIGKILL, and an older backup in the place of what there was: at most three times in a run.
    Restore,
}

impl Nemesis {
    /// As in `--nemesis`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Term => "term",
            Self::Stop => "stop",
            Self::Partition => "partition",
            Self::OneWay => "one-way",
            Self::Loss => "loss",
            Self::HalfOpen => "half-open",
            Self::Reset => "reset",
            Self::DropAnswers => "drop-answers",
            Self::Delay => "delay",
            Self::SlowReader => "slow-reader",
            Self::Revoke => "revoke",
            Self::DiskFull => "disk-full",
            Self::FsyncError => "fsync-error",
            Self::Restore => "restore",
        }
    }

    /// Whether it needs a disk that fails on request.
    pub(crate) fn is_of_the_disk(self) -> bool {
        matches!(self, Self::DiskFull | Self::FsyncError)
    }

    /// How often it is drawn among a hundred or so.
    fn weight(self) -> u64 {
        match self {
            Self::Kill => 120,
            Self::Term | Self::Stop | Self::HalfOpen | Self::DiskFull | Self::FsyncError => 3,
            Self::Revoke => 2,
            // It has a plan of its own (see `restores`).
            Self::Restore => 0,
            _ => 5,
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Strike {
    pub(crate) nemesis: Nemesis,
    /// Lanes it befalls, of those that a network fault can befall.
    pub(crate) devs: Vec<u32>,
    pub(crate) for_ms: u64,
    /// Answers to wait for beforehand, so that something goes on between two faults.
    pub(crate) answers: u64,
    /// A detail: which way, how much.
    pub(crate) detail: u64,
}

/// The faults of a seed, without end.
pub(crate) struct Strikes {
    chance: Stream,
    of: Vec<Nemesis>,
    devs: u32,
    /// Devices that may be revoked, the next one last.
    sacrifices: Vec<u32>,
}

impl Strikes {
    /// `of`: the kinds that are wanted; `devs`: how many devices there are.
    pub(crate) fn new(seed: u64, of: Vec<Nemesis>, devs: u32, sacrifices: Vec<u32>) -> Self {
        Self { chance: Stream::new(seed, "nemesis", 0), of, devs, sacrifices }
    }

    /// The next fault; `None`: no kind is wanted.
    pub(crate) fn draw(&mut self) -> Option<Strike> {
        let total: u64 = self.of.iter().map(|nemesis| nemesis.weight()).sum();
        if total == 0 {
            return None;
        }
        let mut at = self.chance.below(total);
        let drawn = self.of.iter().copied().find(|nemesis| {
            let found = at < nemesis.weight();
            at = at.saturating_sub(nemesis.weight());
            found
        });
        let nemesis = drawn.unwrap_or(self.of[0]);
        let chance = &mut self.chance;
        let share = chance.within(1, 3);
        let mut devs: Vec<u32> = (0..self.devs).filter(|_| chance.below(3) < share).collect();
        if devs.is_empty() {
            devs.push(0);
        }
        let for_ms = chance.within(20, 900);
        let (answers, detail) = (chance.within(1, 60), chance.next());
        if nemesis == Nemesis::Revoke {
            devs = self.sacrifices.pop().into_iter().collect();
        }
        Some(Strike { nemesis, devs, for_ms, answers, detail })
    }
}

/// Longest wait for an answer before a fault: one may be due that no answer precedes.
const PROGRESS: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The server has this long to cut off a device that was revoked, before the last byte is looked at.
const CUT_OFF: Duration = Duration::from_secs(2);

/// What a server takes at most from a failed sync to its end.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// How a server ends whose disk has failed.
const IO_ERROR: i32 = 74;

/// Carries out faults.
pub(crate) struct Hand {
    pub(crate) town: Arc<Town>,
    pub(crate) server: Server,
    /// There, where faults of it are wanted.
    pub(crate) disk: Option<Disk>,
    /// Devices revoked since the last backup: whoever restores it has to revoke them again.
    pub(crate) revoked: Vec<String>,
}

impl Hand {
    /// One fault from its beginning to its end, where it is undone. An error: the run cannot go on.
    pub(crate) async fn strike(&mut self, strike: &Strike) -> io::Result<()> {
        self.progress(strike.answers).await;
        self.note(strike);
        let wait = Duration::from_millis(strike.for_ms);
        match strike.nemesis {
            Nemesis::Kill => {
                self.die().await?;
                self.up().await?;
            }
            Nemesis::Restore => {}
            Nemesis::Term => {
                let code = self.server.terminate().await?;
                if code != Some(0) {
                    return Err(io::Error::other(format!(
                        "the server ended with {code:?} on SIGTERM: {}",
                        self.server.last_words()
                    )));
                }
                self.up().await?;
            }
            Nemesis::Stop => {
                self.server.signal(Signal::STOP)?;
                sleep(wait).await;
                self.server.signal(Signal::CONT)?;
            }
            Nemesis::Revoke => self.revoke(strike).await?,
            Nemesis::DiskFull => {
                self.disk_fails("space * 0")?;
                sleep(wait).await;
                self.disk_fails("")?;
            }
            Nemesis::FsyncError => self.fail_a_sync().await?,
            Nemesis::Reset => self.each(strike, Lane::cut),
            Nemesis::HalfOpen => {
                self.each(strike, Lane::silence);
                sleep(wait).await;
                self.each(strike, Lane::cut);
            }
            Nemesis::DropAnswers => {
                self.each(strike, |lane| lane.change(|weather| weather.down = Way::Swallow));
                sleep(wait.min(Duration::from_millis(150))).await;
                self.each(strike, |lane| {
                    lane.cut();
                    lane.heal();
                });
            }
            network => {
                let detail = strike.detail;
                self.each(strike, |lane| {
                    lane.change(|weather| match network {
                        Nemesis::OneWay if detail.is_multiple_of(2) => weather.up = Way::Hold,
                        Nemesis::OneWay => weather.down = Way::Hold,
                        Nemesis::Loss => (weather.up, weather.down) = (Way::Loss(5 + detail % 26), Way::Loss(5 + detail % 26)),
                        Nemesis::Delay => (weather.up, weather.down) = (Way::Delay(detail % 40), Way::Delay(detail % 60)),
                        Nemesis::SlowReader => weather.down = Way::Trickle(usize::try_from(1 + detail % 64).unwrap_or(1)),
                        _ => (weather.up, weather.down, weather.closed) = (Way::Hold, Way::Hold, true),
                    });
                });
                sleep(wait).await;
                self.each(strike, Lane::heal);
            }
        }
        self.lives()
    }

    /// Whether the server still runs, which it should.
    pub(crate) fn lives(&mut self) -> io::Result<()> {
        match self.server.ended()? {
            Some(status) => Err(io::Error::other(format!("the server ended by itself ({status}): {}", self.server.last_words()))),
            None => Ok(()),
        }
    }

    /// Everything is as it should be.
    pub(crate) fn heal(&self) {
        self.town.lanes.iter().for_each(Lane::heal);
    }

    /// SIGKILL; what the store holds is written down before the next start.
    pub(crate) async fn die(&mut self) -> io::Result<()> {
        let history = &self.town.history;
        history.record(What::Kill { outstanding: history.outstanding() });
        self.server.kill().await?;
        self.stored()
    }

    fn stored(&self) -> io::Result<()> {
        for stored in look::groups(&self.server.data()).map_err(io::Error::other)? {
            if let Some(g) = self.town.number_of(&stored.id) {
                self.town.history.record(What::Stored { g, next: stored.next, epoch: stored.epoch });
            }
        }
        Ok(())
    }

    /// The next sync of the write-ahead log fails. The server ends with 74, as after any fault of the disk that leaves open
    /// what is durable; there may also be none to fail.
    async fn fail_a_sync(&mut self) -> io::Result<()> {
        self.disk_fails("sync -wal 0 1")?;
        let code = self.server.end_within(PROGRESS).await?;
        self.disk_fails("")?;
        let code = match code {
            // It may have failed in this very moment, and the server be about to end.
            None => self.server.end_within(LAST_MOMENT).await?,
            ended => ended,
        };
        match code {
            None => Ok(()),
            Some(Some(IO_ERROR)) => {
                self.stored()?;
                self.up().await
            }
            Some(other) => {
                let text = format!("the server ended with {other:?} on a failed sync: {}", self.server.last_words());
                Err(io::Error::other(text))
            }
        }
    }

    fn disk_fails(&self, rules: &str) -> io::Result<()> {
        self.disk.as_ref().map_or(Ok(()), |disk| disk.fails(rules))
    }

    /// The server starts again.
    pub(crate) async fn up(&mut self) -> io::Result<()> {
        let ready = self.server.restart().await?;
        self.town.history.record(What::Up { ready_us: u64::try_from(ready.as_micros()).unwrap_or(u64::MAX) });
        Ok(())
    }

    async fn revoke(&mut self, strike: &Strike) -> io::Result<()> {
        let Some(dev) = strike.devs.first().copied() else { return Ok(()) };
        let (history, lane) = (&self.town.history, &self.town.lanes[dev as usize]);
        let listed = self.server.operate(&["device", "list", &self.town.names[dev as usize], "--json"]).await?;
        let device: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap_or_default())?;
        let id = device["device_id"].as_str().ok_or_else(|| io::Error::other(format!("no device in {listed:?}")))?;
        self.revoked.push(id.to_owned());
        lane.watch_connections();
        let begun = history.now();
        history.record(What::Revoke { dev });
        self.server.operate(&["device", "revoke", id]).await?;
        history.record(What::RevokeOk { dev });
        sleep(CUT_OFF).await;
        if let Some(last) = lane.last_down() {
            history.record(What::LastByte { dev, after_us: last.saturating_sub(begun) });
        }
        Ok(())
    }

    /// Waits for so many answers from now on.
    pub(crate) async fn progress(&self, answers: u64) {
        let history = &self.town.history;
        let wanted = history.answered() + answers;
        let deadline = monotonic() + PROGRESS;
        while (history.answered() < wanted || history.outstanding() == 0) && monotonic() < deadline {
            sleep(LOOK_EVERY).await;
        }
    }

    fn each(&self, strike: &Strike, change: impl Fn(&Lane)) {
        strike.devs.iter().filter_map(|dev| self.town.lanes.get(*dev as usize)).for_each(change);
    }

    fn note(&self, strike: &Strike) {
        let (kind, devs, for_ms) = (strike.nemesis.name().to_owned(), strike.devs.clone(), strike.for_ms);
        self.town.history.record(What::Upset(Upset { kind, devs, for_ms }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_what_goes_wrong() {
        let of = Nemesis::value_variants().to_vec();
        let draw = |seed| {
            let mut strikes = Strikes::new(seed, of.clone(), 20, vec![7, 8]);
            (0..2000).filter_map(|_| strikes.draw()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for nemesis in of.iter().filter(|nemesis| **nemesis != Nemesis::Restore) {
            assert!(draw(3).iter().any(|strike| strike.nemesis == *nemesis), "{nemesis:?} is drawn");
        }
    }

    #[test]
    fn only_what_is_wanted_goes_wrong_and_only_sacrifices_are_revoked() {
        let mut strikes = Strikes::new(1, vec![Nemesis::Revoke], 20, vec![7, 8]);
        let devs: Vec<Vec<u32>> = (0..3).filter_map(|_| Some(strikes.draw()?.devs)).collect();
        assert_eq!(devs, [vec![8], vec![7], vec![]]);
    }
}
