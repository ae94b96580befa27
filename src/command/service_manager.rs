//! How far the server is, told to the service manager that asks for it (`sd_notify(3)`); to nobody elsewhere.

use std::{
    env,
    ffi::OsStr,
    io,
    os::unix::{ffi::OsStrExt as _, net::UnixDatagram},
    time::Duration,
};

/// A service manager, if there is one.
pub(super) struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// Silence after which it takes this process for dead.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// As `NOTIFY_SOCKET` and `WATCHDOG_USEC` say.
    pub(super) fn of_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = socket.and_then(|name| {
            let connected = connect(&name);
            connected.inspect_err(|error| tracing::warn!(%error, "the service manager cannot be told anything")).ok()
        });
        let watchdog = env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok()).map(Duration::from_micros);
        Self { socket, watchdog: watchdog.filter(|life| !life.is_zero()) }
    }

    /// Connections are taken, by the configuration as it stands.
    pub(super) fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is read again; [`ServiceManager::ready`] follows.
    pub(super) fn reloading(&self) {
        self.tell("RELOADING=1");
    }

    /// No connection is taken any more.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The process answers.
    pub(super) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }

    /// How often [`ServiceManager::alive`] has to be told; `None`: never.
    pub(super) fn alive_interval(&self) -> Option<Duration> {
        self.socket.as_ref().and(self.watchdog).map(|life| life / 2)
    }

    /// One that does not listen misses it: this is no reason to stop.
    fn tell(&self, state: &str) {
        if let Some(Err(error)) = self.socket.as_ref().map(|socket| socket.send(state.as_bytes())) {
            tracing::debug!(%error, state, "the service manager was not told");
        }
    }
}

/// A path, or an abstract name behind an `@`.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', abstract_name @ ..] => {
            use std::os::{linux::net::SocketAddrExt as _, unix::net::SocketAddr};
            socket.connect_addr(&SocketAddr::from_abstract_name(abstract_name)?)?;
        }
        _ => socket.connect(name)?,
    }
    // A manager that reads nothing must not hold anything up.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
