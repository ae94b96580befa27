//! Makes the accounts and the groups, before anything is measured.

use std::sync::Arc;

use sovereign_client::{
    clock::Clock,
    load::{Device, Mint, Route, found},
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{args::Plan, peers::Seat};
use crate::exit::{self, Exit};

/// Accounts, or conversations, that are made at the same time.
const AT_ONCE: usize = 16;
/// The epoch of a group whose first member has added everybody else.
const EPOCH: u64 = 1;

/// Everybody, connected and live.
#[derive(Default)]
pub(super) struct Settlement {
    pub(super) conversations: Vec<Conversation>,
    pub(super) idle: Vec<Seat>,
    pub(super) storm: Vec<Seat>,
}

/// A group of which the first member sends.
pub(super) struct Conversation {
    pub(super) mint: Mint,
    pub(super) sender: Seat,
    pub(super) receivers: Vec<Seat>,
}

/// One task's part of it.
enum Made {
    Conversation(Conversation),
    Idle(Seat),
    Storm(Seat),
}

/// Makes accounts.
#[derive(Clone)]
struct Registry {
    route: Route,
    code: String,
    /// With what all names of this run begin.
    prefix: String,
    clock: Clock,
    places: Arc<Semaphore>,
}

/// Settles everybody of the plan; `told` hears how many conversations and single devices there are already.
pub(super) async fn settle(plan: Plan, route: Route, code: String, told: impl Fn(usize)) -> Result<Settlement, Exit> {
    let clock = Clock::default();
    let prefix = format!("load-{:x}", clock.now_ms());
    let registry = Registry { route, code, prefix, clock, places: Arc::new(Semaphore::new(AT_ONCE)) };
    let mut making: JoinSet<Result<Made, Exit>> = JoinSet::new();
    let mut first = 0;
    for members in std::iter::repeat_n(2, plan.pairs as usize).chain(std::iter::repeat_n(plan.members, plan.groups as usize)) {
        let (registry, from, size) = (registry.clone(), first, plan.size as usize);
        first += members;
        making.spawn(async move { registry.conversation(from, members, size).await.map(Made::Conversation) });
    }
    for index in 0..plan.idle + plan.storm {
        let (registry, number) = (registry.clone(), first + index);
        let made = if index < plan.idle { Made::Idle } else { Made::Storm };
        making.spawn(async move { registry.single(number).await.map(made) });
    }
    let mut settlement = Settlement::default();
    let mut count = 0;
    while let Some(made) = making.join_next().await {
        match made.expect("settling does not panic")? {
            Made::Conversation(conversation) => settlement.conversations.push(conversation),
            Made::Idle(seat) => settlement.idle.push(seat),
            Made::Storm(seat) => settlement.storm.push(seat),
        }
        count += 1;
        told(count);
    }
    Ok(settlement)
}

impl Registry {
    async fn conversation(&self, from: u32, members: u32, size: usize) -> Result<Conversation, Exit> {
        let _place = self.places.acquire().await.expect("nobody closes it");
        let mut others = Vec::new();
        for number in from + 1..from + members {
            let device = self.device(number);
            let line = device.sign_up(&self.route, &self.code, 1, self.clock.now_ms()).await.map_err(refused)?;
            line.close().await;
            others.push(device);
        }
        let founder = self.device(from);
        let mut line = founder.sign_up(&self.route, &self.code, 0, self.clock.now_ms()).await.map_err(refused)?;
        line.until_live().await.map_err(refused)?;
        let group = found(&mut line, &founder, &others, self.clock.now_ms()).await.map_err(refused)?;
        let mut receivers = Vec::with_capacity(others.len());
        for device in others {
            let mut line = device.sign_in(&self.route).await.map_err(refused)?;
            line.until_live().await.map_err(refused)?;
            receivers.push(Seat { device, line });
        }
        Ok(Conversation { mint: Mint::new(group, EPOCH, size), sender: Seat { device: founder, line }, receivers })
    }

    async fn single(&self, number: u32) -> Result<Seat, Exit> {
        let _place = self.places.acquire().await.expect("nobody closes it");
        let device = self.device(number);
        let mut line = device.sign_up(&self.route, &self.code, 0, self.clock.now_ms()).await.map_err(refused)?;
        line.until_live().await.map_err(refused)?;
        Ok(Seat { device, line })
    }

    fn device(&self, number: u32) -> Device {
        Device::new(format!("{}-{number}", self.prefix))
    }
}

/// Nothing was measured yet, so that the first refusal ends it.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn refused(error: sovereign_client::load::LineError) -> Exit {
    use sovereign_client::load::LineError::{Network, Refused, Untrusted};
    let code = match error {
        Network(_) => exit::UNAVAILABLE,
        Untrusted(_) => exit::NOT_PERMITTED,
        _ => exit::FAILED,
    };
    let hint = match error {
        Refused(_) => "\nDoes the link have uses left for everybody? `sovereign invite create --uses 10000`",
        Network(_) => "\nDoes the server allow so many connections from one address? (connections_per_address_max)",
        _ => "",
    };
    Exit::failed(code, format!("while everybody was settling: {error}{hint}"))
}
