//! A person's home and the `sov` binary on it, as a script would use them: exit codes and JSON lines.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use sovereign_client::{Client, Options};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{TestServer, desk::Desk, within};

/// A device of somebody: a directory of its own, which goes when this goes.
pub struct Home {
    directory: TempDir,
}

/// A `sov` that has ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// The objects of standard output.
    pub lines: Vec<Value>,
    /// Standard error.
    pub error: String,
}

/// A `sov` that runs. It is killed when this is dropped.
pub struct Running {
    child: Child,
    /// Lines that were passed over when another one was waited for.
    passed: VecDeque<Value>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Home {
    /// An empty home: nobody has joined from it.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// Joins a server by a fresh invite link.
    pub async fn join(server: &TestServer, username: &str) -> Self {
        let home = Self::new();
        let lines = home.sov(&["join", &server.invite().await, "--username", username]).await;
        assert_eq!(lines[0]["username"], username);
        home
    }

    /// The same with a password, which further devices log in with.
    pub async fn join_with_password(server: &TestServer, username: &str, password: &str) -> Self {
        let home = Self::new();
        let file = home.file("password", password);
        home.sov(&["join", &server.invite().await, "--username", username, "--password-file", &file]).await;
        home
    }

    /// Where the account lives.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// A file beside the account; its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, format!("{content}\n")).expect("the file can be written");
        path.to_str().expect("the path is UTF-8").to_owned()
    }

    /// The account through the library, without a `sov` in between. Waits until it is live.
    pub async fn client(&self) -> Client {
        let client = self.client_offline().await;
        within("the client to be live", client.wait_live()).await.expect("the client comes to be live");
        client
    }

    /// The same without waiting for the server.
    pub async fn client_offline(&self) -> Client {
        Client::open(&self.path(), Options::default()).await.expect("the account opens")
    }

    /// Runs `sov --json` to its end, which must be a good one; its lines.
    pub async fn sov(&self, arguments: &[&str]) -> Vec<Value> {
        let ran = self.try_sov(arguments).await;
        assert_eq!(ran.code, Some(0), "sov {arguments:?} failed: {}", ran.error);
        ran.lines
    }

    /// Runs `sov --json` to its end.
    pub async fn try_sov(&self, arguments: &[&str]) -> Ran {
        let output = within("a sov", self.command(arguments).output()).await.expect("sov runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
        let lines = text(output.stdout).lines().map(parse).collect();
        Ran { code: output.status.code(), lines, error: text(output.stderr) }
    }

    /// Starts a `sov --json` that goes on.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let mut child = self.command(arguments).stderr(Stdio::inherit()).spawn().expect("sov starts");
        let stdout = child.stdout.take().expect("standard output is piped");
        Running { child, passed: VecDeque::new(), lines: BufReader::new(stdout).lines() }
    }

    /// Starts `sov listen` and waits until it is live.
    pub async fn listen(&self) -> Running {
        let mut listener = self.start(&["listen"]);
        listener.until(|line| line["event"] == "state" && line["state"] == "live").await;
        listener
    }

    /// The groups as `sov groups` tells them.
    pub async fn groups(&self) -> Vec<Value> {
        self.sov(&["groups"]).await
    }

    /// Runs `sov` as people do, without `--json` and without a terminal: the exit code and standard error.
    pub async fn plainly(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = self.bare();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = within("a sov", command.output()).await.expect("sov runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("output is UTF-8"))
    }

    /// Starts `sov chat` on a terminal of so many columns and rows.
    pub fn chat(&self, columns: u16, rows: u16) -> Desk {
        let mut command = self.bare();
        command.arg("chat").env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
        Desk::start(command, columns, rows)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare();
        command.arg("--json").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn bare(&self) -> Command {
        let mut command = Command::new(binary());
        command.arg("--home").arg(self.path());
        command.env_remove("XDG_DATA_HOME").env_remove("RUST_LOG").kill_on_drop(true);
        command
    }
}

impl Running {
    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Option<Value> {
        if let Some(line) = self.passed.pop_front() {
            return Some(line);
        }
        self.read().await
    }

    /// The first line that is wanted. Those passed over stay for those who want them.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.passed.iter().position(&wanted) {
            return self.passed.remove(at).expect("it was just found");
        }
        // In all, and not for each line: there may always be one more that nobody wants.
        within("the line that is wanted", async {
            loop {
                let line = self.read().await.expect("sov goes on");
                if wanted(&line) {
                    return line;
                }
                self.passed.push_back(line);
            }
        })
        .await
    }

    async fn read(&mut self) -> Option<Value> {
        let line = within("a line of sov", self.lines.next_line()).await.expect("standard output is readable");
        line.as_deref().map(parse)
    }

    /// The first line of this kind.
    pub async fn event(&mut self, kind: &str) -> Value {
        self.until(|line| line["event"] == kind).await
    }

    /// Sender and text of the next message.
    pub async fn message(&mut self) -> (String, String) {
        said(&self.event("message").await)
    }

    /// Everything up to the end, and the exit code.
    pub async fn rest(mut self) -> (Vec<Value>, Option<i32>) {
        let mut lines = Vec::new();
        while let Some(line) = self.next().await {
            lines.push(line);
        }
        let status = within("the end of sov", self.child.wait()).await.expect("sov ends");
        (lines, status.code())
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("sov can be killed");
    }
}

/// Sender and text of a message line.
pub fn said(line: &Value) -> (String, String) {
    (text(&line["from"]), text(&line["text"]))
}

/// A string of a line.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

/// The names of a group line's members, sorted.
pub fn members(group: &Value) -> Vec<String> {
    let mut names: Vec<String> =
        group["members"].as_array().expect("members").iter().map(|member| text(&member["name"])).collect();
    names.sort_unstable();
    names
}

/// Beside the server's binary.
pub fn binary() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_sovereign")).with_file_name("sov");
    assert!(path.exists(), "there is no sov beside the server's binary: run `cargo build --workspace --bins` first");
    path
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("sov printed {line:?}: {error}"))
}
