//! One sender, everybody else away: what it costs to store a message does not grow with the group.

use openmls::prelude::MlsGroup;

use crate::{
    client::Work,
    harness::TestServer,
    measure::{best, watch},
    scale::Scale,
    table::{Gate, Row, Table},
    town::{self, Founder},
};

/// Server CPU for a message, in groups of several sizes.
pub async fn run(server: &TestServer, mut founder: Founder, groups: &[MlsGroup], scale: &Scale, table: &mut Table) -> Founder {
    let send = scale.messages * 5;
    let mut smallest = None;
    for (group, members) in groups.iter().zip(scale.live) {
        let mut peer = town::seat(founder.connection, group);
        let mut all = Vec::new();
        for _ in 0..scale.rounds {
            let work = Work { send, outstanding: scale.outstanding, see: send };
            all.push(watch(server.pid(), peer.drive(work)).await.0);
        }
        founder.connection = peer.connection;
        let figure = best(all).cpu_us(send);
        let row = Row::context(format!("storing a message in a group of {members}, nobody else live: server CPU"), figure, "us");
        table.add(match smallest {
            None => row,
            Some(smallest) => row.beside("the smallest group", smallest).gated(Gate::RatioAtMost(1.5)),
        });
        smallest = smallest.or(Some(figure));
    }
    founder
}
