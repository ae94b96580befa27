//! The server's own binary, started on a directory of its own, killed and started again as a test likes.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sovereign_client::join_link::{Endpoint, JoinLink};
use tempfile::TempDir;
use tokio::{
    net::TcpSocket,
    process::{Child, Command},
    sync::OnceCell,
};

use super::{Carrier, eventually, faulty_disk::FaultyDisk, middlebox::Middlebox, watchdog, within};

/// A running server with its data directory, which goes when this goes.
pub struct TestServer {
    directory: TempDir,
    child: Option<Child>,
    /// `127.0.0.1:PORT`; kept over restarts.
    pub address: String,
    /// Nobody else is given the port while the server is away.
    _port: TcpSocket,
    arguments: Vec<String>,
    environment: Vec<(&'static str, PathBuf)>,
    /// What carries raw connections; people reach the server as it says, too.
    pub carrier: Carrier,
    /// Cuts the `WebSockets` of people, where requests are to carry everything.
    middlebox: OnceCell<Middlebox>,
    /// Learned from a link when somebody asks for it first.
    endpoint: OnceCell<Endpoint>,
}

impl TestServer {
    /// Starts with the default configuration.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts with further arguments of `serve`.
    pub async fn start_with(arguments: &[&str]) -> Self {
        Self::over(Carrier::chosen(), arguments).await
    }

    /// Starts with further arguments of `serve`, for connections of one kind.
    pub async fn over(carrier: Carrier, arguments: &[&str]) -> Self {
        let mut server = Self::new(tempfile::tempdir().expect("a temporary directory"), arguments);
        server.carrier = carrier;
        server.restart().await;
        server
    }

    /// Starts with further arguments of `serve`, and variables of the environment.
    pub async fn start_as(arguments: &[&str], environment: Vec<(&'static str, PathBuf)>) -> Self {
        let mut server = Self::new(tempfile::tempdir().expect("a temporary directory"), arguments);
        server.environment = environment;
        server.restart().await;
        server
    }

    /// Starts on what somebody else has left in `data/` below this directory, if anything.
    pub async fn start_in(directory: TempDir) -> Self {
        let mut server = Self::new(directory, &[]);
        server.restart().await;
        server
    }

    /// Starts on a disk that keeps a record and fails on request.
    pub async fn start_on_faulty_disk(arguments: &[&str]) -> (Self, FaultyDisk) {
        let mut server = Self::new(tempfile::tempdir().expect("a temporary directory"), arguments);
        let disk = FaultyDisk::below(server.directory.path());
        server.environment = disk.environment().into();
        server.restart().await;
        (server, disk)
    }

    fn new(directory: TempDir, arguments: &[&str]) -> Self {
        watchdog::watch();
        let port = reserved_port();
        Self {
            directory,
            child: None,
            address: port.local_addr().expect("it is bound").to_string(),
            _port: port,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: Vec::new(),
            carrier: Carrier::chosen(),
            middlebox: OnceCell::new(),
            endpoint: OnceCell::new(),
        }
    }

    /// Where the server keeps its data.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What the server has written to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).expect("the log is readable")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// Further arguments of `serve` from the next start on.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    }

    /// Starts (again) on the same directory and the same port.
    pub async fn restart(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        let log = fs::File::options().create(true).append(true).open(self.log_path()).expect("the log can be written");
        let output = log.try_clone().expect("a second handle of the log");
        let child = unconfigured(Path::new(env!("CARGO_BIN_EXE_sovereign")))
            .args(["serve", "--listen", &self.address, "--data"])
            .arg(self.data())
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the server's binary starts");
        self.child = Some(child);
        let ready = eventually("ready.json", || async { self.ready() }).await;
        let url = ready["url"].as_str().expect("ready.json has a url").to_owned();
        assert_eq!(url.rsplit(':').next(), self.address.rsplit(':').next(), "it listens where it was told to");
    }

    /// The ready file of the running process, if it is there.
    fn ready(&self) -> Option<Value> {
        let pid = self.child.as_ref().and_then(Child::id)?;
        let ready: Value = serde_json::from_slice(&fs::read(self.data().join("ready.json")).ok()?).ok()?;
        (ready["pid"] == pid).then_some(ready)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("the server runs")
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().await.expect("the server can be killed");
    }

    /// Puts a backup in the place of a server that does not run, and starts it. What was there lies beside it.
    pub async fn restore(&mut self, backup: &Path) {
        assert!(self.child.is_none(), "the server still runs");
        let aside = (0..).map(|number| self.directory.path().join(format!("data.old-{number}")));
        let aside = aside.into_iter().find(|path| !path.exists()).expect("some name is free");
        fs::rename(self.data(), aside).expect("the old directory can be moved aside");
        self.operate(&["restore", backup.to_str().expect("the path is UTF-8")]).await;
        self.restart().await;
    }

    /// A backup of the server as it is; where it is.
    pub async fn backup(&self, name: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        self.operate(&["backup", path.to_str().expect("the path is UTF-8")]).await;
        path
    }

    /// SIGTERM; the exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Sends the process a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a process id is not 0");
        kill_process(pid, signal).expect("the signal is sent");
    }

