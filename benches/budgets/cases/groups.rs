//! A server with groups of several sizes, and what is measured on it.

use super::{commits, fan_out, storing};
use crate::{
    options::{Name, Options},
    table::Table,
    town::{self, Founder},
};

/// Measures what larger groups are needed for.
pub async fn run(options: &Options, table: &mut Table) {
    let wanted = [Name::FanOut, Name::Storing, Name::Commits].map(|name| options.wants(name));
    if !wanted.contains(&true) {
        return;
    }
    let scale = options.scale();
    let server = town::server().await;
    let largest = scale.live.into_iter().chain(scale.committing).max().unwrap_or(2);
    let people = town::settle(&server, "member", largest - 1, scale.live.len() + scale.committing.len()).await;
    let mut founder = Founder::arrive(&server, "founder").await;
    town::befriend(&server, &people, &founder.member.keys).await;
    if options.wants(Name::FanOut) || options.wants(Name::Storing) {
        let mut groups = Vec::new();
        for members in scale.live {
            groups.push(founder.found(&people[..members - 1]).await);
        }
        if options.wants(Name::FanOut) {
            founder = fan_out::run(&server, founder, &people, &groups, &scale, table).await;
        }
        if options.wants(Name::Storing) {
            founder = storing::run(&server, founder, &groups, &scale, table).await;
        }
    }
    if options.wants(Name::Commits) {
        commits::run(&server, &mut founder, &people, &scale, table).await;
    }
}
