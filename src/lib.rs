//! Sovereign, a self-hosted messaging server for RFC 9420 groups that sees no plaintext and holds no group secret.
//!
//! Read ARCHITECTURE.md for the map and the invariants. Layers, from the top; imports point down only:
//! command · transport · session · requests · server, caller, groups, duties, wire · store, hub, mls, auth ·
//! codec, identity, refusal, limits, rates, order, memory, config, metrics, telemetry · ids, clock, entropy.

pub mod auth;
pub mod caller;
pub mod clock;
pub mod codec;
pub mod command;
pub mod config;
pub mod duties;
pub mod entropy;
pub mod groups;
pub mod hub;
pub mod identity;
pub mod ids;
pub mod limits;
pub mod memory;
pub mod metrics;
pub mod mls;
pub mod order;
mod private_file;
pub mod rates;
pub mod refusal;
pub mod requests;
#[cfg(feature = "sabotage")]
pub mod sabotage;
pub mod server;
pub mod session;
pub mod store;
pub mod telemetry;
pub mod transport;
pub mod wire;
