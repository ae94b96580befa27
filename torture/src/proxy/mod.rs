//! A bad network in front of the server: TCP, byte by byte. TLS goes through it unopened, so whatever it does, a real
//! network could do.
//!
//! Every device has a lane of its own: a port of the loopback address. What a lane does to its connections is a value
//! that can be changed while they live.

mod pump;

use std::{
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::history::History;

/// What happens to bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// They pass.
    #[default]
    Pass,
    /// They wait: a cable that is pulled, and put back.
    Hold,
    /// They vanish. TCP does not allow for that, so the connection must be cut afterwards.
    Swallow,
    /// Each piece arrives so many milliseconds later.
    Delay(u64),
    /// So many pieces in a hundred are lost at first, and come when TCP has noticed; all are short.
    Loss(u64),
    /// So many bytes in 50 ms.
    Trickle(usize),
}

/// What a lane does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// From the device to the server.
    pub(crate) up: Way,
    /// From the server to the device.
    pub(crate) down: Way,
    /// New connections wait.
    pub(crate) closed: bool,
    /// Connections of an earlier number are reset, on both sides.
    cuts: u64,
    /// Connections of an earlier number are lost to the server; the device is told nothing.
    silences: u64,
}

/// The way of one device to the server.
pub(crate) struct Lane {
    /// Where the device connects, on 127.0.0.1.
    pub(crate) port: u16,
    weather: watch::Sender<Weather>,
    downs: Arc<Downs>,
    accepting: JoinHandle<()>,
}

/// When bytes went to the device, and on which connections that is asked for.
#[derive(Default)]
struct Downs {
    /// Connections so far; they are numbered from 1.
    accepted: AtomicU64,
    /// Connections of a later number are none of the question; 0: nothing was asked.
    until: AtomicU64,
    /// On the history's clock; 0: never.
    last: AtomicU64,
}

/// How long a new connection is kept waiting for a server that does not listen, as by a balancer in front of it.
const SERVER_PATIENCE: Duration = Duration::from_secs(3);
const SERVER_PAUSE: Duration = Duration::from_millis(4);

impl Lane {
    /// Opens a lane to the server's port. `seed` decides what is lost.
    pub(crate) async fn open(server_port: u16, seed: u64, history: Arc<History>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (weather, skies) = watch::channel(Weather::default());
        let downs = Arc::new(Downs::default());
        let lane = LaneTask { server_port, seed, skies, downs: Arc::clone(&downs), history };
        Ok(Self { port, weather, downs, accepting: tokio::spawn(lane.accept(listener)) })
    }

    /// Changes what the lane does.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }

    /// Resets every connection.
    pub(crate) fn cut(&self) {
        self.change(|weather| weather.cuts += 1);
    }

    /// Takes every connection from the server without a word to the device.
    pub(crate) fn silence(&self) {
        self.change(|weather| weather.silences += 1);
    }

    /// Everything passes again.
    pub(crate) fn heal(&self) {
        self.change(|weather| *weather = Weather { cuts: weather.cuts, silences: weather.silences, ..Weather::default() });
    }

    /// From now on it is noted when bytes go to the device on the connections that there are now, and on no later one.
    pub(crate) fn watch_connections(&self) {
        self.downs.last.store(0, Ordering::Relaxed);
        self.downs.until.store(self.downs.accepted.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// When the last byte went to the device on the connections that are watched, on the history's clock. `None`: none did.
    pub(crate) fn last_down(&self) -> Option<u64> {
        Some(self.downs.last.load(Ordering::Relaxed)).filter(|last| *last > 0)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What the task of a lane has.
struct LaneTask {
    server_port: u16,
    seed: u64,
    skies: watch::Receiver<Weather>,
    downs: Arc<Downs>,
    history: Arc<History>,
}

impl LaneTask {
    async fn accept(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((device, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            let number = self.downs.accepted.fetch_add(1, Ordering::Relaxed) + 1;
            let (port, skies) = (self.server_port, self.skies.clone());
            let ends = pump::Ends { number, downs: Arc::clone(&self.downs), history: Arc::clone(&self.history) };
            let seed = self.seed.wrapping_add(number);
            connections.spawn(async move {
                let mut opening = skies.clone();
                if opening.wait_for(|weather| !weather.closed).await.is_err() {
                    return;
                }
                let born = *skies.borrow();
                if let Ok(server) = timeout(SERVER_PATIENCE, reach(port)).await {
                    pump::run(device, server, skies, born, seed, ends).await;
                }
            });
        }
    }
}

async fn reach(port: u16) -> TcpStream {
    loop {
        match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => return stream,
            Err(_) => sleep(SERVER_PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests;
