//! The server's checks against real openmls clients, honest ones and others. Only tests hold an `MlsGroup`.

mod adversary;
mod client;
mod commits;
mod headers;
mod key_packages;
mod new_groups;
mod proposals;

/// States are checked on one thread and kept on another.
const fn moves_between_threads<T: Send + Sync>() {}
const _: () = {
    moves_between_threads::<super::PublicState>();
    moves_between_threads::<super::CommitChecked>();
    moves_between_threads::<super::ProposalChecked>();
};
