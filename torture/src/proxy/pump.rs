//! The two directions of one connection.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::sleep,
};

use super::{Downs, Way, Weather};
use crate::{history::History, random::Stream};

/// Bytes taken at once.
const PIECE: usize = 16 * 1024;
/// Bytes of a piece on a bad line.
const SHORT_PIECE: usize = 700;
/// When TCP sends a lost piece again.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// How often a trickle drips.
const DRIP: Duration = Duration::from_millis(50);

/// What a connection tells of itself.
pub(super) struct Ends {
    /// Which connection of its lane it is.
    pub(super) number: u64,
    pub(super) downs: Arc<Downs>,
    pub(super) history: Arc<History>,
}

/// Which way, and what to tell.
#[derive(Clone, Copy)]
enum Direction<'a> {
    Up,
    Down(&'a Ends),
}

/// Carries bytes until either side ends, or the weather cuts the connection. Ends are resets, as of a process that died.
pub(super) async fn run(
    mut device: TcpStream,
    mut server: TcpStream,
    skies: watch::Receiver<Weather>,
    born: Weather,
    seed: u64,
    ends: Ends,
) {
    let _no_delay = (device.set_nodelay(true), server.set_nodelay(true));
    let silenced = {
        let (from_device, to_device) = device.split();
        let (from_server, to_server) = server.split();
        let up = carry(from_device, to_server, skies.clone(), Stream::new(seed, "up", 0), Direction::Up);
        let down = carry(from_server, to_device, skies.clone(), Stream::new(seed, "down", 0), Direction::Down(&ends));
        tokio::select! {
            () = up => false,
            () = down => false,
            silenced = ended(skies.clone(), born) => silenced,
        }
    };
    let _reset = server.set_zero_linger();
    drop(server);
    if silenced {
        // The device goes on talking to nobody, until it notices or the lane is cut.
        let mut skies = skies;
        let mut buffer = vec![0; PIECE];
        let talk = async { while device.read(&mut buffer).await.is_ok_and(|read| read > 0) {} };
        tokio::select! {
            () = talk => {}
            _cut = skies.wait_for(|now| now.cuts != born.cuts) => {}
        }
    }
    let _reset = device.set_zero_linger();
}

/// Waits for the weather to end the connection. True: silently.
async fn ended(mut skies: watch::Receiver<Weather>, born: Weather) -> bool {
    let ends = |now: &Weather| now.cuts != born.cuts || now.silences != born.silences;
    match skies.wait_for(ends).await {
        Ok(now) => now.cuts == born.cuts,
        Err(_) => false,
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut skies: watch::Receiver<Weather>,
    mut chance: Stream,
    direction: Direction<'_>,
) {
    let way = |skies: &watch::Receiver<Weather>| {
        let weather = skies.borrow();
        if matches!(direction, Direction::Up) { weather.up } else { weather.down }
    };
    let mut buffer = vec![0; PIECE];
    loop {
        let room = match way(&skies) {
            Way::Loss(_) => SHORT_PIECE,
            Way::Trickle(bytes) => bytes,
            _ => PIECE,
        };
        let Ok(read @ 1..) = from.read(&mut buffer[..room]).await else { return };
        loop {
            match way(&skies) {
                Way::Hold => {
                    if skies.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Way::Swallow => {
                    buffer[..read].fill(0);
                    break;
                }
                Way::Delay(ms) => sleep(Duration::from_millis(ms)).await,
                Way::Loss(percent) if chance.chance(percent) => sleep(RETRANSMISSION).await,
                Way::Pass | Way::Loss(_) => {}
                Way::Trickle(_) => sleep(DRIP).await,
            }
            if to.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            if let Direction::Down(ends) = direction
                && ends.number <= ends.downs.until.load(Ordering::Relaxed)
            {
                ends.downs.last.store(ends.history.now(), Ordering::Relaxed);
            }
            break;
        }
    }
}
