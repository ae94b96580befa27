//! What the program says about its own workings: on stderr, warnings only unless asked for more.

use std::io::{self, IsTerminal as _};

use tracing::level_filters::LevelFilter;

/// `verbose`: how often `-v` was given. A command that has the whole screen says nothing on it: redirect stderr to read on.
pub(crate) fn start(verbose: u8, full_screen: bool) {
    if full_screen && io::stderr().is_terminal() {
        return;
    }
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).init();
}
