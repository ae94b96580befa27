//! The server under torture: the real binary on a directory of its own.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use sovereign_client::clock::monotonic;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

/// Longest wait for a server to take connections, or to end.
const DEADLINE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Bytes of the server's last words that are passed on when it does not start.
const LAST_WORDS: usize = 2000;

/// A server process. It is killed when this is dropped.
pub(crate) struct Server {
    binary: PathBuf,
    directory: PathBuf,
    /// Further arguments of `serve`, and variables.
    arguments: Vec<String>,
    variables: Vec<(OsString, OsString)>,
    child: Option<Child>,
    /// Of 127.0.0.1; the same after every start.
    pub(crate) port: u16,
}

impl Server {
    /// Starts on an empty directory.
    pub(crate) async fn start(
        binary: PathBuf,
        directory: PathBuf,
        arguments: Vec<String>,
        variables: Vec<(OsString, OsString)>,
    ) -> io::Result<Self> {
        let mut server = Self { binary, directory, arguments, variables, child: None, port: 0 };
        server.restart().await?;
        Ok(server)
    }

    /// Starts again on the same directory and port; how long it took until it listened.
    pub(crate) async fn restart(&mut self) -> io::Result<Duration> {
        let begun = monotonic();
        let log = fs::File::options().create(true).append(true).open(self.directory.join("server.log"))?;
        let mut command = self.command(&["serve", "--listen", &format!("127.0.0.1:{}", self.port)]);
        command.args(&self.arguments).envs(self.variables.iter().cloned()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: the Ctrl-C of a terminal is meant for the run, which ends the server in its own way.
        let mut child = command.kill_on_drop(true).process_group(0).spawn()?;
        let pid = child.id();
        let ready = async {
            loop {
                if let Some(port) = self.ready(pid) {
                    return Ok(port);
                }
                if let Some(status) = child.try_wait()? {
                    return Err(io::Error::other(format!("the server ended at once ({status}): {}", self.last_words())));
                }
                sleep(LOOK_EVERY).await;
            }
        };
        let late = |_| Err(io::Error::other(format!("the server takes no connections: {}", self.last_words())));
        self.port = timeout(DEADLINE, ready).await.unwrap_or_else(late)?;
        self.child = Some(child);
        Ok(begun.elapsed())
    }

    /// SIGKILL, and waits for the end.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        match self.child.take() {
            Some(mut child) => child.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM, and waits for the end; the exit code.
    pub(crate) async fn terminate(&mut self) -> io::Result<Option<i32>> {
        self.signal(Signal::TERM)?;
        let Some(mut child) = self.child.take() else { return Ok(None) };
        let status = timeout(DEADLINE, child.wait()).await;
        let status = status.map_err(|_| io::Error::other("the server does not end on SIGTERM"))??;
        Ok(status.code())
    }

    /// Any other signal.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = self.child.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("the server does not run"))?;
        Ok(kill_process(id, signal)?)
    }

    /// How it ended, if it did by itself.
    pub(crate) fn ended(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        let status = self.child.as_mut().map_or(Ok(None), Child::try_wait)?;
        if status.is_some() {
            self.child = None;
        }
        Ok(status)
    }

    /// The exit code, if it ends by itself within this time.
    pub(crate) async fn end_within(&mut self, time: Duration) -> io::Result<Option<Option<i32>>> {
        let Some(child) = self.child.as_mut() else { return Ok(None) };
        match timeout(time, child.wait()).await {
            Ok(status) => {
                self.child = None;
                Ok(Some(status?.code()))
            }
            Err(_) => Ok(None),
        }
    }

    /// Runs an operator's verb; its standard output.
    pub(crate) async fn operate(&self, arguments: &[&str]) -> io::Result<String> {
        let output = timeout(DEADLINE, self.command(arguments).output()).await;
        let output = output.map_err(|_| io::Error::other(format!("sovereign {} does not end", arguments.join(" "))))??;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(io::Error::other(format!("sovereign {}: {}", arguments.join(" "), words.trim())));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Where it keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// What it said last.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(self.directory.join("server.log")).unwrap_or_default();
        let from = log.len().saturating_sub(LAST_WORDS);
        log[log.ceil_char_boundary(from)..].trim().to_owned()
    }

    fn ready(&self, pid: Option<u32>) -> Option<u16> {
        let ready: serde_json::Value = serde_json::from_slice(&fs::read(self.data().join("ready.json")).ok()?).ok()?;
        let url = ready["url"].as_str().filter(|_| ready["pid"].as_u64() == pid.map(u64::from))?;
        url.rsplit(':').next()?.parse().ok()
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
}

/// The server's binary: the named one, else the one beside this program.
pub(crate) fn find(named: Option<&Path>) -> io::Result<PathBuf> {
    let path = match named {
        Some(named) => named.to_owned(),
        None => std::env::current_exe()?.with_file_name("sovereign"),
    };
    if path.is_file() {
        return std::path::absolute(path);
    }
    let text =
        format!("there is no server at {}: build it (cargo build --bin sovereign), or name it with --server", path.display());
    Err(io::Error::new(io::ErrorKind::NotFound, text))
}
