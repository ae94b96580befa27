//! `sovereign notice`: words of the operator.

use std::io::Read as _;

use clap::{ArgGroup, Args};
use serde_json::json;
use sovereign_proto::v1::SendNoticeRequest;

use super::{
    failure::{Exit, Failure},
    listing, operator,
};
use crate::{config::Config, limits::NOTICE};

/// People see it marked as the server's and as not end-to-end encrypted. Devices that are away get it when they come
/// back, as long as messages are kept.
#[derive(Args)]
#[command(group(ArgGroup::new("whom").required(true).args(["all", "to"])))]
pub(super) struct Arguments {
    /// To every enabled account.
    #[arg(long)]
    all: bool,
    /// To the devices of one account.
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    /// What to say, at most 4096 bytes; - reads it from standard input.
    text: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: Arguments, config: &Config) -> Result<(), Failure> {
    let Arguments { all: _, to, text, json } = arguments;
    let text = if text == "-" { from_standard_input()? } else { text };
    let sent = operator::call(config, SendNoticeRequest { username: to.unwrap_or_default(), text })?;
    if json {
        return listing::print(&format!("{}\n", json!({"devices": sent.devices, "complete": sent.complete})));
    }
    let rest = if sent.complete { "" } else { "; the others get it by and by" };
    let devices = if sent.devices == 1 { "one device" } else { &format!("{} devices", sent.devices) };
    eprintln!("on the logs of {devices}{rest}");
    Ok(())
}

fn from_standard_input() -> Result<String, Failure> {
    let mut text = String::new();
    let limit = NOTICE as u64 + 1;
    std::io::stdin().take(limit).read_to_string(&mut text).map_err(|error| Failure::io("standard input", &error))?;
    let text = text.trim_end();
    if text.is_empty() {
        Err(Failure::new(Exit::Usage, "there is nothing to say on standard input"))
    } else {
        Ok(text.to_owned())
    }
}
