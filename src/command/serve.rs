//! `sovereign serve`: composes the server, runs it until it is told to stop, and drains it.

use std::{net::SocketAddr, path::Path, sync::Arc};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::Interval,
};

use super::{
    compose,
    failure::{Exit, Failure},
    flags::Flags,
    memory,
    ready::Ready,
    reload::Reload,
    restore,
    service_manager::ServiceManager,
    upkeep, welcome,
};
use crate::{
    auth::server_key,
    config::Config,
    memory::Memory,
    requests,
    requests::notices,
    server::Server,
    session::{self, Peer, link::Link},
    store::DataDir,
    telemetry::Telemetry,
    transport::{self, Readiness, Sessions, control::ControlSocket, metrics::Scrape},
};

/// Runs until SIGTERM, SIGINT, or the store fails.
pub(super) fn run(flags: Flags) -> Result<(), Failure> {
    let config = flags.load()?;
    let telemetry = Telemetry::start(config.log_level, config.log_format);
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::io("the runtime", &error))?.block_on(serve(flags, config, telemetry))
}

async fn serve(flags: Flags, running: Config, telemetry: Telemetry) -> Result<(), Failure> {
    let config = &running;
    raise_descriptors(config.connections_max);
    let mut signals = Signals::listen().map_err(|error| Failure::io("signals", &error))?;
    let directory = DataDir::open(&config.data)?;
    if restore::is_unfinished(directory.path()) {
        let text = "a restore was interrupted here: run sovereign restore again";
        return Err(Failure::new(Exit::Configuration, text));
    }
    let data = directory.path();
    Ready::clear(data).map_err(|error| Failure::io("ready.json", &error))?;
    let first_start = !data.join(server_key::FILE_NAME).exists();
    let clock = compose::clock(config);
    let tls = compose::tls(config, &clock)?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| Failure::io(format_args!("listening on {}", config.listen), &error))?;
    let port = listener.local_addr().map_err(|error| Failure::io("the listener", &error))?.port();
    let url = compose::base_url(config, port);
    let server = compose::server(config, &directory, &tls, url.clone(), clock.clone())?;

    let (stop, stopped) = watch::channel(false);
    let options = compose::listener_options(config, &url, port);
    let origins = options.origins.clone();
    let accepting = tokio::spawn(transport::serve(listener, tls.clone(), options, Live(Arc::clone(&server)), stopped.clone()));
    let (metrics, scraped) = metrics(config, &server, stopped.clone()).await?.unzip();
    // What a crash or a stop interrupted.
    tokio::spawn(notices::deliver_all(Arc::clone(&server)));
    let operators = control(data, &server, config.frame_bytes_max, stopped.clone())?;
    let upkeep = upkeep::start(&server, &tls, memory::limit(config.memory_bytes_max), &stopped);
    let welcome = welcome::text(&server, &config.data, first_start).await?;
    let ready = Ready::announce(data, &url, metrics).map_err(|error| Failure::io("ready.json", &error))?;
    welcome.print(&url);
    tracing::info!(port, version = env!("CARGO_PKG_VERSION"), "accepting connections");

    let manager = ServiceManager::of_environment();
    manager.ready();

    let mut reload = Reload { flags, running, tls, origins, telemetry, base_url: url, port };
    let end = signals.end(&server, &mut reload, &manager).await;
    drop(ready);
    manager.stopping();
    if let End::StoreFailed = end {
        return Err(Failure::new(Exit::Io, "the disk failed under the database; nothing was acknowledged that is not stored"));
    }
    tracing::info!("draining");
    server.drain();
    stop.send_replace(true);
    if !accepting.await.unwrap_or(false) {
        tracing::warn!("some connections were cut: they had not ended in time");
    }
    for task in [operators, upkeep].into_iter().chain(scraped) {
        let _ = task.await;
    }
    if requests::presence::last_tick(&server).await.is_err() {
        tracing::debug!("who was there last was not noted");
    }
    server.store.close().await.map_err(|_| Failure::new(Exit::Io, "the database could not be closed in order"))
}

/// As many file descriptors as may be had, and a word where they are fewer than connections. Beyond them the kernel keeps
/// those who come waiting.
fn raise_descriptors(connections_max: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    let had = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    if let Some(descriptors) = had.filter(|had| *had < connections_max as u64) {
        tracing::warn!(
            descriptors,
            connections_max,
            "there are fewer file descriptors than connections may come: raise LimitNOFILE"
        );
    }
}

/// Every link becomes a session of this server.
#[derive(Clone)]
pub(super) struct Live(pub(super) Arc<Server>);

impl Sessions for Live {
    fn run<L: Link>(&self, link: L, peer: Peer) -> impl Future<Output = ()> + Send + 'static {
        session::run(link, Arc::clone(&self.0), peer)
    }

    fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.0.memory)
    }

    fn readiness(&self) -> Readiness {
        let disk = self.0.store.disk();
        if self.0.is_draining() {
            Readiness::Not("the server stops")
        } else if self.0.memory.is_short() {
            Readiness::Not("memory is short")
        } else if disk.free_bytes < disk.reserve_bytes {
            Readiness::Limited("messages are refused: the disk is nearly full")
        } else {
            Readiness::Ready
        }
    }
}

impl Scrape for Live {
    async fn text(&self) -> Option<String> {
        self.0.metrics_text().await.ok()
    }
}

fn control(
    data: &Path,
    server: &Arc<Server>,
    frame_limit: usize,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Failure> {
    let socket = ControlSocket::bind(data).map_err(|error| Failure::io("the control socket", &error))?;
    Ok(tokio::spawn(socket.serve(Live(Arc::clone(server)), frame_limit, stopped)))
}

/// Listens for those who scrape metrics, if that is asked for.
async fn metrics(
    config: &Config,
    server: &Arc<Server>,
    stopped: watch::Receiver<bool>,
) -> Result<Option<(SocketAddr, JoinHandle<()>)>, Failure> {
    let Some(address) = config.metrics_listen else { return Ok(None) };
    let failed = |error: std::io::Error| Failure::io(format_args!("listening on {address}"), &error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let serving = tokio::spawn(transport::metrics::serve(listener, Live(Arc::clone(server)), stopped));
    Ok(Some((bound, serving)))
}

/// Why serving ended.
enum End {
    Asked,
    StoreFailed,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the end, reading certificate and configuration again whenever it is asked to.
    async fn end(&mut self, server: &Server, reload: &mut Reload, manager: &ServiceManager) -> End {
        let failed = server.store.failed();
        tokio::pin!(failed);
        let mut alive = manager.alive_interval().map(tokio::time::interval);
        loop {
            tokio::select! {
                () = &mut failed => return End::StoreFailed,
                _ = self.terminate.recv() => return End::Asked,
                _ = self.interrupt.recv() => return End::Asked,
                _ = self.reload.recv() => {
                    manager.reloading();
                    reload.run(server);
                    manager.ready();
                }
                () = tick(&mut alive) => manager.alive(),
            }
        }
    }
}

/// The next tick, if there is ever one.
async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}
