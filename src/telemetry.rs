//! Events of this process, to standard error. Their fields are chosen where they are written: never a secret, a name, a
//! ciphertext or a whole identifier. Of the crates below only warnings are taken, since they know no such rule.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{LogFormat, LogLevel};

/// Starts writing events. A second call in one process changes nothing.
pub fn start(level: LogLevel, format: LogFormat) {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_default(ours.min(LevelFilter::WARN)).with_target("sovereign", ours);
    let events = fmt::layer().with_writer(std::io::stderr);
    let events = match format {
        LogFormat::Text => events.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LogFormat::Json => events.json().flatten_event(true).boxed(),
    };
    // Fails only where somebody has started already.
    let _ = tracing_subscriber::registry().with(events.with_filter(filter)).try_init();
}
