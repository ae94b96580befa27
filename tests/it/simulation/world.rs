//! One server and a few clients in one thread, with a time of their own, and what is done to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use sovereign_client::{Client, ConnectionState, Error, Event, Message, Options, connection::Pipes};
use tokio::{
    runtime::Runtime,
    sync::broadcast::{Receiver, error::TryRecvError},
};

use super::{
    ledger::{Device, Group, Ledger, short},
    network::{Network, Weather},
    server::{Machine, Running, link, live, runtime, scratch, tiny},
};
use crate::harness::dice::Dice;

/// Milliseconds between two looks while nothing happens.
const IDLE_MS: u64 = 250;

/// A person with one device.
pub struct Person {
    pub name: String,
    pub device: Device,
    home: PathBuf,
    node: Option<Node>,
    /// When it starts again, if it has crashed.
    pub starts_at: u64,
    pub revoked: bool,
}

struct Node {
    // Dropped first: what runs on it ends between two steps, as in a crash.
    client: Client,
    events: Receiver<Event>,
    runtime: Runtime,
}

/// How an operation of a person ended, and what it was.
pub type Outcome = (String, Result<String, Error>);

pub struct World {
    pub now: u64,
    pub dice: Dice,
    pub ledger: Ledger,
    pub network: Network,
    pub people: Vec<Person>,
    machine: Machine,
    server: Option<Running>,
    pub server_starts_at: u64,
    /// The server crashes as soon as it has written something, before it can say so.
    pub crash_behind_write: bool,
    store_rests_until: u64,
    busy: bool,
    under_way: u64,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
    clocks: sovereign_client::clock::Clock,
    /// Texts that will never be accepted.
    pub failed: Vec<[u8; 16]>,
    /// Who was told of which text.
    pub heard: BTreeSet<(usize, String)>,
    _scratch: tempfile::TempDir,
}

