//! The server's checks against real openmls clients, honest ones and others. Only tests hold an `MlsGroup`.

mod adversary;
mod client;
mod commits;
mod headers;
mod key_packages;
mod new_groups;
mod proposals;