    /// Whether the process has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        let child = self.child.as_mut().expect("the server was started");
        child.try_wait().expect("it can be asked for").is_none()
    }

    /// Waits until the process has ended by itself; the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        self.exit().await.code()
    }

    /// Waits until the process has ended; how.
    pub async fn exit(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        within("the server's end", child.wait()).await.expect("the server ends")
    }

    /// Runs an operator's verb on this server's data directory; its standard output.
    pub async fn operate(&self, arguments: &[&str]) -> String {
        let (code, output, error) = self.try_operate(arguments).await;
        assert_eq!(code, Some(0), "sovereign {arguments:?} failed: {error}");
        output
    }

    /// The same; exit code, standard output and standard error.
    pub async fn try_operate(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        run(Path::new(env!("CARGO_BIN_EXE_sovereign")), arguments, &self.data()).await
    }

    /// A fresh invite link. Where requests carry everything, it leads through a network that cuts `WebSockets`.
    pub async fn invite(&self) -> String {
        let link = self.operate(&["invite", "create", "--uses", "1000"]).await.trim().to_owned();
        match self.carrier {
            Carrier::WebSocket => link,
            Carrier::Exchange => self.middlebox.get_or_init(|| Middlebox::start(self)).await.lead(&link),
        }
    }

    /// Where it is reached and by what it is recognised.
    #[allow(dead_code, reason = "the benches ask for it")]
    pub async fn endpoint(&self) -> Endpoint {
        let learned = async || self.invite().await.parse::<JoinLink>().expect("a link of the server's own").endpoint;
        self.endpoint.get_or_init(learned).await.clone()
    }

    /// The code in a fresh invite link.
    pub async fn invite_code(&self) -> String {
        let link = self.invite().await;
        let code = link.split(['#', '&']).find_map(|part| part.strip_prefix("c="));
        code.expect("the link has a code").to_owned()
    }
}

/// A failing test tells what its server said last.
impl Drop for TestServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log_path()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            println!("the server's last words:\n{}", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}

/// A port that is bound and not listened on: who asks for any port, or connects from any, gets another one, and whoever asks
/// for this one may listen on it. Both sides have to allow it, which listeners do.
fn reserved_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("it can be shared");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    socket
}

/// A program that nothing of this process's surroundings configures.
fn unconfigured(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SOVEREIGN_")) {
        command.env_remove(name);
    }
    command
}

async fn run(program: &Path, arguments: &[&str], data: &Path) -> (Option<i32>, String, String) {
    let output = unconfigured(program).args(arguments).arg("--data").arg(data).stdin(Stdio::null()).output();
    let output = within("an operator's verb", output).await.expect("the verb runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
