//! Before anything goes wrong: accounts are made, people accept each other, groups are founded.

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use sovereign_client::{
    Client, Error, Options, Policy,
    clock::Clock,
    join_link::{JoinLink, JoinLinkError},
    load::{Device, LineError, Mint, Route, found},
};
use sovereign_proto::v1;
use tokio::time::timeout;

use crate::{
    actors::{Circle, Courier, Person, Sends, Standing, Town},
    history::{History, Kind, What},
    proxy::Lane,
    random::Stream,
    server::Server,
    shape::Shape,
};

/// Key packages of a light device that only stands in one group.
const RING_PACKAGES: usize = 1;
/// Of one that comes and goes.
const WITNESS_PACKAGES: usize = 60;
/// Bytes of a message of a light device.
const MESSAGE_BYTES: usize = 256;
/// Rings are at this epoch, for ever.
const RING_EPOCH: u64 = 1;
const DEADLINE: Duration = Duration::from_mins(1);

/// Everybody, ready to begin.
pub(crate) struct Cast {
    pub(crate) town: Arc<Town>,
    pub(crate) persons: Vec<Person>,
    pub(crate) couriers: Vec<Courier>,
    /// Light devices whose revocation nobody's work depends on.
    pub(crate) sacrifices: Vec<u32>,
}

/// Why there is no run.
#[derive(Debug)]
pub(crate) struct SetupError(String);

/// Makes accounts and groups. `homes`: where persons' vaults go.
pub(crate) async fn gather(
    seed: u64,
    shape: &Shape,
    server: &Server,
    history: Arc<History>,
    homes: &Path,
) -> Result<Cast, SetupError> {
    let uses = shape.devices().to_string();
    let link: JoinLink = server.operate(&["invite", "create", "--uses", &uses]).await?.parse()?;
    let mut lanes = Vec::new();
    for dev in 0..shape.devices() {
        lanes.push(Lane::open(server.port, seed ^ u64::from(dev), Arc::clone(&history)).await?);
    }
    let through = |dev: u32| {
        let mut link = link.clone();
        link.endpoint.port = lanes[dev as usize].port;
        link
    };
    let name = |dev: u32| if dev < shape.persons { format!("person{dev}") } else { format!("light{dev}") };
    let names: Vec<String> = (0..shape.devices()).map(name).collect();
    for (dev, name) in (0..).zip(&names) {
        history.record(What::Device { dev, name: name.clone(), person: dev < shape.persons });
    }

    let now_ms = Clock::default().now_ms();
    let (mut light, mut routes) = (Vec::new(), Vec::new());
    for dev in shape.persons..shape.devices() {
        let route = Route::new(through(dev).endpoint)?;
        let device = Device::new(names[dev as usize].clone());
        let witness = dev < shape.persons + shape.circles * shape.witnesses;
        let packages = if witness { WITNESS_PACKAGES } else { RING_PACKAGES };
        device.sign_up(&route, &link.code, packages, now_ms).await?.close().await;
        light.push(device);
        routes.push(route);
    }
    let mut circles = people(shape, &names, &history, homes, through).await?;
    let mut rings = Vec::new();
    for ring in 0..shape.rings {
        let members = shape.devices_of(ring);
        let at = |dev: u32| (dev - shape.persons) as usize;
        let (first, last) = (at(members[0]), at(members[members.len() - 1]));
        let mut founding = light[first].sign_in(&routes[first]).await?;
        let id = timeout(DEADLINE, found(&mut founding, &light[first], &light[first + 1..=last], now_ms)).await;
        let id = id.map_err(|_| SetupError("a ring is not founded in time".to_owned()))??;
        let state = founding.call(v1::GetGroupInfoRequest { group_id: id.clone() }).await?.group_info;
        founding.close().await;
        let g = u32::try_from(circles.len()).unwrap_or(u32::MAX);
        let group: [u8; 32] = id.as_ref().try_into().map_err(|_| SetupError("a group id is not 32 bytes".to_owned()))?;
        note_group(&history, g, &group, members[0], &members);
        history.record(What::Join { dev: members[0], g, seq: Some(0) });
        rings.push(Ring { g, id, members, state });
        circles.push(Circle { id: group, hosts: Vec::new(), guests: Vec::new() });
    }
    let town = Arc::new(Town::new(history, lanes, names, circles));
    Ok(cast(seed, shape, &town, homes, light.into_iter().zip(routes), &rings))
}

