//! Wires between clients and the server: bytes in flight for a while, bounded, and cut, held back or swallowed as asked.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::harness::dice::Dice;

/// Bytes that one direction holds, in flight and arrived together: a small socket buffer.
const CAPACITY: usize = 4096;

/// What becomes of a wire's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    Fair,
    /// Nothing moves until then; what was sent waits.
    HeldUntil(u64),
    /// Nothing ever moves again, and neither end is told.
    Dead,
    /// What goes up arrives; what goes down is swallowed for ever, so this does not end, either.
    Deaf,
    /// So many bytes arrive at the client in a tick at most.
    Trickle(usize),
}

#[derive(Default)]
struct Direction {
    flying: VecDeque<(u64, Vec<u8>)>,
    arrived: VecDeque<u8>,
    held: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// The sending end is gone, as of then.
    ended_at: Option<u64>,
    /// And the receiving end has been told.
    ended: bool,
    reset: bool,
}

pub struct Wire {
    pub client: usize,
    pub weather: Weather,
    latency: u64,
    up: Direction,
    down: Direction,
}

struct State {
    now: u64,
    dice: Dice,
    wires: Vec<Arc<Mutex<Wire>>>,
    /// Dialled, and not taken by the server yet.
    dialled: Vec<(usize, u64, End)>,
    /// Whom the network does not let through now.
    refused: Vec<bool>,
    listening: bool,
    next_number: u64,
}

/// All wires. Clones share them.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

