//! Session, delivery and client logic in one thread, driven by a seed: the real session, requests, store, connection and
//! engine, with time, network, crashes and the order of everything as the seed has them.
//!
//! What a process draws from outside (randomness, the time of day) is bound to the seed by `tests/native/seeded.c`, so
//! every run of a seed is a process of its own, and the same to the byte.

mod ledger;
mod network;
mod runs;
mod server;
mod story;
mod watch;
mod world;
