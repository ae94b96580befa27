//! What an attacker with a raw socket tries, and what must happen.

mod envelopes;
mod frames;
mod http;
mod readers;
