//! Somebody comes back: what TLS, the upgrade, `Hello`, the sign-in and the way to `Live` cost together.

use futures_util::{StreamExt as _, stream};
use sovereign_client::load::Route;

use crate::{
    client::{Connection, route},
    harness::raw::Keys,
    limits::door::Door,
    measure::{best, watch},
    options::{Name, Options},
    table::{Row, Table},
    town::{self, Founder},
};

/// Groups that everybody is in; there is nothing new in them.
const GROUPS: usize = 20;
/// Connections that are opened at the same time.
const AT_ONCE: usize = 8;

/// Server CPU of a reconnect, by a full TLS handshake and by a resumed one, beside what the same handshake and the upgrade
/// cost without a server behind them.
pub async fn run(options: &Options, table: &mut Table) {
    if !options.wants(Name::Reconnect) {
        return;
    }
    let scale = options.scale();
    let door = Door::start().await;
    let server = town::server().await;
    let people = town::settle(&server, "back", scale.returning, GROUPS).await;
    let mut founder = Founder::arrive(&server, "founder").await;
    town::befriend(&server, &people, &founder.member.keys).await;
    for _ in 0..GROUPS {
        founder.found(&people).await;
    }
    let (mut full, mut resumed) = (Vec::new(), Vec::new());
    // The first round is not counted: everybody's windows open in it.
    for round in 0..=scale.rounds {
        let mut routes = Vec::new();
        for _ in &people {
            routes.push(route(&server).await);
        }
        let (first, live) = watch(server.pid(), come_back(&people, &routes)).await;
        leave(live).await;
        let (second, live) = watch(server.pid(), come_back(&people, &routes)).await;
        leave(live).await;
        if round > 0 {
            full.push(first);
            resumed.push(second);
        }
    }
    let (bare_full, bare_resumed) = door.measure(&scale, AT_ONCE).await;
    for (how, taken, bare) in [("full", best(full), bare_full), ("resumed", best(resumed), bare_resumed)] {
        let what = format!("reconnect with {GROUPS} groups, TLS {how}: server CPU");
        let row = Row::context(what, taken.cpu_us(people.len()), "us");
        table.add(row.beside("TLS and upgrade alone", bare.cpu_us(people.len())));
    }
}

async fn come_back(people: &[Keys], routes: &[Route]) -> Vec<Connection> {
    let arrivals = people.iter().zip(routes).map(|(keys, route)| async move {
        let mut connection = Connection::sign_in_by(route, keys).await;
        connection.until_live().await;
        connection
    });
    stream::iter(arrivals).buffered(AT_ONCE).collect().await
}

/// Everybody says goodbye, so that nothing of that is left for the next round.
async fn leave(connections: Vec<Connection>) {
    stream::iter(connections).for_each_concurrent(AT_ONCE, Connection::close).await;
}
