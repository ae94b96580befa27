//! What the machine does without the server.

pub mod disk;
pub mod door;
mod itself;
pub mod mls;
pub mod relay;
pub mod relay_load;
pub mod sqlite;
