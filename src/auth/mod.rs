//! Who somebody is: passwords, device proofs, manifests, secrets as they are kept, and the server's own key.

pub mod attempts;
pub mod manifest;
pub mod password;
pub mod proof;
pub mod secret;
pub mod server_key;
pub mod tickets;
pub mod turns;
