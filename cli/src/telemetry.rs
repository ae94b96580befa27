//! What the program says about its own workings: on stderr, warnings only unless asked for more.

use std::io;

use tracing::level_filters::LevelFilter;

/// `verbose`: how often `-v` was given.
pub(crate) fn start(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).init();
}