/// One end of a wire.
pub struct End {
    wire: Arc<Mutex<Wire>>,
    network: Network,
    of_client: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Network {
    pub fn new(clients: usize, dice: Dice) -> Self {
        let (wires, dialled, refused) = (Vec::new(), Vec::new(), vec![false; clients]);
        Self(Arc::new(Mutex::new(State { now: 0, dice, wires, dialled, refused, listening: false, next_number: 1 })))
    }

    /// A client's attempt to connect.
    pub fn dial(&self, client: usize) -> io::Result<End> {
        let mut state = lock(&self.0);
        if !state.listening || state.refused[client] {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let (number, latency) = (state.next_number, state.dice.within(1..=40));
        state.next_number += 1;
        let (up, down) = (Direction::default(), Direction::default());
        let wire = Arc::new(Mutex::new(Wire { client, weather: Weather::Fair, latency, up, down }));
        state.wires.push(Arc::clone(&wire));
        let end = |of_client| End { wire: Arc::clone(&wire), network: self.clone(), of_client };
        state.dialled.push((client, number, end(false)));
        Ok(end(true))
    }

    /// The server listens, or nobody does: then what was dialled and not taken is gone.
    pub fn listen(&self, listening: bool) {
        let gone = {
            let mut state = lock(&self.0);
            state.listening = listening;
            if listening { Vec::new() } else { std::mem::take(&mut state.dialled) }
        };
        drop(gone);
    }

    pub fn refuse(&self, client: usize, refused: bool) {
        lock(&self.0).refused[client] = refused;
    }

    /// What was dialled since the last time.
    pub fn accept(&self) -> Vec<(usize, u64, End)> {
        std::mem::take(&mut lock(&self.0).dialled)
    }

    /// The weather of a client's wires from now on; of all clients' where `client` is none.
    pub fn weather(&self, client: Option<usize>, weather: Weather) {
        for wire in &lock(&self.0).wires {
            let mut wire = lock(wire);
            if client.is_none_or(|client| wire.client == client) && !wire.is_lost() {
                wire.weather = weather;
            }
        }
    }

    /// Resets a client's wires: both ends are told.
    pub fn cut(&self, client: usize) {
        for wire in &lock(&self.0).wires {
            let wire = &mut *lock(wire);
            if wire.client == client && !wire.is_lost() {
                for direction in [&mut wire.up, &mut wire.down] {
                    direction.reset = true;
                    direction.wake();
                }
            }
        }
    }

    /// Whether no client believes in a wire that nobody can mend.
    pub fn is_well(&self) -> bool {
        lock(&self.0).wires.iter().all(|wire| {
            let wire = lock(wire);
            !wire.is_lost() || wire.up.ended_at.is_some()
        })
    }

    /// Lets time pass: what is due arrives. Gives whether anything moved.
    pub fn advance(&self, now: u64) -> bool {
        let mut state = lock(&self.0);
        state.now = now;
        let State { dice, wires, .. } = &mut *state;
        wires.retain(|wire| Arc::strong_count(wire) > 1);
        let mut moved = false;
        for wire in wires {
            let mut wire = lock(wire);
            if let Weather::HeldUntil(until) = wire.weather
                && now >= until
            {
                wire.weather = Weather::Fair;
            }
            let weather = wire.weather;
            if matches!(weather, Weather::Dead | Weather::HeldUntil(_)) {
                continue;
            }
            moved |= wire.up.move_on(now, usize::MAX, dice);
            match weather {
                Weather::Deaf => wire.down.swallow(),
                Weather::Trickle(bytes) => moved |= wire.down.move_on(now, bytes, dice),
                _ => moved |= wire.down.move_on(now, usize::MAX, dice),
            }
        }
        moved
    }

    /// When something arrives next.
    pub fn next_arrival(&self) -> Option<u64> {
        let state = lock(&self.0);
        let due = |wire: &Arc<Mutex<Wire>>| {
            let wire = lock(wire);
            if matches!(wire.weather, Weather::Dead) {
                return None;
            }
            let first = |direction: &Direction| match direction.flying.front() {
                Some((due, _)) => Some(*due),
                None => direction.ended_at.filter(|_| !direction.ended),
            };
            let next = first(&wire.up).into_iter().chain(first(&wire.down)).min()?;
            Some(if let Weather::HeldUntil(until) = wire.weather { next.max(until) } else { next })
        };
        state.wires.iter().filter_map(due).min()
    }
}

impl Wire {
    fn is_lost(&self) -> bool {
        matches!(self.weather, Weather::Dead | Weather::Deaf)
    }
}

impl Direction {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    /// In pieces: a frame's boundaries are nobody's promise.
    fn move_on(&mut self, now: u64, most: usize, dice: &mut Dice) -> bool {
        let mut left = most;
        while let Some((due, bytes)) = self.flying.front_mut() {
            if *due > now || left == 0 {
                break;
            }
            let piece = if dice.chance(30) { dice.size(1..=bytes.len()) } else { bytes.len() }.min(left);
            self.arrived.extend(bytes.drain(..piece));
            left -= piece;
            if bytes.is_empty() {
                self.flying.pop_front();
            } else {
                break;
            }
        }
        let ends = self.flying.is_empty() && !self.ended && self.ended_at.is_some_and(|at| at <= now);
        self.ended |= ends;
        let moved = left < most || ends;
        if moved {
            self.wake();
        }
        moved
    }

    fn swallow(&mut self) {
        let swallowed: usize = self.flying.drain(..).map(|(_, bytes)| bytes.len()).sum();
        self.held -= swallowed;
        if swallowed > 0 {
            self.wake();
        }
    }
}

impl End {
    /// Sends at most what fits.
    fn send(&self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.network.0);
        let jitter = state.dice.within(0..=10);
        let now = state.now;
        let mut wire = lock(&self.wire);
        let latency = wire.latency;
        let direction = if self.of_client { &mut wire.up } else { &mut wire.down };
        if direction.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let room = CAPACITY.saturating_sub(direction.held);
        if room == 0 {
            direction.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = bytes.len().min(room);
        let due = (now + latency + jitter).max(direction.flying.back().map_or(0, |(due, _)| *due));
        direction.held += taken;
        direction.flying.push_back((due, bytes[..taken].to_vec()));
        Poll::Ready(Ok(taken))
    }

    fn hang_up(&self) {
        let now = lock(&self.network.0).now;
        let mut wire = lock(&self.wire);
        let latency = wire.latency;
        let direction = if self.of_client { &mut wire.up } else { &mut wire.down };
        direction.ended_at.get_or_insert(now + latency);
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.wire);
        let direction = if self.of_client { &mut wire.down } else { &mut wire.up };
        if direction.reset {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let count = direction.arrived.len().min(into.remaining());
        if count == 0 && !direction.ended {
            direction.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for byte in direction.arrived.drain(..count) {
            into.put_slice(&[byte]);
        }
        direction.held -= count;
        direction.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.send(bytes, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.hang_up();
        Poll::Ready(Ok(()))
    }
}

/// A process that ends leaves this to its kernel; on a dead wire nobody hears of it.
impl Drop for End {
    fn drop(&mut self) {
        self.hang_up();
    }
}
