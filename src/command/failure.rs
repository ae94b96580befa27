//! How a verb fails: an exit code for scripts, a sentence for people.

use std::{fmt, process::ExitCode};

use crate::{auth::server_key::ServerKeyError, config::ConfigError, store::OpenError, transport::tls::TlsError};

/// Exit codes, after sysexits.h where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// `sovereign doctor` found something that has to be mended.
    Unwell = 1,
    /// Wrong arguments.
    Usage = 64,
    /// A panic.
    Bug = 70,
    /// A file, a socket or the disk.
    Io = 74,
    /// Another process holds the data directory.
    Running = 75,
    /// The configuration, or a database of a newer version.
    Configuration = 78,
}

/// A verb that was not done.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    message: Option<String>,
}

impl Failure {
    /// Printed as `sovereign: message`.
    pub(super) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: Some(message.to_string()) }
    }

    /// For what has been printed already.
    pub(super) fn silent(exit: Exit) -> Self {
        Self { exit, message: None }
    }

    /// An error of the system, with what was attempted.
    pub(super) fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Exit::Io, format_args!("{what}: {error}"))
    }

    /// Tells people on standard error, and gives the code for scripts.
    pub(super) fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            eprintln!("sovereign: {message}");
        }
        ExitCode::from(self.exit as u8)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Configuration, error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let exit = match error {
            OpenError::Locked => Exit::Running,
            OpenError::Newer { .. } | OpenError::Foreign => Exit::Configuration,
            OpenError::Io(_) | OpenError::Engine(_) => Exit::Io,
        };
        Self::new(exit, error)
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        let exit = if matches!(error, TlsError::Io(..)) { Exit::Io } else { Exit::Configuration };
        Self::new(exit, error)
    }
}

impl From<ServerKeyError> for Failure {
    fn from(error: ServerKeyError) -> Self {
        Self::new(Exit::Io, error)
    }
}
