//! `sovereign status`: how the server is.

use clap::Args;
use serde_json::{Value, json};
use sovereign_proto::v1::{GetStatusRequest, GetStatusResponse};

use super::{
    duration,
    failure::Failure,
    listing::{self, Listing, size},
    operator,
};
use crate::config::Config;

#[derive(Args)]
pub(super) struct Arguments {
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, config: &Config) -> Result<(), Failure> {
    let (status, running) = operator::ask_on(config, |operator| Ok((operator.ask(GetStatusRequest {})?, !operator.is_alone())))?;
    if arguments.json {
        return listing::print(&format!("{}\n", object(&status, running)));
    }
    let mut facts = Listing::new(false, &[if running { "running" } else { "stopped" }]);
    for (name, value) in facts_of(&status, running) {
        facts.row([format!("  {name}"), value], Value::Null);
    }
    facts.print()
}

fn facts_of(status: &GetStatusResponse, running: bool) -> Vec<(&'static str, String)> {
    let mut facts = vec![("version", status.version.clone())];
    if running {
        facts.push(("uptime", duration::show(status.uptime_ms / 1000)));
        facts.push(("connections", status.connections.to_string()));
    }
    let low = if status.disk_free_bytes < status.disk_reserve_bytes { ", MESSAGES ARE REFUSED" } else { "" };
    facts.extend([
        ("accounts", format!("{}, {} of them disabled", status.accounts, status.accounts_disabled)),
        ("devices", format!("{} active, {} wait for approval", status.devices_active, status.devices_pending)),
        ("groups", groups(status)),
        ("backlog", format!("{} entries not delivered, {} of messages", status.undelivered, size(status.stored_bytes))),
        ("notices", format!("{} on their way", status.notices_open)),
        ("key packages", format!("{} in stock, {} devices run low", status.key_packages, status.devices_low)),
        ("write-ahead log", size(status.wal_bytes)),
        ("disk", format!("{} free, {} kept in reserve{low}", size(status.disk_free_bytes), size(status.disk_reserve_bytes))),
    ]);
    facts
}

fn groups(status: &GetStatusResponse) -> String {
    let mut said = format!("{}, {} behind, {} frozen", status.groups, status.groups_behind, status.groups_frozen);
    if status.groups_suspended > 0 {
        said.extend([format!(", {} wait for their members since a restore", status.groups_suspended)]);
    }
    said
}

fn object(status: &GetStatusResponse, running: bool) -> Value {
    json!({
        "running": running,
        "version": status.version,
        "uptime_ms": if running { status.uptime_ms } else { 0 },
        "connections": status.connections,
        "accounts": status.accounts,
        "accounts_disabled": status.accounts_disabled,
        "devices_active": status.devices_active,
        "devices_pending": status.devices_pending,
        "groups": status.groups,
        "groups_behind": status.groups_behind,
        "groups_frozen": status.groups_frozen,
        "groups_suspended": status.groups_suspended,
        "undelivered": status.undelivered,
        "key_packages": status.key_packages,
        "devices_low": status.devices_low,
        "notices_open": status.notices_open,
        "stored_bytes": status.stored_bytes,
        "wal_bytes": status.wal_bytes,
        "disk_free_bytes": status.disk_free_bytes,
        "disk_reserve_bytes": status.disk_reserve_bytes,
    })
}
