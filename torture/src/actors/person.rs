//! A person: the real client on a vault of its own, that talks, changes groups, comes and goes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use sovereign_client::{Client, ConnectionState, Error, Options, clock::monotonic};
use tokio::{
    sync::broadcast::error::{RecvError, TryRecvError},
    task::JoinSet,
    time::{Instant, interval, sleep, sleep_until},
};

use super::{
    Phase, Phases, Town,
    desk::{Desk, short},
};
use crate::{
    history::{Kind, What},
    random::Stream,
};

/// A client that would wait longer than this for its next try is opened anew, as an impatient person would.
const PATIENCE_MS: u64 = 1200;
/// How often the groups are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(700);
/// Messages without an answer, beyond which a person waits.
const OUTSTANDING_MAX: usize = 48;
/// Messages said at once.
const BURST: u64 = 6;

/// A person, and how lively they are.
pub(crate) struct Person {
    pub(crate) dev: u32,
    pub(crate) home: PathBuf,
    pub(crate) town: Arc<Town>,
    pub(crate) chance: Stream,
    /// Longest pause between two deeds, in milliseconds.
    pub(crate) pause_ms: u64,
    /// Deeds in a hundred that change a group.
    pub(crate) changes: u64,
    /// Changes by a host in a hundred that let somebody in or put somebody out.
    pub(crate) comings: u64,
}

/// Why a client is left.
enum Left {
    /// It is opened anew.
    Reopen,
    /// The run is over.
    Done,
}

impl Person {
    /// Takes part until the run is over, then tells what it has.
    pub(crate) async fn live(mut self, mut phases: Phases) {
        let town = Arc::clone(&self.town);
        let mut desk = Desk::new(self.dev, &town);
        loop {
            let client = match Client::open(&self.home, Options::default()).await {
                Ok(client) => client,
                Err(Error::VaultOwned) => {
                    // The tasks of the client before are ending still.
                    sleep(Duration::from_millis(5)).await;
                    continue;
                }
                Err(error) => {
                    eprintln!("the vault of {} does not open: {error}", town.names[self.dev as usize]);
                    return;
                }
            };
            let left = self.stay(&client, &mut desk, &mut phases).await;
            if matches!(left, Ok(Left::Done)) {
                if let Err(error) = desk.finally(&client).await {
                    eprintln!("{} cannot tell what they have: {error}", town.names[self.dev as usize]);
                }
                client.close().await;
                return;
            }
            town.history.record(What::Reopen { dev: self.dev });
            client.close().await;
        }
    }

    async fn stay(&mut self, client: &Client, desk: &mut Desk<'_>, phases: &mut Phases) -> Result<Left, Error> {
        let (mut events, mut state) = (client.events(), client.state());
        let mut sent = BTreeMap::new();
        let mut changes: JoinSet<()> = JoinSet::new();
        desk.look(client).await?;
        desk.read(client).await?;
        desk.weed(client).await?;
        let mut look = interval(LOOK_EVERY);
        let mut due = monotonic();
        loop {
            let phase = *phases.borrow_and_update();
            if phase == Phase::End {
                return Ok(Left::Done);
            }
            while changes.try_join_next().is_some() {}
            let may_act = phase == Phase::Work && desk.outstanding() < OUTSTANDING_MAX;
            tokio::select! {
                event = events.recv() => {
                    let mut news = false;
                    match event {
                        Ok(event) => news |= desk.told(&event, &sent),
                        Err(RecvError::Lagged(_)) => news = true,
                        Err(RecvError::Closed) => return Ok(Left::Reopen),
                    }
                    let lagged = loop {
                        match events.try_recv() {
                            Ok(event) => news |= desk.told(&event, &sent),
                            Err(TryRecvError::Lagged(_)) => break true,
                            Err(_) => break false,
                        }
                    };
                    if news || lagged {
                        desk.read(client).await?;
                    }
                    if lagged {
                        desk.weed(client).await?;
                    }
                }
                () = sleep_until(due), if may_act => due = self.act(client, desk, &mut sent, &mut changes).await?,
                _tick = look.tick() => desk.look(client).await?,
                told = state.changed() => {
                    let now = state.borrow_and_update().0;
                    let impatient = matches!(now, ConnectionState::Backoff { wait_ms } if wait_ms > PATIENCE_MS);
                    if told.is_err() || impatient || now == ConnectionState::Stopped {
                        return Ok(Left::Reopen);
                    }
                }
                _changed = phases.changed() => {}
            }
        }
    }

