//! `sovereign invite`: links that let people in.

use clap::Subcommand;
use serde_json::{Value, json};
use sovereign_proto::v1::{CreateInviteRequest, Invite, ListInvitesRequest, RevokeInviteRequest};

use super::{
    compose, duration,
    failure::{Exit, Failure},
    listing::{self, Listing},
    operator,
};
use crate::config::Config;

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Print a new link, and nothing else, on standard output.
    Create {
        /// People who can join with it.
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How long it is good: a number with s, m, h or d behind it.
        #[arg(long, default_value = "7d", value_parser = duration::parse)]
        expires: u64,
        /// Whoever joins with it becomes an administrator; one use.
        #[arg(long)]
        admin: bool,
        /// One JSON object instead of the bare link.
        #[arg(long)]
        json: bool,
    },
    /// List the invites that are still known.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Revoke an invite by its id, as `list` shows it.
    Revoke {
        /// The first characters of the id, eight at least.
        id: String,
    },
}

pub(super) fn run(verb: Verb, config: &Config) -> Result<(), Failure> {
    match verb {
        Verb::Create { uses, expires, admin, json } => {
            port_is_known(config)?;
            let request = CreateInviteRequest { uses, expires_in_seconds: expires, administrator: admin };
            let made = operator::call(config, request)?;
            let object = || json!({"link": made.link, "code": made.code, "expires_at_ms": made.expires_at_ms}).to_string();
            listing::print(&format!("{}\n", if json { object() } else { made.link.clone() }))?;
        }
        Verb::List { json } => {
            let invites = operator::call(config, ListInvitesRequest {})?.invites;
            let now = compose::clock(config).now_ms();
            let mut listing = Listing::new(json, &["ID", "LEFT", "EXPIRES", "WHAT"]);
            for invite in &invites {
                listing.row(cells(invite, now), object(invite, now));
            }
            listing.print()?;
        }
        Verb::Revoke { id } => {
            operator::call(config, RevokeInviteRequest { id })?;
            eprintln!("revoked");
        }
    }
    Ok(())
}

/// A link made while no server runs names the port that the next one will listen on.
fn port_is_known(config: &Config) -> Result<(), Failure> {
    if config.public_url.is_some() || config.listen.port() != 0 || operator::is_running(config) {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "with port 0 the port is known only while the server runs: start it, or set public_url"))
}

fn cells(invite: &Invite, now: u64) -> [String; 4] {
    let left = invite.expires_at_ms.saturating_sub(now) / 1000;
    [invite.id.clone(), invite.uses_left.to_string(), duration::show(left), what(invite, now).to_owned()]
}

fn object(invite: &Invite, now: u64) -> Value {
    json!({
        "id": invite.id,
        "what": what(invite, now),
        "uses_left": invite.uses_left,
        "administrator": invite.administrator,
        "created_at_ms": invite.created_at_ms,
        "expires_at_ms": invite.expires_at_ms,
    })
}

fn what(invite: &Invite, now: u64) -> &'static str {
    match (invite.revoked, invite.expires_at_ms <= now, invite.administrator) {
        (true, ..) => "revoked",
        (_, true, _) => "expired",
        (_, _, true) => "administrator",
        _ => "member",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_an_invite_is_good_for() {
        let invite = Invite { id: "0123456789abcdef".into(), uses_left: 3, expires_at_ms: 604_800_000, ..Invite::default() };
        assert_eq!(cells(&invite, 0), ["0123456789abcdef", "3", "7d", "member"]);
        assert_eq!(what(&invite, 604_800_000), "expired");
        assert_eq!(what(&Invite { revoked: true, ..invite }, 0), "revoked");
    }
}
