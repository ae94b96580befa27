//! Somebody before a terminal: a program on a pseudo-terminal, the keys that are pressed, and what the screen shows.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Read as _, Write as _},
    num::NonZeroU16,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    process::Stdio,
    thread,
};

use rustix::{
    fs::{Mode, OFlags},
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
};

use super::within;

/// A program on a terminal. It is killed when this is dropped.
pub struct Desk {
    child: Child,
    terminal: File,
    output: mpsc::Receiver<Vec<u8>>,
    parser: vt100::Parser,
}

impl Desk {
    /// Starts the program on a terminal of so many columns and rows.
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("it may be opened");
        let name = ptsname(&terminal, Vec::new()).expect("it has a name");
        let path = OsStr::from_bytes(name.as_bytes());
        let open = || rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty());
        let end = || Stdio::from(open().expect("its other end opens"));
        // Held until the program has it, so that it does not count as closed before.
        let held: OwnedFd = open().expect("its other end opens");
        resize(&terminal, columns, rows);
        let child = command.stdin(end()).stdout(end()).stderr(Stdio::piped()).spawn().expect("the program starts");
        drop((held, command));
        let terminal = File::from(terminal);
        let (tell, output) = mpsc::channel(64);
        let mut reader = terminal.try_clone().expect("a second handle");
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The terminal is gone with the program.
            while let Ok(length) = reader.read(&mut buffer) {
                if length == 0 || tell.blocking_send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, terminal, output, parser: vt100::Parser::new(cells(rows), cells(columns), 0) }
    }

    /// Presses keys, as a terminal sends them.
    pub fn press(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Types a line and Enter.
    pub fn enter(&mut self, line: &str) {
        self.press(&format!("{line}\r"));
    }

    /// Another size, as when somebody pulls at the window.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        resize(&self.terminal, columns, rows);
        self.parser = vt100::Parser::new(cells(rows), cells(columns), 0);
        self.signal(Signal::WINCH);
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("the program runs");
        kill_process(id, signal).expect("it can be told");
    }

    /// What stands on the screen.
    pub fn text(&self) -> String {
        self.parser.screen().contents()
    }

    /// Waits until the screen shows a text.
    pub async fn shows(&mut self, text: &str) {
        self.until(text, |screen| screen.contains(text)).await;
    }

    /// Waits until the screen shows it no more.
    pub async fn hides(&mut self, text: &str) {
        self.until(text, |screen| !screen.contains(text)).await;
    }

    async fn until(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        let shown = async {
            while !wanted(&self.parser.screen().contents()) {
                let Some(bytes) = self.output.recv().await else { return false };
                self.parser.process(&bytes);
            }
            true
        };
        // In all, and not for each change: a screen may always change once more.
        let shown = tokio::time::timeout(super::PATIENCE, shown).await;
        let text = self.text();
        match shown {
            Ok(true) => {}
            Ok(false) => panic!("the program ended while {what:?} was waited for:\n{text}"),
            Err(elapsed) => panic!("waited for {what:?} ({elapsed}); the screen is\n{text}"),
        }
    }

    /// Waits for the program's end: its exit code, and what it said on standard error. The terminal must be as it was.
    pub async fn end(mut self) -> (Option<i32>, String) {
        within("the last of the screen", async {
            while let Some(bytes) = self.output.recv().await {
                self.parser.process(&bytes);
            }
        })
        .await;
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen() && !screen.bracketed_paste() && !screen.hide_cursor(), "the terminal is as it was");
        let output = within("the end of the program", self.child.wait_with_output()).await.expect("it can be waited for");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn resize(terminal: impl std::os::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).expect("it takes a size");
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has cells")
}
