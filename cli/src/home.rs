//! Where a device lives on disk, and the address of the socket in there.

use std::{
    env, fs, io,
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

/// Paths of sockets are shorter than this on every Unix (`sun_path`, with its closing zero).
const SOCKET_PATH_MAX: usize = 104;

/// `$XDG_DATA_HOME/sov`, else `~/.local/share/sov`; `None` where neither variable is set.
pub(crate) fn default_home() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = set("XDG_DATA_HOME").filter(|path| path.is_absolute());
    data.or_else(|| set("HOME").map(|home| home.join(".local/share"))).map(|data| data.join("sov"))
}

/// The socket on which the owner of a home serves other `sov` commands.
pub(crate) struct AgentSocket {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// A name for it that is short enough to bind and to connect to.
    pub(crate) address: PathBuf,
    /// What the short name goes through.
    _directory: Option<fs::File>,
}

impl AgentSocket {
    /// `HOME/agent.sock`. A path too long for a socket is addressed through an open descriptor of the directory.
    pub(crate) fn of(home: &Path) -> io::Result<Self> {
        let path = home.join("agent.sock");
        if path.as_os_str().as_bytes().len() < SOCKET_PATH_MAX {
            return Ok(Self { address: path.clone(), path, _directory: None });
        }
        let directory = fs::File::open(home)?;
        let through = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        if !through.exists() {
            let text = format!("{} is too long for a socket on this system; choose a shorter --home", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self { path, address: through.join("agent.sock"), _directory: Some(directory) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_home_gets_a_short_address() {
        let short = AgentSocket::of(Path::new("/h")).expect("short");
        assert_eq!(short.address, Path::new("/h/agent.sock"));
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join("x".repeat(120));
        fs::create_dir(&home).expect("made");
        let long = AgentSocket::of(&home).expect("long");
        assert!(long.address.as_os_str().len() < SOCKET_PATH_MAX);
        assert_eq!(long.path, home.join("agent.sock"));
    }
}
