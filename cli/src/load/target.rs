//! Which server is loaded: one of this run's own, or the one of a link.

use std::net::IpAddr;

use sovereign_client::join_link::JoinLink;

use super::args::{Args, Plan};
use crate::{
    client,
    exit::{self, Exit},
    local_server::{self, LocalServer, Scratch},
};

/// A server to be loaded.
pub(super) struct Target {
    pub(super) link: JoinLink,
    /// Where its CPU and memory can be read.
    pub(super) pid: Option<u32>,
    /// Where it comes from, if it is this run's own.
    own: Option<(LocalServer, Scratch)>,
}

impl Target {
    /// Finds it, or starts it.
    pub(super) async fn find(args: &Args, plan: Plan) -> Result<Self, Exit> {
        if let Some(link) = &args.link {
            let link: JoinLink = link.parse().map_err(|error| client::exit(&sovereign_client::Error::from(error)))?;
            if !is_here(&link.endpoint.host) && !args.yes_this_is_my_server {
                let text = format!(
                    "{} is not this machine. This is a load generator: point it at a server of your own, which is free for it, \
                     and say --yes-this-is-my-server",
                    link.endpoint.host
                );
                return Err(Exit::failed(exit::USAGE, text));
            }
            return Ok(Self { link, pid: args.pid, own: None });
        }
        let binary = local_server::find(args.server.as_deref())?;
        let scratch = Scratch::new("sov-load-", false)?;
        // All connections come from one address here, and what is measured is the server, not its bounds.
        let arguments = [
            "--connections-max=100000",
            "--connections-per-address-max=100000",
            "--messages-per-second-max=1000000",
            "--requests-per-second-max=1000000",
            "--sign-ins-per-second-max=1000000",
            "--log-level=warn",
        ];
        let server = LocalServer::start(binary, scratch.path(), &arguments).await?;
        let link = server.invite(plan.accounts()).await?;
        let link = link.parse().map_err(|error| client::exit(&sovereign_client::Error::from(error)))?;
        Ok(Self { link, pid: server.pid(), own: Some((server, scratch)) })
    }

    /// Kills and removes what is this run's own.
    pub(super) async fn end(self) -> Result<(), Exit> {
        if let Some((mut server, scratch)) = self.own {
            server.kill().await?;
            scratch.end().await?;
        }
        Ok(())
    }
}

/// Whether the host of a link is this machine, whatever a resolver says.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["chat.example", "localhost.example", "192.168.0.1", "0.0.0.0", "::", "10.0.0.1"] {
            assert!(!is_here(host), "{host}");
        }
    }
}
