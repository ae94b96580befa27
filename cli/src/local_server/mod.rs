//! A server of one's own, for `demo` and `load`: the real binary on a free port of this machine, in a directory that goes
//! when it goes.

mod binary;
mod interrupt;
mod scratch;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

pub(crate) use self::{binary::find, interrupt::interrupted, scratch::Scratch};
use crate::exit::{self, Exit};

/// Longest wait for a server to take connections.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How often the file is looked for by which a server says that it does.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Bytes of the server's last words that are passed on when it does not start.
const LAST_WORDS: usize = 600;

/// A server process on a directory. It is killed when this is dropped.
pub(crate) struct LocalServer {
    binary: PathBuf,
    directory: PathBuf,
    /// Further arguments of `serve`.
    arguments: Vec<String>,
    child: Option<Child>,
    /// `HTTPS` address, as the server tells it.
    pub(crate) url: String,
    port: u16,
}

impl LocalServer {
    /// Starts on an empty directory and a free port of the loopback address.
    pub(crate) async fn start(binary: PathBuf, directory: &Path, arguments: &[&str]) -> Result<Self, Exit> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { binary, directory: directory.to_owned(), arguments, child: None, url: String::new(), port: 0 };
        server.restart().await?;
        Ok(server)
    }

    /// Starts again after [`LocalServer::kill`]: same directory, same port.
    pub(crate) async fn restart(&mut self) -> Result<(), Exit> {
        let log = fs::File::options().create(true).append(true).open(self.log())?;
        let mut command = self.command(&["serve", "--listen", &format!("127.0.0.1:{}", self.port)]);
        command.args(&self.arguments).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let cannot =
            |error: io::Error| Exit::failed(exit::UNAVAILABLE, format!("{} cannot be run: {error}", self.binary.display()));
        let mut child = command.spawn().map_err(cannot)?;
        let pid = child.id();
        let ready = async {
            loop {
                if let Some(url) = self.ready(pid) {
                    return Ok(url);
                }
                if let Some(status) = child.try_wait()? {
                    return Err(self.not_started(&format!("ended at once ({status})")));
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let url = timeout(START_DEADLINE, ready).await.unwrap_or_else(|_| Err(self.not_started("takes no connections")))?;
        self.port = url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
        self.url = url;
        self.child = Some(child);
        Ok(())
    }

    /// SIGKILL, at once: no goodbye, no chance to write anything.
    pub(crate) fn start_kill(&mut self) -> io::Result<()> {
        self.child.as_mut().map_or(Ok(()), Child::start_kill)
    }

    /// The same; returns when the process is gone, with how it ended.
    pub(crate) async fn kill(&mut self) -> io::Result<String> {
        self.start_kill()?;
        let Some(mut child) = self.child.take() else { return Ok("not running".to_owned()) };
        Ok(child.wait().await?.to_string())
    }

    /// A fresh invite link for so many people.
    pub(crate) async fn invite(&self, uses: usize) -> Result<String, Exit> {
        let output = self.command(&["invite", "create", "--uses", &uses.to_string()]).output().await?;
        if !output.status.success() {
            return Err(Exit::failed(exit::FAILED, format!("no invite: {}", String::from_utf8_lossy(&output.stderr).trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The process id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// The binary that runs.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where the server keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("server")
    }

    /// What the server says.
    pub(crate) fn log(&self) -> PathBuf {
        self.directory.join("server.log")
    }

    /// The binary on the data directory, and nothing of this process's surroundings that would configure it.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SOVEREIGN_") {
                command.env_remove(name);
            }
        }
        command.args(arguments).arg("--data").arg(self.data()).current_dir(&self.directory).stdin(Stdio::null());
        command
    }

    /// The address from the ready file, if that was written by this process.
    fn ready(&self, pid: Option<u32>) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Ready {
            url: String,
            pid: u32,
        }
        let ready: Ready = serde_json::from_slice(&fs::read(self.data().join("ready.json")).ok()?).ok()?;
        (Some(ready.pid) == pid).then_some(ready.url)
    }

    fn not_started(&self, what: &str) -> Exit {
        let log = fs::read(self.log()).unwrap_or_default();
        let words = String::from_utf8_lossy(&log[log.len().saturating_sub(LAST_WORDS)..]).trim().to_owned();
        let words = if words.is_empty() { String::new() } else { format!("; its last words:\n{words}") };
        Exit::failed(exit::UNAVAILABLE, format!("the server {} {what}{words}", self.binary.display()))
    }
}
