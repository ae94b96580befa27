//! What an attacker with a raw socket tries, and what must happen.

mod authorisation;
mod envelopes;
mod exchange;
mod floods;
mod handshakes;
mod http;
mod memory;
mod names;
mod places;
mod rates;
mod readers;
mod sessions;
mod shedding;
mod signals;
mod strangers;
mod tls;
mod websocket;
