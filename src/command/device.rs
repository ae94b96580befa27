//! `sovereign device`: the installations that people sign in from.

use clap::Subcommand;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sovereign_proto::v1::{DeviceState, DeviceSummary, ListAccountDevicesRequest, RevokeDeviceRequest};

use super::{
    compose,
    failure::Failure,
    listing::{Listing, ago},
    operator,
};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List the devices of one account, or of all, oldest first.
    List {
        /// The account's username.
        username: Option<String>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Cut a device off for good: a stolen one, say.
    ///
    /// Its connection, tokens and key packages are gone at once, and it can read and send nothing more. The keys it has of
    /// its groups end with the next commit that removes it, which a member's device makes once the account itself has
    /// struck the device (sov devices revoke), or once a member removes the person.
    Revoke {
        /// The first digits of the id, eight at least, as `list` shows it.
        id: String,
    },
}

pub(super) fn run(verb: Verb, config: &Config) -> Result<(), Failure> {
    match verb {
        Verb::List { username, json } => list(config, &username.unwrap_or_default(), json),
        Verb::Revoke { id } => {
            let revoked = operator::call(config, RevokeDeviceRequest { id })?;
            eprintln!(
                "revoked a device of {}; the members of {} groups are asked to remove it",
                revoked.username, revoked.groups
            );
            Ok(())
        }
    }
}

fn list(config: &Config, username: &str, json: bool) -> Result<(), Failure> {
    let now = compose::clock(config).now_ms();
    let mut listing = listing(json);
    operator::ask_on(config, |operator| {
        let mut after = 0;
        loop {
            let page = operator.ask(ListAccountDevicesRequest { username: username.to_owned(), after, limit: 0 })?;
            for device in &page.devices {
                listing.row(cells(device, now), object(device));
            }
            if page.next == 0 {
                return Ok(());
            }
            after = page.next;
        }
    })?;
    listing.print()
}

/// An empty list of devices.
pub(super) fn listing(json: bool) -> Listing {
    Listing::new(json, &["ID", "NAME", "STATE", "CONNECTED", "LAST SEEN", "UNDELIVERED", "KEY PACKAGES"])
}

/// A device for people.
pub(super) fn cells(device: &DeviceSummary, now: u64) -> [String; 7] {
    [
        HEXLOWER.encode(&device.device_id),
        device.username.clone(),
        state(device).to_owned(),
        if device.connected { "yes" } else { "no" }.to_owned(),
        ago(now, device.last_seen_ms),
        device.undelivered.to_string(),
        device.key_packages.to_string(),
    ]
}

/// A device for scripts.
pub(super) fn object(device: &DeviceSummary) -> Value {
    json!({
        "device_id": HEXLOWER.encode(&device.device_id),
        "username": device.username,
        "state": state(device),
        "connected": device.connected,
        "created_at_ms": device.created_at_ms,
        "last_seen_ms": device.last_seen_ms,
        "undelivered": device.undelivered,
        "key_packages": device.key_packages,
    })
}

fn state(device: &DeviceSummary) -> &'static str {
    match device.state() {
        DeviceState::Pending => "pending",
        DeviceState::Active => "active",
        DeviceState::Revoked => "revoked",
        DeviceState::Unspecified => "unknown",
    }
}
