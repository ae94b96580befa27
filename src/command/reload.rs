//! SIGHUP: certificate and configuration are read again, and what can be changed under live connections is.

use super::{compose, flags::Flags};
use crate::{
    config::{Config, RELOADED},
    server::Server,
    telemetry::Telemetry,
    transport::{Origins, tls::Tls},
};

/// What the running server goes by, and its parts that can be told otherwise.
pub(super) struct Reload {
    pub(super) flags: Flags,
    pub(super) running: Config,
    pub(super) tls: Tls,
    pub(super) origins: Origins,
    pub(super) telemetry: Telemetry,
    /// Where this server is reached, and the port it listens on.
    pub(super) base_url: String,
    pub(super) port: u16,
}

impl Reload {
    /// A configuration that is not good changes nothing; neither does a certificate, of which the old one stays.
    pub(super) fn run(&mut self, server: &Server) {
        match self.flags.read() {
            Ok(next) => self.adopt(&next, server),
            Err(error) => tracing::error!(%error, "the configuration stays as it was"),
        }
        match self.tls.reload(server.clock.now_ms()) {
            Ok(()) => tracing::info!("the certificate was read again"),
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }

    fn adopt(&mut self, next: &Config, server: &Server) {
        let both = self.running.effective().zip(next.effective());
        let differing = both.filter(|((_, old, _), (_, new, _))| old != new).map(|((key, ..), _)| key.name);
        let (now, later): (Vec<&str>, Vec<&str>) = differing.partition(|name| RELOADED.contains(name));
        let (name, mode) = compose::policy(next);
        server.settings.policy.replace(name, mode);
        self.origins.replace(compose::origins(next, &self.base_url, self.port));
        self.telemetry.set_level(next.log_level);
        self.running.adopt(next);
        tracing::info!(changed = now.join(" "), "the configuration was read again");
        if !later.is_empty() {
            tracing::warn!(keys = later.join(" "), "these keys have changed and wait for a restart");
        }
    }
}
