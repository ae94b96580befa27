//! Every decoder of what a peer can send, and the session's state machine, as plain functions over bytes. cargo-fuzz calls
//! them (`fuzz/`), and so do the tests beside this crate and `./scripts/fuzz`, on stable Rust.
//!
//! A target panics where something is wrong: a property that does not hold, a request answered twice, an internal failure.

pub mod corpus;
pub mod drive;
pub mod mutation;
pub mod requests;
pub mod seeds;

mod client;
mod handshakes;
#[allow(dead_code, reason = "the integration tests' member of groups; seeds need a part of it")]
#[path = "../../../tests/it/harness/member.rs"]
mod member;
mod people;
mod plain;
mod session;
mod web;
/// Where the integration tests' member looks for its keys.
mod raw {
    pub use super::people::Keys;
}

pub use self::{drive::drive, handshakes::refusal};

/// A target.
#[derive(Clone, Copy)]
pub struct Target {
    /// As its folder in `fuzz/corpus` is called.
    pub name: &'static str,
    /// Runs it once.
    pub run: fn(&[u8]),
    /// Cases of it in one run of the tests.
    pub cases: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "envelope", run: plain::envelope, cases: 20_000 },
    Target { name: "exchange", run: plain::exchange, cases: 5_000 },
    Target { name: "secrets", run: plain::secrets, cases: 5_000 },
    Target { name: "manifest", run: plain::manifest, cases: 5_000 },
    Target { name: "layouts", run: plain::layouts, cases: 5_000 },
    Target { name: "join_link", run: plain::join_link, cases: 5_000 },
    Target { name: "config", run: plain::config, cases: 1_000 },
    Target { name: "content", run: plain::content, cases: 5_000 },
    Target { name: "headers", run: handshakes::headers, cases: 20_000 },
    Target { name: "key_package", run: handshakes::key_package, cases: 1_000 },
    Target { name: "group_info", run: handshakes::group_info, cases: 1_000 },
    Target { name: "proposal", run: handshakes::proposal, cases: 1_000 },
    Target { name: "commit", run: handshakes::commit, cases: 1_000 },
    Target { name: "web", run: web::requests, cases: 2_000 },
    Target { name: "client", run: client::frames, cases: 500 },
    Target { name: "session", run: session::frames, cases: 1_000 },
];

/// The target of that name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// Runs the target of that name once.
///
/// # Panics
/// If there is none, and where something is wrong.
pub fn run(name: &str, data: &[u8]) {
    (target(name).expect("the target is listed").run)(data);
}

/// Parts of one input: the split is none of what is measured.
const PARTS_MAX: usize = 1024;

/// Splits an input into parts: a length (u16, big-endian) before each, the last one as long as it is.
#[must_use]
pub fn parts(mut data: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((head, rest)) = data.split_first_chunk::<2>().filter(|_| parts.len() < PARTS_MAX) {
        let (part, behind) = rest.split_at(usize::from(u16::from_be_bytes(*head)).min(rest.len()));
        parts.push(part);
        data = behind;
    }
    parts
}

/// The reverse of [`parts`], for parts of less than 64 KiB.
#[must_use]
pub fn joined<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut data = Vec::new();
    for part in parts {
        data.extend(u16::try_from(part.len()).expect("a part is short").to_be_bytes());
        data.extend(part);
    }
    data
}
