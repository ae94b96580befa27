//! `sovereign session`: who is connected now.

use clap::Subcommand;
use data_encoding::HEXLOWER;
use serde_json::json;
use sovereign_proto::v1::{EndSessionRequest, ListSessionsRequest};

use super::{
    compose,
    failure::Failure,
    listing::{Listing, ago},
    operator,
};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// List live connections of one account, or of all, oldest first.
    List {
        /// The account's username.
        username: Option<String>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Close a connection. Its device may sign in again: to keep it out, revoke the device or disable the account.
    End {
        /// The session's number, as `list` shows it.
        id: u64,
    },
}

pub(super) fn run(verb: Verb, config: &Config) -> Result<(), Failure> {
    match verb {
        Verb::List { username, json } => list(config, &username.unwrap_or_default(), json),
        Verb::End { id } => {
            operator::call(config, EndSessionRequest { id })?;
            eprintln!("ended");
            Ok(())
        }
    }
}

fn list(config: &Config, username: &str, json: bool) -> Result<(), Failure> {
    let now = compose::clock(config).now_ms();
    let mut listing = Listing::new(json, &["ID", "NAME", "DEVICE", "SINCE"]);
    operator::ask_on(config, |operator| {
        let mut after = 0;
        loop {
            let page = operator.ask(ListSessionsRequest { username: username.to_owned(), after, limit: 0 })?;
            for session in &page.sessions {
                let device = HEXLOWER.encode(&session.device_id);
                let object =
                    json!({"id": session.id, "username": session.username, "device_id": device, "since_ms": session.since_ms});
                listing.row([session.id.to_string(), session.username.clone(), device, ago(now, session.since_ms)], object);
                after = session.id;
            }
            if !page.more {
                return Ok(());
            }
        }
    })?;
    listing.print()
}
