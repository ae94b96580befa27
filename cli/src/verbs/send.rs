//! `sov send`: one message, durably accepted.

use std::{
    collections::BTreeSet,
    io::{self, Read as _},
};

use serde::{Deserialize, Serialize};
use sovereign_client::{Client, ErrorClass, GroupState, SendOptions, Sent};

use crate::{
    client,
    event::Event,
    exit::{self, Exit},
    output::Output,
};

/// Longest text taken from stdin, in bytes: what fits into one message.
pub(crate) const TEXT_BYTES_MAX: u64 = 60 * 1024;

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    /// To the one group of exactly these people and you; made if there is none
    #[arg(
        long,
        value_name = "NAME[,NAME...]",
        value_delimiter = ',',
        required_unless_present = "group",
        conflicts_with = "group"
    )]
    pub(crate) to: Vec<String>,
    /// To a group: its id, the beginning of its id, or its name
    #[arg(long, value_name = "ID")]
    pub(crate) group: Option<String>,
    /// The text; `-` reads it from stdin
    pub(crate) text: String,
    /// Give it to nobody any more after so long: 90s, 10m, 2h, 7d; a minute at least
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) ttl: Option<u64>,
    /// Worth waking somebody for
    #[arg(long)]
    pub(crate) urgent: bool,
}

impl Args {
    /// Reads the text from stdin where it was asked for. A line break at its end is not part of it.
    pub(crate) fn with_text(mut self) -> Result<Self, Exit> {
        if self.text == "-" {
            self.text.clear();
            io::stdin().lock().take(TEXT_BYTES_MAX + 1).read_to_string(&mut self.text)?;
            if self.text.ends_with('\n') {
                self.text.pop();
            }
        }
        if self.text.len() as u64 > TEXT_BYTES_MAX {
            return Err(Exit::failed(exit::USAGE, format!("a message has at most {TEXT_BYTES_MAX} bytes")));
        }
        if self.text.is_empty() { Err(Exit::failed(exit::USAGE, "there is no text to send")) } else { Ok(self) }
    }

    /// Whether a message that was not accepted in time stands in the outbox: it does once its group is known here.
    pub(crate) async fn is_kept(&self, client: &Client) -> bool {
        let Ok(groups) = client.groups().await else { return false };
        let own = client.account().username;
        let people =
            |names: &mut dyn Iterator<Item = &String>| names.filter(|name| **name != own).cloned().collect::<BTreeSet<_>>();
        let wanted = people(&mut self.to.iter());
        self.group.is_some()
            || groups.iter().any(|group| {
                group.direct
                    && group.state != GroupState::Left
                    && people(&mut group.members.iter().map(|member| &member.username)) == wanted
            })
    }

    /// Returns when the server has durably accepted the message.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output) -> Result<(), Exit> {
        let sent = client::telling(client, output, self.sent(client)).await?;
        Ok(output.emit(vec![Event::Sent { group: client::hex(&sent.group), seq: sent.seq }]).await?)
    }

    async fn sent(&self, client: &Client) -> Result<Sent, Exit> {
        match &self.group {
            // Into the outbox at once, whether the server can be reached or not.
            Some(group) => {
                let group = client::find_group(client, group).await?;
                client.send_with(group, &self.text, self.options()).await.map_err(|error| client::exit(&error))
            }
            None if self.is_kept(client).await => match client.send_to_with(&self.to, &self.text, self.options()).await {
                Err(error) if error.class() == ErrorClass::Network => self.send_to(client).await,
                result => result.map_err(|error| client::exit(&error)),
            },
            None => self.send_to(client).await,
        }
    }

    async fn send_to(&self, client: &Client) -> Result<Sent, Exit> {
        client::persistently(client, || client.send_to_with(&self.to, &self.text, self.options())).await
    }

    fn options(&self) -> SendOptions {
        SendOptions { ttl_seconds: self.ttl.unwrap_or(0), urgent: self.urgent }
    }
}

/// A time like `90s`, `10m`, `2h` or `7d`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no time: give a number and s, m, h or d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or_else(wrong)?;
    match number.checked_mul(factor) {
        Some(seconds) if seconds >= 60 => Ok(seconds),
        _ => Err("a message lives a minute at least".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_have_units() {
        assert_eq!(["60s", "1m", "2h", "7d"].map(seconds), [Ok(60), Ok(60), Ok(7200), Ok(604_800)]);
        for wrong in ["", "s", "60", "59s", "1w", "-1h", "99999999999999999999d", "18446744073709551615d", "1mm", "é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