    /// One deed; when the next is due.
    async fn act(
        &mut self,
        client: &Client,
        desk: &mut Desk<'_>,
        sent: &mut BTreeMap<[u8; 16], u64>,
        changes: &mut JoinSet<()>,
    ) -> Result<Instant, Error> {
        let pause = Duration::from_millis(self.chance.within(1, self.pause_ms));
        let (change, which, burst, kind) =
            (self.chance.chance(self.changes), self.chance.next(), self.chance.within(1, BURST), self.chance.below(100));
        let groups = desk.groups();
        if groups.is_empty() {
            return Ok(monotonic() + pause);
        }
        let g = groups[usize::try_from(which % groups.len() as u64).unwrap_or_default()];
        if !change {
            for _ in 0..burst {
                let (op, text) = desk.invoke(g);
                match client.queue(self.town.circle(g).id, &text).await {
                    Ok(client_id) => drop(sent.insert(client_id, op)),
                    Err(error) => desk.failed(op, g, &error),
                }
            }
        } else if changes.is_empty() {
            self.change(client, g, kind, which, changes).await?;
        }
        Ok(monotonic() + pause)
    }

    /// Begins to change a group: mostly a new key, now and then somebody comes or goes.
    async fn change(&mut self, client: &Client, g: u32, draw: u64, which: u64, changes: &mut JoinSet<()>) -> Result<(), Error> {
        let circle = self.town.circle(g);
        let guest = circle.guests.get(usize::try_from(which >> 8).unwrap_or_default() % circle.guests.len().max(1)).copied();
        let (kind, whom) = match guest {
            Some(guest) if draw < self.comings && circle.hosts.contains(&self.dev) => {
                let name = &self.town.names[guest as usize];
                let infos = client.groups().await?;
                let info = infos.iter().find(|info| info.id == circle.id);
                let inside = info.is_some_and(|info| info.members.iter().any(|member| member.username == *name));
                (if inside { Kind::Remove } else { Kind::Add }, Some(guest))
            }
            _ if draw < 16 && circle.guests.contains(&self.dev) => (Kind::Leave, Some(self.dev)),
            _ => (Kind::Update, None),
        };
        let (id, dev) = (self.town.history.number(), self.dev);
        self.town.history.record(What::Change { id, dev, g, kind, whom });
        let (client, town, group) = (client.clone(), Arc::clone(&self.town), circle.id);
        let names: Vec<String> = whom.map(|whom| town.names[whom as usize].clone()).into_iter().collect();
        changes.spawn(async move {
            let done = match kind {
                Kind::Add => client.add(group, &names).await,
                Kind::Remove => client.remove(group, &names).await,
                Kind::Leave => client.leave(group).await,
                Kind::Update | Kind::Create => client.update(group).await,
            };
            match done {
                Ok(()) => {
                    town.history.record(What::ChangeOk { id });
                    // At once: a client that finds out that its state is nobody else's does not stay in it.
                    if let Ok((epoch, auth)) = client.epoch_authenticator(group).await {
                        town.history.record(What::Epoch { dev, g, epoch, auth: short(&auth) });
                    }
                }
                // Nobody knows: the client was closed, or the connection ended before the answer.
                Err(Error::Closed | Error::Network(_) | Error::Timeout) => {}
                Err(error) => town.history.record(What::ChangeFail { id, why: error.to_string() }),
            }
        });
        Ok(())
    }
}
