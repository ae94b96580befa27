//! `sovereign invite`: links that let people in.

use clap::Subcommand;
use sovereign_proto::v1::{CreateInviteRequest, Invite, ListInvitesRequest, RevokeInviteRequest};

use super::{
    compose, duration,
    failure::{Exit, Failure},
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
    },
    /// List the invites that are still known.
    List,
    /// Revoke an invite by its id, as `list` shows it.
    Revoke {
        /// The first characters of the id, eight at least.
        id: String,
    },
}

pub(super) fn run(verb: Verb, config: &Config) -> Result<(), Failure> {
    match verb {
        Verb::Create { uses, expires, admin } => {
            port_is_known(config)?;
            let request = CreateInviteRequest { uses, expires_in_seconds: expires, administrator: admin };
            println!("{}", operator::call(config, request)?.link);
        }
        Verb::List => {
            let invites = operator::call(config, ListInvitesRequest {})?.invites;
            let now = compose::clock(config).now_ms();
            println!("{:<16}  {:>5}  {:>7}  WHAT", "ID", "LEFT", "EXPIRES");
            for invite in invites {
                println!("{}", line(&invite, now));
            }
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

fn line(invite: &Invite, now: u64) -> String {
    let left = invite.expires_at_ms.saturating_sub(now) / 1000;
    let what = match (invite.revoked, left, invite.administrator) {
        (true, ..) => "revoked",
        (_, 0, _) => "expired",
        (_, _, true) => "administrator",
        _ => "member",
    };
    format!("{:<16}  {:>5}  {:>7}  {what}", invite.id, invite.uses_left, duration::show(left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_an_invite_is_good_for() {
        let invite = Invite { id: "0123456789abcdef".into(), uses_left: 3, expires_at_ms: 604_800_000, ..Invite::default() };
        assert_eq!(line(&invite, 0), "0123456789abcdef      3       7d  member");
        assert!(line(&invite, 604_800_000).ends_with("expired"));
        assert!(line(&Invite { revoked: true, ..invite }, 0).ends_with("revoked"));
    }
}
