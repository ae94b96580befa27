//! What an attacker with a raw socket tries, and what must happen.

mod authorisation;
mod envelopes;
mod floods;
mod http;
mod memory;
mod readers;
mod signals;
mod strangers;
mod websocket;
