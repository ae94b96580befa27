//! A server and light devices in groups, and the two things that they do: send, and read.

use std::{
    collections::HashMap,
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use sovereign_client::{
    clock::Clock,
    join_link::JoinLink,
    load::{Device, Heard, Line, LineError, Mint, Route, found},
};
use tokio::time::{interval, sleep};

use crate::{
    args::Args,
    history::History,
    proxy::Lane,
    server::{self, Server},
};

/// Bytes of a message.
const MESSAGE_BYTES: usize = 256;
/// Groups are at this epoch, for ever.
const EPOCH: u64 = 1;
/// Messages of one sender that wait for their answer.
const WINDOW: usize = 48;
/// Before something that was refused is sent again.
const PUT_OFF: Duration = Duration::from_millis(20);

/// Devices in groups of equal size; the first of each group is meant to send.
pub(super) struct Street {
    pub(super) devices: Vec<Device>,
    pub(super) names: Vec<String>,
    pub(super) routes: Vec<Route>,
    /// By device, where lanes were asked for.
    pub(super) lanes: Vec<Lane>,
    pub(super) groups: Vec<Bytes>,
    /// The clock of the lanes.
    pub(super) history: Arc<History>,
    /// Message numbers, which are not used twice.
    numbers: AtomicU64,
    /// Holds the server's directory; dropped with the street.
    _scratch: tempfile::TempDir,
}

/// How much is measured.
pub(super) struct Plan {
    pub(super) groups: usize,
    pub(super) members: usize,
    /// Devices reach the server through a proxy each.
    pub(super) lanes: bool,
}

impl Street {
    /// The street, and its server.
    pub(super) async fn open(args: &Args, seed: u64, plan: &Plan) -> io::Result<(Arc<Self>, Server)> {
        let scratch = tempfile::Builder::new().prefix("sovereign-torture-").tempdir()?;
        let history = Arc::new(History::create(&scratch.path().join("history.jsonl"))?);
        let place = scratch.path().join("server");
        fs::create_dir(&place)?;
        let binary = scratch.path().join("sovereign");
        fs::copy(server::find(args.server.as_deref())?, &binary)?;
        // All of them come from one address, and nobody is a flood.
        let rates = ["--messages-per-second-max", "--requests-per-second-max", "--sign-ins-per-second-max"];
        let rates = rates.into_iter().flat_map(|rate| [rate, "1000000"]);
        let arguments = ["--log-level", "warn"].into_iter().chain(rates).map(str::to_owned).collect();
        let server = Server::start(binary, place, arguments, Vec::new()).await?;
        let count = plan.groups * plan.members;
        let link = server.operate(&["invite", "create", "--uses", &count.to_string()]).await?;
        let link: JoinLink = link.parse().map_err(io::Error::other)?;
        let (mut devices, mut names, mut routes, mut lanes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let now_ms = Clock::default().now_ms();
        for number in 0..count {
            let mut endpoint = link.endpoint.clone();
            if plan.lanes {
                lanes.push(Lane::open(server.port, seed ^ number as u64, Arc::clone(&history)).await?);
                endpoint.port = lanes[number].port;
            }
            names.push(format!("light{number}"));
            let (route, device) = (Route::new(endpoint).map_err(io::Error::other)?, Device::new(names[number].clone()));
            device.sign_up(&route, &link.code, 1, now_ms).await.map_err(io::Error::other)?.close().await;
            devices.push(device);
            routes.push(route);
        }
        let mut groups = Vec::new();
        for first in (0..count).step_by(plan.members) {
            let group = async {
                let mut founding = devices[first].sign_in(&routes[first]).await?;
                let id = found(&mut founding, &devices[first], &devices[first + 1..first + plan.members], now_ms).await?;
                founding.close().await;
                Ok::<_, LineError>(id)
            };
            groups.push(group.await.map_err(io::Error::other)?);
        }
        let numbers = AtomicU64::new(1);
        Ok((Arc::new(Self { devices, names, routes, lanes, groups, history, numbers, _scratch: scratch }), server))
    }

    /// Signs a device in, and reads what waits for it.
    pub(super) async fn come(&self, device: usize) -> Result<Line, LineError> {
        let mut line = self.devices[device].sign_in(&self.routes[device]).await?;
        line.until_live().await?;
        Ok(line)
    }

    /// Sends so many messages to a group, each stamped with the microsecond at which it was handed over, until all are
    /// answered. `every`: a pause between two; none: as fast as answers come.
    pub(super) async fn send(
        &self,
        line: &mut Line,
        group: usize,
        count: u64,
        every: Option<Duration>,
        answered: &AtomicU64,
    ) -> Result<(), LineError> {
        let mut mint = Mint::new(self.groups[group].clone(), EPOCH, MESSAGE_BYTES);
        let mut waiting: HashMap<u64, u64> = HashMap::new();
        let mut ticks = interval(every.unwrap_or(Duration::from_secs(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut sent = 0;
        while sent < count || !waiting.is_empty() {
            while every.is_none() && sent < count && waiting.len() < WINDOW {
                self.hand_over(line, &mut mint, &mut waiting);
                sent += 1;
            }
            tokio::select! {
                _due = ticks.tick(), if every.is_some() && sent < count => {
                    self.hand_over(line, &mut mint, &mut waiting);
                    sent += 1;
                }
                heard = line.hear() => match heard? {
                    Heard::Accepted { request } => {
                        waiting.remove(&request);
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    Heard::Refused { request, .. } => {
                        if let Some(number) = waiting.remove(&request) {
                            sleep(PUT_OFF).await;
                            waiting.insert(line.send(&mut mint, number, self.history.now()), number);
                        }
                    }
                    Heard::Entries { log, last, .. } => line.acknowledge(log, last),
                    _ => {}
                },
            }
        }
        Ok(())
    }

    fn hand_over(&self, line: &mut Line, mint: &mut Mint, waiting: &mut HashMap<u64, u64>) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        waiting.insert(line.send(mint, number, self.history.now()), number);
    }

    /// Reads so many messages, and says how long each was on its way.
    pub(super) async fn read(&self, line: &mut Line, count: usize) -> Result<Vec<u64>, LineError> {
        let mut took = Vec::with_capacity(count);
        while took.len() < count {
            if let Heard::Entries { log, last, messages } = line.hear().await? {
                let now = self.history.now();
                took.extend(messages.iter().filter_map(|message| Some(now.saturating_sub(message.stamp?))));
                line.acknowledge(log, last);
            }
        }
        line.flush().await?;
        Ok(took)
    }
}
