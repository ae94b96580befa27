//! The server's one binary: see [`sovereign::command`].

use std::process::ExitCode;

fn main() -> ExitCode {
    sovereign::command::run()
}
