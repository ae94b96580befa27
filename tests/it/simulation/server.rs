//! The real server but for its sockets and threads: sessions on simulated wires, a store that is worked by hand.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sovereign::{
    auth::{attempts::Attempts, password::Passwords, server_key::ServerKey, tickets::Tickets, turns::Turns},
    caller::{Connection, Identity},
    clock::Clock,
    groups::Groups,
    limits::{FRAME_BEFORE_AUTHENTICATION, Flow, HELD_IN_ALL, LARGE_FRAMES, Limits},
    requests::{self, nomination, presence, receipts},
    server::{Auth, InviteAddress, Policy, Server, Settings},
    session::{self, Credential, Peer},
    store::{ByHand, DataDir, Options, Store},
    transport::WebSocketLink,
};
use sovereign_client::join_link::{Endpoint, JoinLink};
use sovereign_proto::v1::{self, RegistrationMode, request};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
    time::interval,
};

use super::{
    ledger::{Device, Ledger},
    network::Network,
    watch::Watched,
};
use crate::harness::dice::Dice;

/// A runtime of its own, whose time passes only as it is told. A process ends when it is dropped.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime without a network")
}

/// Lets a node live for so long.
pub fn live(runtime: &Runtime, milliseconds: u64) {
    let time = Duration::from_millis(milliseconds);
    // Never ready, so that exactly the time passes.
    let elapsed = runtime.block_on(async { tokio::time::timeout(time, std::future::pending::<()>()).await });
    elapsed.expect_err("what never ends does not end");
}

/// The server's key, and so its id, is the same in every world.
fn key() -> ServerKey {
    ServerKey::from_seed(&[7; 32])
}

/// The link by which everybody joins.
pub fn link() -> String {
    let endpoint = Endpoint { host: "simulated".to_owned(), port: 1, server_id: key().server_id().0, ca_pin: None };
    JoinLink { endpoint, code: String::new() }.to_string()
}

/// What stays over a crash, and what it was started with.
pub struct Machine {
    pub directory: PathBuf,
    pub clock: Clock,
    pub flow: Flow,
    pub store: Options,
    pub ledger: Ledger,
    pub network: Network,
}

/// A server that runs.
pub struct Running {
    runtime: Runtime,
    server: Arc<Server>,
    hand: ByHand,
    flow: Flow,
    ledger: Ledger,
}

/// Small bounds, so that every one of them is met.
pub fn tiny(dice: &mut Dice) -> (Flow, Options) {
    let flow = Flow {
        requests_in_flight: dice.size(1..=4),
        bytes_in_flight: dice.size(24..=64) * 1024,
        entries_credit: dice.size(300..=6000),
        entries_per_page: dice.size(1..=5),
        bytes_per_page: dice.size(500..=3000),
        send_buffer: dice.size(200..=4000),
        send_buffer_hard: dice.size(5000..=20_000),
    };
    let store = Options {
        batch_jobs: dice.size(1..=6),
        tail_bytes: dice.size(1..=64) * 16 * 1024,
        disk_reserve: 0,
        ledger_keys: dice.size(2..=32),
        key_packages_low: 2,
        ..Options::default()
    };
    (flow, store)
}

impl Machine {
    pub fn start(&self) -> Running {
        let directory = DataDir::open(&self.directory).expect("nobody else has the directory");
        let (store, hand) = Store::open_by_hand(&directory, self.store, self.clock.clone()).expect("the store opens");
        let runtime = runtime();
        let server = {
            let _inside = runtime.enter();
            Arc::new(self.compose(store))
        };
        runtime.spawn(keep(Arc::clone(&server)));
        runtime.spawn(tell(Arc::clone(&server)));
        self.network.listen(true);
        Running { runtime, server, hand, flow: self.flow, ledger: self.ledger.clone() }
    }

    fn compose(&self, store: Store) -> Server {
        let settings = Settings {
            policy: Policy::new("simulated".to_owned(), RegistrationMode::Open),
            limits: Limits { key_packages_wanted: 4, flow: self.flow, ..Limits::default() },
            held_max: HELD_IN_ALL,
            heartbeat: Duration::from_secs(30),
            authentication_deadline: Duration::from_secs(10),
            token_life: Duration::from_hours(24),
            invites: InviteAddress::default(),
        };
        let (passwords, attempts, tickets) = (Passwords::new(1, 1), Attempts::default(), Tickets::default());
        let auth = Auth { passwords, attempts, tickets, turns: Turns::default(), key: key() };
        let mut server = Server::new(settings, self.clock.clone(), store, auth);
        server.groups = Groups::without_threads();
        server
    }
}

impl Running {
    pub fn live(&self, milliseconds: u64) {
        live(&self.runtime, milliseconds);
    }

    /// Takes whoever has dialled.
    pub fn accept(&self, network: &Network, names: &[String]) {
        for (client, number, end) in network.accept() {
            let link = WebSocketLink::new(end, Bytes::new(), FRAME_BEFORE_AUTHENTICATION, Arc::new(Semaphore::new(LARGE_FRAMES)));
            let name = format!("{}#{number}", names[client]);
            let link = Watched::new(link, self.ledger.clone(), name, self.flow);
            let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None, operator: false };
            self.runtime.spawn(session::run(link, Arc::clone(&self.server), peer));
        }
    }

    /// One transaction, if anything waits to be written.
    pub fn write(&mut self) -> bool {
        self.hand.write()
    }

    /// One read, if any waits.
    pub fn read(&mut self) -> bool {
        self.hand.read()
    }

    /// From now on it says goodbye.
    pub fn drain(&self) {
        let _inside = self.runtime.enter();
        self.server.drain();
    }

    /// The operator revokes a device; the ledger is told in the same breath.
    pub fn revoke(&self, device: Device) {
        let (server, ledger) = (Arc::clone(&self.server), self.ledger.clone());
        self.runtime.spawn(async move {
            let connection = Arc::new(Connection {
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                challenge: [0; 32],
                attempt: Mutex::new(true),
                admission: Mutex::new(None),
                inbox: Arc::default(),
                identity: Identity::Operator,
                purses: None,
                in_order: Arc::default(),
            });
            let body = request::Body::RevokeDevice(v1::RevokeDeviceRequest { id: HEXLOWER.encode(&device) });
            if requests::handle(server, connection, body).await.is_ok() {
                let mut truth = ledger.look();
                let name = truth.name_of(&device);
                truth.note(&format!("operator: {name} is revoked"));
                truth.revoke(device);
            }
        });
    }
}

/// What the daemon does by itself, but for certificates.
async fn keep(server: Arc<Server>) {
    let [mut acknowledgements, mut nominations, mut trim] = [250, 1000, 30_000].map(ticks);
    loop {
        tokio::select! {
            _ = acknowledgements.tick() => drop(server.store.flush_acknowledgements().await),
            _ = nominations.tick() => drop(nomination::tick(&server).await),
            _ = trim.tick() => drop(server.store.trim(server.clock.now_ms()).await),
        }
    }
}

async fn tell(server: Arc<Server>) {
    let [mut presences, mut progress] = [250, 1000].map(ticks);
    loop {
        tokio::select! {
            _ = presences.tick() => drop(presence::tick(&server).await),
            _ = progress.tick() => drop(receipts::tick(&server).await),
        }
    }
}

fn ticks(milliseconds: u64) -> tokio::time::Interval {
    interval(Duration::from_millis(milliseconds))
}

/// Where a world keeps what is durable: in memory, where the machine has such a place.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(place).expect("a temporary directory")
}
