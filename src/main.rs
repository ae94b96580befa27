//! The server's one binary: see [`sovereign::command`].

use std::process::ExitCode;

/// What one thread allocates another one frees, all the time: the writer for sessions, sessions for the writer. The
/// system's allocator takes a quarter of a message's time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sovereign::command::run()
}
