//! What the machine under a server can do to it.

mod disk;
mod kills;
mod resources;
mod sent;