/// Persons, and the groups they make.
async fn people(
    shape: &Shape,
    names: &[String],
    history: &History,
    homes: &Path,
    through: impl Fn(u32) -> JoinLink,
) -> Result<Vec<Circle>, SetupError> {
    let mut clients = Vec::new();
    for dev in 0..shape.persons {
        let (home, link) = (homes.join(&names[dev as usize]), through(dev).to_string());
        let client = Client::join(&home, &link, &names[dev as usize], None, Options::default()).await?;
        timeout(DEADLINE, client.wait_reachable()).await.map_err(|_| SetupError("a person is not reachable".to_owned()))??;
        clients.push(client);
    }
    for client in &clients {
        let me = client.account().username;
        for other in names[..shape.persons as usize].iter().filter(|name| **name != me) {
            client.accept(other).await?;
        }
    }
    let mut circles = Vec::new();
    for g in 0..shape.circles {
        let (persons, witnesses) = (shape.persons_of(g), shape.witnesses_of(g));
        let (hosts, guests) = persons.split_at(shape.hosts());
        let members: Vec<u32> = persons.iter().chain(&witnesses).copied().collect();
        let others: Vec<String> = members[1..].iter().map(|dev| names[*dev as usize].clone()).collect();
        let client = &clients[hosts[0] as usize];
        let id = client.create_group(&format!("circle {g}"), &others, Policy::Equal).await?;
        note_group(history, g, &id, hosts[0], &members);
        let guests = guests.iter().chain(&witnesses).copied().collect();
        circles.push(Circle { id, hosts: hosts.to_vec(), guests });
    }
    for client in clients {
        timeout(DEADLINE, client.close()).await.map_err(|_| SetupError("a person's client does not close".to_owned()))?;
    }
    Ok(circles)
}

fn note_group(history: &History, g: u32, id: &[u8; 32], by: u32, members: &[u32]) {
    history.record(What::Group { g, id: data_encoding::HEXLOWER.encode(id) });
    for whom in members {
        let id = history.number();
        history.record(What::Change { id, dev: by, g, kind: Kind::Create, whom: Some(*whom) });
        history.record(What::ChangeOk { id });
    }
}

/// A group of light devices.
struct Ring {
    g: u32,
    id: Bytes,
    members: Vec<u32>,
    /// Its `GroupInfo`, for ever.
    state: Bytes,
}

/// Everybody gets what they need to live.
fn cast(
    seed: u64,
    shape: &Shape,
    town: &Arc<Town>,
    homes: &Path,
    light: impl Iterator<Item = (Device, Route)>,
    rings: &[Ring],
) -> Cast {
    let persons = (0..shape.persons).map(|dev| Person {
        dev,
        home: homes.join(&town.names[dev as usize]),
        town: Arc::clone(town),
        chance: Stream::new(seed, "person", dev),
        pause_ms: shape.person_pause_ms,
        changes: shape.changes,
        comings: shape.comings,
    });
    let courier = |(dev, (device, route)): (u32, (Device, Route))| {
        let ring = rings.iter().find(|ring| ring.members.contains(&dev));
        let sender = |ring: &&Ring| ring.members[..shape.ring_senders as usize].contains(&dev);
        let sends = ring.filter(sender).map(|ring| Sends {
            g: ring.g,
            mint: Mint::new(ring.id.clone(), RING_EPOCH, MESSAGE_BYTES),
            window: shape.window,
            pause_ms: shape.ring_pause_ms,
        });
        let states = ring.iter().map(|ring| (ring.id.clone(), Some(ring.state.clone()))).collect();
        let standing = Standing::new(states, if ring.is_some() { 0 } else { WITNESS_PACKAGES });
        let (town, chance) = (Arc::clone(town), Stream::new(seed, "courier", dev));
        Courier { dev, device, route, town, sends, chance, conn: 0, standing }
    };
    let couriers = (shape.persons..).zip(light).map(courier).collect();
    // The last of each ring only listens; so do witnesses, of whom the hosts have to get rid afterwards.
    let last = (0..shape.rings).filter_map(|ring| shape.devices_of(ring).pop());
    let witnesses = (0..shape.circles).filter_map(|circle| shape.witnesses_of(circle).pop());
    let sacrifices = witnesses.chain(last).collect();
    Cast { town: Arc::clone(town), persons: persons.collect(), couriers, sacrifices }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SetupError {}

macro_rules! setup_error {
    ($($error:ty),*) => {$(
        impl From<$error> for SetupError {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        }
    )*};
}
setup_error!(io::Error, Error, LineError, JoinLinkError);
