//! Variables `SOVEREIGN_KEY`. No key is a secret, so there are no `SOVEREIGN_KEY_FILE` variables.

use super::{ConfigError, KEYS, Origin, Override, suggestion};

const PREFIX: &str = "SOVEREIGN_";

/// Kubernetes gives every container such variables for a service that is called `sovereign`.
const OF_KUBERNETES: [&str; 2] = ["SERVICE_", "PORT"];

/// The variable that sets a key.
pub(super) fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase())
}

/// The keys that the environment sets. A variable of ours that is no key is an error: it was meant to do something.
pub(super) fn values(environment: &[(String, String)]) -> Result<Vec<Override>, ConfigError> {
    let ours = environment.iter().filter_map(|(name, value)| Some((name, name.strip_prefix(PREFIX)?, value)));
    ours.filter(|(_, rest, _)| !OF_KUBERNETES.iter().any(|other| rest.starts_with(other)))
        .map(|(name, rest, value)| {
            let wanted = rest.to_ascii_lowercase();
            let key = KEYS.iter().find(|key| key.name == wanted).ok_or_else(|| ConfigError {
                origin: Some(Origin::Environment(name.clone())),
                problem: format!("unknown key {wanted}: {}", suggestion(&wanted)),
            })?;
            Ok((key.name, value.clone()))
        })
        .collect()
}
