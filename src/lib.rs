//! The Sovereign server.

pub mod clock;
pub mod entropy;
pub mod ids;
pub mod mls;
