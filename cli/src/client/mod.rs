//! The client library's values in the words of this program.

mod events;
mod groups;
mod patience;
mod state;

use data_encoding::HEXLOWER;
use sovereign_client::{Error, ErrorClass};

pub(crate) use self::{
    events::{changed, contact, device, group, happening, identity, message, names_in, own_message, presence},
    groups::{find_group, title_of},
    patience::{catch_up, persistently, telling},
    state::{StateOf, trouble},
};
use crate::exit::{self, Exit};

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// The exit that an error of the library asks for.
pub(crate) fn exit(error: &Error) -> Exit {
    let code = match error.class() {
        ErrorClass::Usage => exit::USAGE,
        ErrorClass::Network => exit::UNAVAILABLE,
        ErrorClass::Vault => exit::IO,
        ErrorClass::Owned | ErrorClass::Timeout => exit::TEMPORARY,
        ErrorClass::NoAccount => exit::CONFIG,
        ErrorClass::Untrusted | ErrorClass::NotPermitted => exit::NOT_PERMITTED,
        ErrorClass::Refused | ErrorClass::NotFound | ErrorClass::Internal => exit::FAILED,
    };
    Exit::failed(code, error.to_string())
}

/// The same where the vault is being made.
pub(crate) fn exit_creating(error: &Error) -> Exit {
    let is_vault = error.class() == ErrorClass::Vault;
    let exit = exit(error);
    if is_vault { Exit { code: exit::CANNOT_CREATE, ..exit } } else { exit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_exit_codes() {
        assert_eq!(exit(&Error::NoAccount).code, exit::CONFIG);
        assert_eq!(exit(&Error::Network("x".into())).code, exit::UNAVAILABLE);
        assert_eq!(exit(&Error::Timeout).code, exit::TEMPORARY);
        assert_eq!(exit(&Error::Vault("x".into())).code, exit::IO);
        assert_eq!(exit_creating(&Error::Vault("x".into())).code, exit::CANNOT_CREATE);
    }
}
