//! What an operator may decide: defaults < file < environment < flags. The keys stand in one table, `keys.rs`.

mod environment;
mod file;
mod keys;
mod origin;
mod print;
mod setting;

use std::{
    fmt,
    path::{Path, PathBuf},
};

pub use self::{
    keys::{Config, KEYS, Key},
    origin::Origin,
    setting::{Host, LogFormat, LogLevel, PublicUrl, RegistrationMode, WebOrigin},
};

/// Keys that a running server takes up when it is told to read its configuration again. All others wait for a restart.
pub const RELOADED: [&str; 4] = ["server_name", "registration_mode", "allowed_origins", "log_level"];

/// A flag's key and value.
pub type Override = (&'static str, String);

/// The configuration cannot be used. `Display` says where, why and what would do.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the offending value came from; `None`: it is several values together.
    pub origin: Option<Origin>,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Where values are looked for besides the defaults.
#[derive(Default)]
pub struct Sources {
    /// `--config`; without it `sovereign.toml` in the data directory, if there is one.
    pub file: Option<PathBuf>,
    /// All variables of the environment; only those of ours are read.
    pub environment: Vec<(String, String)>,
    /// Keys given as flags.
    pub flags: Vec<Override>,
}

impl Sources {
    /// The process's environment and these flags.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Override>) -> Self {
        // A variable that is no text cannot be one of ours.
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, environment: environment.collect(), flags }
    }
}

/// Reads all sources and checks the whole.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let environment = environment::values(&sources.environment)?;
    let file = match &sources.file {
        Some(path) => Some(path.clone()),
        None => default_file(&environment, &sources.flags),
    };
    if let Some(path) = file {
        file::apply(&mut config, &path)?;
    }
    for (key, value) in environment {
        config.set(key, &value, Origin::Environment(environment::variable(key)))?;
    }
    for (key, value) in &sources.flags {
        config.set(key, value, Origin::Flag(key))?;
    }
    config.check()?;
    Ok(config)
}

/// The data directory is not read from the file that lies in it.
fn default_file(environment: &[Override], flags: &[Override]) -> Option<PathBuf> {
    let named = flags.iter().chain(environment).find(|(key, _)| *key == "data");
    let data = named.map_or_else(|| Config::default().data, |(_, value)| PathBuf::from(value));
    Some(data.join("sovereign.toml")).filter(|path| path.exists())
}

impl Config {
    /// Takes from `next` what a running server can take up.
    pub fn adopt(&mut self, next: &Self) {
        for (key, value, origin) in next.effective().filter(|(key, ..)| RELOADED.contains(&key.name)) {
            self.set(key.name, &value, origin.clone()).expect("what is shown reads back");
        }
    }

    /// What several values have to agree on.
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |problem: &str| Err(ConfigError { origin: None, problem: problem.to_owned() });
        if self.tls_certificate.is_some() != self.tls_key.is_some() {
            return refuse("tls_certificate and tls_key belong together: set both, or neither for a local authority");
        }
        if self.tls_key.as_deref().is_some_and(everybody_may_read) {
            return refuse("tls_key: everybody may read this file; run chmod 600 on it");
        }
        if self.frame_bytes_max < self.message_bytes_max + 4096 {
            return refuse("frame_bytes_max has to exceed message_bytes_max by 4096 at least: a message travels in a frame");
        }
        if self.connections_per_address_max > self.connections_max {
            return refuse("connections_per_address_max is above connections_max");
        }
        if self.metrics_listen.is_some_and(|address| !address.ip().is_loopback()) {
            return refuse("metrics_listen has to be a loopback address: it speaks plain HTTP to everybody who reaches it");
        }
        if self.commit_retention_days < self.retention_days {
            return refuse(
                "commit_retention_days is below retention_days: messages cannot be read without the commits before them",
            );
        }
        Ok(())
    }
}

fn everybody_may_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o007 != 0)
}

/// The known key nearest to a mistyped one.
fn suggestion(wrong: &str) -> String {
    let nearest = KEYS.iter().map(|key| (strsim::jaro_winkler(wrong, key.name), key.name)).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, name)) if likeness > 0.75 => format!("did you mean {name}?"),
        _ => "`sovereign config print` lists all keys".to_owned(),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
