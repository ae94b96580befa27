//! Events of this process, to standard error. Their fields are chosen where they are written: never a secret, a name, a
//! ciphertext or a whole identifier. Of the crates below only warnings are taken, since they know no such rule.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer as _, Registry, filter::Targets, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

use crate::config::{LogFormat, LogLevel};

/// The hand on what is written.
pub struct Telemetry(reload::Handle<Targets, Registry>);

impl Telemetry {
    /// Starts writing events. A second one in one process writes nothing.
    #[must_use]
    pub fn start(level: LogLevel, format: LogFormat) -> Self {
        let (filter, handle) = reload::Layer::new(filter(level));
        let events = fmt::layer().with_writer(std::io::stderr);
        let events = match format {
            LogFormat::Text => events.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
            LogFormat::Json => events.json().flatten_event(true).boxed(),
        };
        // Fails only where somebody has started already.
        let _ = tracing_subscriber::registry().with(events.with_filter(filter)).try_init();
        Self(handle)
    }

    /// From now on events below this level are not written.
    pub fn set_level(&self, level: LogLevel) {
        // Fails only where this one writes nothing.
        let _ = self.0.reload(filter(level));
    }
}

fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(ours.min(LevelFilter::WARN)).with_target("sovereign", ours)
}