impl World {
    /// A server that runs, and people who have just joined.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::of_part(seed, 1);
        let scratch = scratch();
        let ledger = Ledger::default();
        let names: Vec<String> = ["ann", "ben", "cy", "dee"].map(str::to_owned)[..dice.size(2..=4)].to_vec();
        let network = Network::new(names.len(), Dice::of_part(seed, 2));
        let (flow, store) = tiny(&mut dice);
        let clock = sovereign::clock::Clock::default();
        let directory = scratch.path().join("server");
        let machine = Machine { directory, clock, flow, store, ledger: ledger.clone(), network: network.clone() };
        ledger.look().note(&format!("seed {seed}: {} people, {flow:?}, batches of {}", names.len(), store.batch_jobs));
        let server = Some(machine.start());
        let person = |name: &String| Person {
            name: name.clone(),
            device: [0; 16],
            home: scratch.path().join(name),
            node: None,
            starts_at: 0,
            revoked: false,
        };
        let mut world = Self {
            now: 0,
            dice,
            ledger,
            network,
            people: names.iter().map(person).collect(),
            machine,
            server,
            server_starts_at: 0,
            crash_behind_write: false,
            store_rests_until: 0,
            busy: true,
            under_way: 0,
            outcomes: Arc::default(),
            clocks: sovereign_client::clock::Clock::default(),
            failed: Vec::new(),
            heard: BTreeSet::new(),
            _scratch: scratch,
        };
        world.join();
        world
    }

    /// Everybody signs up at once.
    fn join(&mut self) {
        let runtimes: Vec<Runtime> = self.people.iter().map(|_| runtime()).collect();
        let joining: Vec<_> = (0..self.people.len())
            .map(|who| {
                let (home, name, options) = (self.people[who].home.clone(), self.people[who].name.clone(), self.options(who));
                runtimes[who].spawn(async move { Client::join(&home, &link(), &name, None, options).await })
            })
            .collect();
        while !joining.iter().all(tokio::task::JoinHandle::is_finished) {
            assert!(self.now < 120_000, "nobody can join: {}", self.ledger.look().trace);
            runtimes.iter().for_each(|runtime| live(runtime, 5));
            self.pass(5);
            self.serve(5);
        }
        for ((who, runtime), joined) in runtimes.into_iter().enumerate().zip(joining) {
            let client = runtime.block_on(joined).expect("it does not panic").expect("everybody joins");
            self.people[who].device = client.account().device_id;
            self.ledger.look().name(client.account().device_id, &self.people[who].name);
            let events = client.events();
            self.people[who].node = Some(Node { client, events, runtime });
        }
    }

    fn options(&self, who: usize) -> Options {
        let network = self.network.clone();
        let dial = move || -> io::Result<Box<dyn sovereign_client::connection::Stream>> { Ok(Box::new(network.dial(who)?)) };
        Options { clock: self.clocks.clone(), pipes: Some(Pipes::new(dial)), ..Options::default() }
    }

    /// One step: everybody lives for a moment, what is due arrives, the store may get its turn, and all is looked at.
    pub fn step(&mut self, until: u64) {
        let next = [self.network.next_arrival(), Some(until), Some(self.now + IDLE_MS)];
        let next = next.into_iter().flatten().min().unwrap_or(until).clamp(self.now + 1, self.now + IDLE_MS);
        let time = if self.busy { self.dice.within(1..=3) } else { next - self.now };
        self.pass(time);
        self.restart();
        let mut order: Vec<usize> = (0..=self.people.len()).collect();
        self.dice.shuffle(&mut order);
        for node in order {
            match self.people.get(node) {
                Some(person) => person.node.iter().for_each(|node| live(&node.runtime, time)),
                None => self.serve(time),
            }
        }
        self.listen();
    }

    fn pass(&mut self, time: u64) {
        self.now += time;
        self.clocks.advance(i64::try_from(time).expect("a moment"));
        self.machine.clock.advance(i64::try_from(time).expect("a moment"));
        {
            let mut truth = self.ledger.look();
            truth.now = self.now;
            truth.counts.steps += 1;
            truth.counts.virtual_ms = self.now;
        }
        self.busy = self.network.advance(self.now);
    }

    /// The server's part of a step.
    fn serve(&mut self, time: u64) {
        let names: Vec<String> = self.people.iter().map(|person| person.name.clone()).collect();
        let Some(server) = &mut self.server else { return };
        server.accept(&self.network, &names);
        server.live(time);
        if self.now < self.store_rests_until {
            self.busy = true;
            return;
        }
        let (mut worked, mut wrote) = (false, false);
        for _ in 0..self.dice.within(1..=4) {
            if self.dice.chance(50) {
                worked |= server.read();
            } else {
                wrote |= server.write();
            }
        }
        if wrote && self.crash_behind_write {
            self.crash_server("behind a write");
            return;
        }
        // Whether more waits is not known before it is tried.
        if worked || wrote {
            self.busy = true;
            let slow = self.dice.chance(2);
            self.store_rests_until = self.now + if slow { self.dice.within(50..=600) } else { self.dice.within(0..=4) };
        } else {
            let waited = server.read() | server.write();
            self.busy |= waited;
        }
    }

    /// Whoever has been down for long enough comes back.
    fn restart(&mut self) {
        if self.server.is_none() && self.now >= self.server_starts_at {
            self.ledger.look().note("server starts");
            self.server = Some(self.machine.start());
            self.busy = true;
        }
        for who in 0..self.people.len() {
            if self.people[who].node.is_none() && self.now >= self.people[who].starts_at {
                self.ledger.look().note(&format!("{} starts", self.people[who].name));
                let (runtime, options) = (runtime(), self.options(who));
                let client = runtime.block_on(Client::open(&self.people[who].home, options)).expect("the vault opens");
                let events = client.events();
                self.people[who].node = Some(Node { client, events, runtime });
            }
        }
    }

    /// Takes what people were told.
    fn listen(&mut self) {
        let mut truth = self.ledger.look();
        for (who, person) in self.people.iter_mut().enumerate() {
            let Some(node) = &mut person.node else { continue };
            loop {
                match node.events.try_recv() {
                    Ok(Event::Message(message)) => {
                        truth.note(&format!("{} reads {}", person.name, told(&message)));
                        self.heard.insert((who, mark(&message.text)));
                    }
                    Ok(Event::Accepted { message, .. }) => {
                        truth.note(&format!("{} has sent {}", person.name, told(&message)));
                        self.heard.insert((who, mark(&message.text)));
                    }
                    Ok(Event::SendFailed { client_id, reason, .. }) => {
                        truth.note(&format!("{} fails to send {}: {reason}", person.name, short(&client_id)));
                        self.failed.push(client_id);
                    }
                    Ok(Event::Alarm { alarm, .. }) if !person.revoked => {
                        truth.violation(format!("ALARM: {}: {alarm}", person.name));
                    }
                    Ok(Event::State { state, cause }) => truth.note(&format!("{}: {state:?}, {cause}", person.name)),
                    Ok(_) | Err(TryRecvError::Lagged(_)) => {}
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
        }
        let outcomes = std::mem::take(&mut *self.outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        truth.check_sessions();
        for (what, outcome) in outcomes {
            self.under_way -= 1;
            match outcome {
                Ok(told) => truth.note(&format!("{what}: {told}")),
                Err(error) => truth.note(&format!("{what}: fails, {error}")),
            }
        }
    }

    /// Whether something is wrong already.
    pub fn is_broken(&self) -> bool {
        !self.ledger.look().violations.is_empty()
    }

    /// Lets somebody do something that may take its time. Whoever crashes meanwhile has not done it, or has.
    pub fn ask<T, F>(&mut self, who: usize, mut what: String, act: impl FnOnce(Client) -> F + Send + 'static)
    where
        T: std::fmt::Display,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let Some(node) = &self.people[who].node else { return };
        what.insert_str(0, &format!("{} ", self.people[who].name));
        self.ledger.look().note(&format!("{what} …"));
        let (client, waits) = (node.client.clone(), Waits { what, outcomes: Arc::clone(&self.outcomes) });
        node.runtime.spawn(async move { waits.ended(act(client).await.map(|told| told.to_string())) });
        self.under_way += 1;
        self.busy = true;
    }

    /// Looks at somebody's client; `None` while it is down.
    pub fn look<T, F: Future<Output = T>>(&self, who: usize, look: impl FnOnce(Client) -> F) -> Option<T> {
        let node = self.people[who].node.as_ref()?;
        Some(node.runtime.block_on(look(node.client.clone())))
    }

    pub fn is_live(&self, who: usize) -> bool {
        let state = |node: &Node| node.client.state().borrow().0;
        self.people[who].node.as_ref().is_some_and(|node| state(node) == ConnectionState::Live)
    }

    pub fn is_up(&self, who: usize) -> bool {
        self.people[who].node.is_some()
    }

    /// Nothing that somebody asked for is under way.
    pub fn is_at_rest(&self) -> bool {
        self.under_way == 0
    }

    /// Something is on its way, or was until just now.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    pub fn crash_server(&mut self, how: &str) {
        if self.server.take().is_some() {
            self.network.listen(false);
            let mut truth = self.ledger.look();
            truth.note(&format!("server crashes {how}"));
            truth.counts.server_crashes += 1;
        }
        self.crash_behind_write = false;
        self.server_starts_at = self.now + self.dice.within(0..=3000);
    }

    pub fn crash_client(&mut self, who: usize) {
        let Some(node) = self.people[who].node.take() else { return };
        // What it was told by then counts.
        self.ledger.look().note(&format!("{} crashes", self.people[who].name));
        self.ledger.look().counts.client_crashes += 1;
        drop(node);
        self.people[who].starts_at = self.now + self.dice.within(0..=5000);
    }

    /// The server is asked to stop, says goodbye, and ends a while later, whoever is still there.
    pub fn drain_then_crash(&mut self) {
        if let Some(server) = &self.server {
            self.ledger.look().note("server drains");
            self.network.listen(false);
            server.drain();
            let until = self.now + 3000;
            while self.now < until && self.server.is_some() && !self.is_broken() {
                self.step(until);
            }
            self.crash_server("after its drain");
        }
    }

    pub fn revoke(&mut self, who: usize) {
        let Some(server) = &self.server else { return };
        self.people[who].revoked = true;
        server.revoke(self.people[who].device);
        self.busy = true;
    }

    /// All faults end: whoever is down comes back, and the network is fair but for wires that nobody can mend.
    pub fn heal(&mut self) {
        self.ledger.look().note("everything heals");
        self.crash_behind_write = false;
        self.network.weather(None, Weather::Fair);
        (0..self.people.len()).for_each(|who| self.network.refuse(who, false));
        self.server_starts_at = self.server_starts_at.min(self.now);
        self.people.iter_mut().for_each(|person| person.starts_at = person.starts_at.min(self.now));
    }

    /// Everybody's history of a group, by place in the log.
    pub fn histories(&self, group: Group) -> BTreeMap<usize, Vec<Message>> {
        let history = |who: usize| {
            let messages = self.look(who, |client| async move { client.history(group, 10_000).await })?;
            Some((who, messages.unwrap_or_default()))
        };
        (0..self.people.len()).filter_map(history).collect()
    }
}

fn told(message: &Message) -> String {
    format!("{} {} {}", short(&message.group), message.seq, mark(&message.text))
}

/// The word by which a text is known.
pub fn mark(text: &str) -> String {
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Tells how something ended, also where it never does.
struct Waits {
    what: String,
    outcomes: Arc<Mutex<Vec<Outcome>>>,
}

impl Waits {
    fn ended(mut self, outcome: Result<String, Error>) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Result<String, Error>) {
        let what = std::mem::take(&mut self.what);
        if !what.is_empty() {
            self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push((what, outcome));
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.tell(Err(Error::Closed));
    }
}
