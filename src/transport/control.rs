//! The operator's door: a Unix socket in the data directory that only the server's user can open. It speaks the same
//! Envelopes as the network, each with its length before it.

use std::{
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr},
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, net::UnixStream as BlockingUnixStream},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    net::UnixListener,
    sync::{Semaphore, watch},
};

use super::{CONTROL_CONNECTIONS_MAX, FramedLink, Sessions};
use crate::{
    private_file,
    session::{Credential, Peer},
};

/// Name of the socket in the data directory.
pub const FILE_NAME: &str = "control.sock";

/// Paths of sockets are shorter than this on every Unix (`sun_path`, with its closing zero).
const SOCKET_PATH_MAX: usize = 104;

/// The bound control socket; its file goes with it.
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Binds `data`/control.sock with mode 0600. The caller holds the directory's lock, so a socket that is there is a
    /// leftover and is replaced. Needs a tokio runtime.
    pub fn bind(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE_NAME);
        private_file::remove(&path)?;
        let directory = File::open(data)?;
        // The directory is 0700, so nobody gets in between these two.
        let listener = UnixListener::bind(short(data, &directory)?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Serves operators until `shutdown` turns true or its sender is gone.
    pub async fn serve<S: Sessions>(self, sessions: S, frame_limit: usize, mut shutdown: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            };
            let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), credential: Credential::None, operator: true };
            let session = sessions.run(FramedLink::new(stream, frame_limit), peer);
            tokio::spawn(async move {
                session.await;
                drop(place);
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = private_file::remove(&self.path) {
            tracing::debug!(%error, "the control socket's file stays behind");
        }
    }
}

/// Connects to the server that runs on `data`; an error of kind `NotFound` or `ConnectionRefused` means that none does.
pub fn connect(data: &Path) -> io::Result<BlockingUnixStream> {
    let directory = File::open(data)?;
    BlockingUnixStream::connect(short(data, &directory)?)
}

/// A path to the socket that fits a socket address. One that is too long goes through an open descriptor of the
/// directory; where the system has no such path, the error says what to do.
fn short(data: &Path, directory: &File) -> io::Result<PathBuf> {
    let path = data.join(FILE_NAME);
    if path.as_os_str().len() < SOCKET_PATH_MAX {
        return Ok(path);
    }
    let through = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    if through.exists() {
        return Ok(through.join(FILE_NAME));
    }
    let text = format!("{} is too long for a socket on this system: choose a shorter data directory", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::transport::echo::Echo;

    #[tokio::test]
    async fn serves_a_private_socket_under_a_long_path_and_takes_its_file_away() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let data = scratch.path().join("d".repeat(200));
        private_file::create_directory(&data).expect("it can be made");
        fs::write(data.join(FILE_NAME), b"").expect("a leftover");
        let socket = ControlSocket::bind(&data).expect("it can be bound");
        let mode = fs::metadata(data.join(FILE_NAME)).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let (stop, shutdown) = watch::channel(false);
        let serving = tokio::spawn(socket.serve(Echo, 64, shutdown));
        let directory = data.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let mut stream = connect(&directory).expect("it is served");
            stream.write_all(b"\0\0\0\x02hi").expect("it is read");
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).expect("it is answered");
            answer
        });
        assert_eq!(&answer.await.expect("no panic"), b"\0\0\0\x02hi");
        stop.send_replace(true);
        serving.await.expect("no panic");
        assert_eq!(connect(&data).expect_err("gone").kind(), io::ErrorKind::NotFound);
    }
}
