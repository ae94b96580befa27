//! A server with pairs of people, and what is measured on it.

use openmls::prelude::MlsGroup;
use sovereign::ids::{DeviceId, GroupId};

use super::{backlog, durable, group_commit, latency, signals};
use crate::{
    client::Peer,
    harness::{TestServer, raw::Keys},
    options::{Name, Options},
    table::Table,
    town::{self, Founder},
};

/// Two people in a group of their own.
pub struct Pair {
    /// Sends.
    pub sender: Peer,
    /// Receives.
    pub receiver: Peer,
    /// The receiver's keys.
    pub receiver_keys: Keys,
    /// Their group.
    pub group: MlsGroup,
    /// The same, and the sender, as the store names them.
    pub stored: (GroupId, DeviceId),
}

/// Measures what pairs are needed for.
pub async fn run(options: &Options, table: &mut Table) {
    let names = [Name::Signal, Name::Durable, Name::Latency, Name::Backlog, Name::GroupCommit];
    if !names.into_iter().any(|name| options.wants(name)) {
        return;
    }
    let scale = options.scale();
    let mut server = town::server().await;
    let mut pairs = settle(&server, scale.pairs).await;
    if options.wants(Name::Signal) {
        pairs = signals::run(&server, pairs, &scale, table).await;
    }
    if options.wants(Name::Durable) {
        pairs = durable::run(&server, pairs, &scale, table).await;
    }
    if options.wants(Name::Latency) {
        latency::run(&mut pairs[0], &scale, table).await;
    }
    if options.wants(Name::Backlog) {
        Box::pin(backlog::run(&server, &mut pairs, &scale, table)).await;
    }
    let stored: Vec<_> = pairs.iter().map(|pair| pair.stored).collect();
    drop(pairs);
    server.terminate().await;
    if options.wants(Name::GroupCommit) {
        group_commit::run(&server, &stored, &scale, table).await;
    }
}

async fn settle(server: &TestServer, count: usize) -> Vec<Pair> {
    let receivers = town::settle(server, "receiver", count, 1).await;
    let mut pairs = Vec::with_capacity(count);
    for (index, receiver_keys) in receivers.into_iter().enumerate() {
        let mut founder = Founder::arrive(server, &format!("sender{index:05}")).await;
        let group = founder.found(std::slice::from_ref(&receiver_keys)).await;
        let receiver = town::gather(server, std::slice::from_ref(&receiver_keys)).await.pop().expect("one arrived");
        let group_id = GroupId::try_from(group.group_id().as_slice()).expect("a group id has 32 bytes");
        pairs.push(Pair {
            stored: (group_id, DeviceId(founder.member.keys.device)),
            sender: town::seat(founder.connection, &group),
            receiver: town::seat(receiver, &group),
            receiver_keys,
            group,
        });
    }
    pairs
}
