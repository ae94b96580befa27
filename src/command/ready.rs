//! `ready.json`: how scripts learn that the server accepts, and where.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::private_file;

/// The file of a running server; it is removed with this.
pub(super) struct Ready(PathBuf);

impl Ready {
    /// Removes what a killed server may have left. Only for whoever holds the directory's lock.
    pub(super) fn clear(data: &Path) -> io::Result<()> {
        private_file::remove(&data.join("ready.json"))
    }

    /// Puts the file there, by rename.
    pub(super) fn announce(data: &Path, url: &str, metrics: Option<SocketAddr>) -> io::Result<Self> {
        let path = data.join("ready.json");
        let mut content = serde_json::json!({ "url": url, "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION") });
        if let Some(address) = metrics {
            content["metrics"] = format!("http://{address}/metrics").into();
        }
        private_file::write(&path, format!("{content}\n").as_bytes())?;
        Ok(Self(path))
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let Err(error) = private_file::remove(&self.0) {
            tracing::warn!(%error, "ready.json stays behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_goes_with_the_server() {
        let data = tempfile::tempdir().expect("a scratch directory");
        let path = data.path().join("ready.json");
        std::fs::write(&path, "stale").expect("it can be written");
        Ready::clear(data.path()).expect("it can be removed");
        assert!(!path.exists());
        let ready = Ready::announce(data.path(), "https://localhost:1", None).expect("it can be written");
        let content: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).expect("it is there")).expect("it is JSON");
        assert_eq!((&content["url"], &content["pid"]), (&"https://localhost:1".into(), &std::process::id().into()));
        drop(ready);
        assert!(!path.exists());
    }
}
