//! How a command ended, and the exit code that says so to scripts.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// Done.
pub(crate) const OK: u8 = 0;
/// The server refused, or what was named does not exist.
pub(crate) const FAILED: u8 = 1;
/// The command line makes no sense (sysexits: `EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// The server cannot be reached, or there is no binary to start one from (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// A file cannot be made (`EX_CANTCREAT`).
pub(crate) const CANNOT_CREATE: u8 = 73;
/// Reading or writing failed (`EX_IOERR`).
pub(crate) const IO: u8 = 74;
/// Not now, perhaps later: the time ran out (`EX_TEMPFAIL`).
pub(crate) const TEMPORARY: u8 = 75;
/// Not permitted, or the server is not the one that was joined (`EX_NOPERM`).
pub(crate) const NOT_PERMITTED: u8 = 77;
/// No account here, or a vault this program cannot read (`EX_CONFIG`).
pub(crate) const CONFIG: u8 = 78;
/// Ended by Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// The table above as `--help` shows it.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done
    1  refused by the server, or failed
   64  the command line makes no sense
   69  the server cannot be reached, or there is none to start
   73  a file cannot be made
   74  reading or writing failed
   75  not finished in time; sends stay in the outbox
   77  not permitted, or the server is not the one that was joined
   78  no account in this home
  130  ended by Ctrl-C";

/// How a command ended: its code and, if it failed, what to tell on stderr.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Exit {
    /// Everything was done.
    pub(crate) fn ok() -> Self {
        Self { code: OK, message: String::new() }
    }

    /// It was not, for the reason given to people.
    pub(crate) fn failed(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// `Err` unless everything was done.
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.code == OK { Ok(()) } else { Err(self) }
    }
}

/// Output that cannot be written. Nobody is told of a reader that has gone: it does not want to know.
impl From<io::Error> for Exit {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::failed(IO, ""),
            _ => Self::failed(IO, error.to_string()),
        }
    }
}

impl From<Result<(), Exit>> for Exit {
    fn from(result: Result<(), Exit>) -> Self {
        result.err().unwrap_or_else(Self::ok)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
