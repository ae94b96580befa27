//! Which web pages may connect. Programs send no `Origin`; browsers always do, and React Native sends the endpoint's own.

use std::sync::{Arc, PoisonError, RwLock};

/// The allowed origins, normalised. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    allowed: Arc<RwLock<Vec<String>>>,
}

impl Origins {
    /// `origins` are `https://host[:port]` as browsers send them; entries that are none are passed over.
    pub fn new<S: AsRef<str>>(origins: impl IntoIterator<Item = S>) -> Self {
        let new = Self::default();
        new.replace(origins);
        new
    }

    /// From now on these may connect, and no others. Connections that stand are left alone.
    pub fn replace<S: AsRef<str>>(&self, origins: impl IntoIterator<Item = S>) {
        let allowed = origins.into_iter().filter_map(|origin| normalised(origin.as_ref())).collect();
        *self.allowed.write().unwrap_or_else(PoisonError::into_inner) = allowed;
    }

    /// Whether a page of this origin may connect. `null` (sandboxed frames, local files) never may.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        normalised(origin).is_some_and(|origin| self.allowed.read().unwrap_or_else(PoisonError::into_inner).contains(&origin))
    }
}

/// `https://host:port` in lower case, with `wss` as `https` and `ws` as `http`; `None` if it is not of that shape.
fn normalised(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let (scheme, default_port) = match scheme {
        "https" | "wss" => ("https", "443"),
        "http" | "ws" => ("http", "80"),
        _ => return None,
    };
    if authority.is_empty() || authority.contains(['/', '@', '?', '#', ' ', ',']) {
        return None;
    }
    let after_address = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let has_port = authority[after_address..].contains(':');
    Some(if has_port { format!("{scheme}://{authority}") } else { format!("{scheme}://{authority}:{default_port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_scheme_host_and_port_and_nothing_looser() {
        let origins = Origins::new(["https://Chat.example", "https://localhost:8443", "https://[::1]:8443"]);
        for allowed in [
            "https://chat.example",
            "https://chat.example:443",
            "wss://CHAT.example",
            "https://localhost:8443",
            "https://[::1]:8443",
        ] {
            assert!(origins.allows(allowed), "{allowed}");
        }
        let foreign = [
            "null",
            "",
            "https://",
            "http://chat.example",
            "https://chat.example.evil.example",
            "https://evil.example/https://chat.example",
            "https://chat.example:8443",
            "https://x@chat.example",
            "https://chat.example, https://evil.example",
            "https://localhost",
            "file://",
        ];
        for foreign in foreign {
            assert!(!origins.allows(foreign), "{foreign}");
        }
    }
}
