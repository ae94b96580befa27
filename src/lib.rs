//! The server of Sovereign.

pub mod clock;
pub mod entropy;
pub mod ids;
pub mod store;
