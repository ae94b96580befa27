//! One sender, all members live: what a delivery costs.

use openmls::prelude::MlsGroup;

use crate::{
    client::{Work, drive_all},
    harness::{TestServer, raw::Keys},
    limits::relay_load::Relay,
    measure::{best, watch},
    scale::Scale,
    table::{Row, Table},
    town::{self, Founder},
};

/// Messages that wait for their answer at most.
const OUTSTANDING: usize = 4;

/// Server CPU for each delivery, in groups of several sizes.
pub async fn run(
    server: &TestServer,
    mut founder: Founder,
    people: &[Keys],
    groups: &[MlsGroup],
    scale: &Scale,
    table: &mut Table,
) -> Founder {
    let relay = Relay::start().await;
    let mut live = town::gather(server, people).await;
    for (group, members) in groups.iter().zip(scale.live) {
        let send = (scale.deliveries / (members - 1)).clamp(10, scale.messages * 10);
        let mut all = Vec::new();
        // The first round is not counted: everybody's window opens in it.
        for round in 0..=scale.rounds {
            let away = live.split_off(members - 1);
            let mut working = vec![(town::seat(founder.connection, group), Work { send, outstanding: OUTSTANDING, see: send })];
            let see = Work { send: 0, outstanding: 0, see: send };
            working.extend(live.into_iter().map(|connection| (town::seat(connection, group), see)));
            let (taken, back) = watch(server.pid(), drive_all(working)).await;
            let mut back = back.into_iter().map(|peer| peer.connection);
            founder.connection = back.next().expect("the founder comes back first");
            live = back.chain(away).collect();
            if round > 0 {
                all.push(taken);
            }
        }
        let deliveries = send * (members - 1);
        let raw = best(relay.measure(scale, 1, members, send, OUTSTANDING).await);
        let what = format!("fan-out to {members} live members: server CPU a delivery");
        let row = Row::context(what, best(all).cpu_us(deliveries), "us");
        table.add(row.beside("raw relay", raw.cpu_us(deliveries)));
    }
    founder
}
