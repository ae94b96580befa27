//! `sovereign ca`: the local certificate authority.

use std::io::Write as _;

use clap::Subcommand;

use super::{
    compose,
    failure::{Exit, Failure},
};
use crate::{config::Config, transport::tls};

#[derive(Subcommand)]
pub(super) enum Verb {
    /// Print the authority's certificate in PEM. It can vouch for this server's names only.
    Export,
}

pub(super) fn run(verb: &Verb, config: &Config) -> Result<(), Failure> {
    let Verb::Export = verb;
    let now = compose::clock(config).now_ms();
    let certificate = tls::export_authority(&compose::certificate_source(config), now)?.ok_or_else(|| {
        Failure::new(Exit::Configuration, "the certificate comes from files (tls_certificate): there is no local authority")
    })?;
    std::io::stdout().write_all(certificate.as_bytes()).map_err(|error| Failure::io("standard output", &error))
}
