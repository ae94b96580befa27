use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

fn sources(file: &str, environment: &[(&str, &str)], flags: &[(&'static str, &str)]) -> (tempfile::TempDir, Sources) {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let path = scratch.path().join("sovereign.toml");
    fs::write(&path, file).expect("it can be written");
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let flags = flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    (scratch, Sources { file: Some(path), environment, flags })
}

fn problem(file: &str, environment: &[(&str, &str)]) -> String {
    let (_scratch, sources) = sources(file, environment, &[]);
    load(&sources).expect_err("it is wrong").to_string()
}

#[test]
fn the_defaults_are_good_and_few() {
    let config = Config::default();
    assert!(config.check().is_ok());
    assert!(KEYS.len() < 40);
    assert!(config.effective().all(|(key, value, origin)| value == key.default && *origin == Origin::Default));
}

#[test]
fn the_later_source_wins() {
    let (_scratch, sources) = sources(
        "server_name = \"file\"\ntoken_days = 7\nretention_days = 10\nallowed_origins = [\"https://a.example\", \"https://b.example\"]",
        &[
            ("SOVEREIGN_TOKEN_DAYS", "8"),
            ("SOVEREIGN_RETENTION_DAYS", "11"),
            ("SOVEREIGN_PORT", "tcp://10.0.0.1:8443"),
            ("HOME", "/"),
        ],
        &[("retention_days", "12")],
    );
    let config = load(&sources).expect("it is good");
    assert_eq!((config.server_name.as_str(), config.token_days, config.retention_days), ("file", 8, 12));
    let origins: Vec<_> = config.allowed_origins.iter().map(WebOrigin::as_str).collect();
    assert_eq!(origins, ["https://a.example", "https://b.example"]);
    let origin = |name: &str| config.effective().find(|(key, ..)| key.name == name).map(|(_, _, origin)| origin.to_string());
    assert!(origin("server_name").is_some_and(|origin| origin.ends_with("sovereign.toml:1")));
    assert_eq!(origin("token_days").as_deref(), Some("SOVEREIGN_TOKEN_DAYS"));
    assert_eq!(origin("retention_days").as_deref(), Some("--retention-days"));
    assert_eq!(origin("listen").as_deref(), Some("default"));
}

#[test]
fn the_file_of_the_data_directory_is_found() {
    let (scratch, mut sources) = sources("server_name = \"home\"", &[], &[]);
    sources.file = None;
    sources.flags = vec![("data", scratch.path().display().to_string())];
    assert_eq!(load(&sources).expect("it is good").server_name, "home");
    sources.file = Some(scratch.path().join("missing.toml"));
    assert!(load(&sources).is_err(), "a file that is asked for has to exist");
}

#[test]
fn unknown_keys_name_the_line_and_what_was_meant() {
    let told = problem("# a comment\n\nregistration_mod = \"open\"\n", &[]);
    assert!(told.contains("sovereign.toml:3: ") && told.contains("did you mean registration_mode?"), "{told}");
    let told = problem("", &[("SOVEREIGN_LISTN", "0.0.0.0:1")]);
    assert!(told.contains("SOVEREIGN_LISTN: ") && told.contains("did you mean listen?"), "{told}");
    let told = problem("qqqq = 1", &[]);
    assert!(told.contains("config print"), "{told}");
    assert!(problem("[listen]\nport = 1", &[]).contains("unknown table"));
    assert!(problem("listen = ", &[]).contains("sovereign.toml:1: "));
}

#[test]
fn zero_huge_and_senseless_values_are_refused_with_what_would_do() {
    let rows = [
        ("connections_max = 0", "from 1 to 1000000"),
        ("heartbeat_interval_seconds = 0", "from 1 to 3600"),
        ("retention_days = 99999999", "from 1 to 3650"),
        ("message_bytes_max = -1", "a whole number"),
        ("message_bytes_max = 4_000_000", "frame_bytes_max"),
        ("retention_days = 365", "commit_retention_days"),
        ("registration_mode = \"maybe\"", "one of: invite, open, closed"),
        ("listen = \"localhost\"", "ADDRESS:PORT"),
        ("public_url = \"http://chat.example\"", "https://HOST"),
        ("public_url = \"https://chat.example/path\"", "https://HOST"),
        ("public_url = \"https://-a.example\"", "https://HOST"),
        ("allowed_origins = [\"*\"]", "https://HOST"),
        ("server_name = \"a\\nb\"", "without controls"),
        ("tls_1_2 = \"yes\"", "true or false"),
        ("tls_certificate = \"c.pem\"", "belong together"),
        ("token_days = 1.5", "a text, a number"),
    ];
    for (file, expected) in rows {
        let told = problem(file, &[]);
        assert!(told.contains(expected), "{file}: {told}");
    }
}

#[test]
fn public_urls_are_normalised() {
    for (written, meant) in [
        ("https://Chat.Example/", "https://chat.example"),
        ("https://chat.example:443", "https://chat.example"),
        ("https://chat.example:8443", "https://chat.example:8443"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
    ] {
        let (_scratch, sources) = sources("", &[], &[("public_url", written)]);
        let config = load(&sources).expect("it is good");
        assert_eq!(config.public_url.map(|url| url.to_string()).as_deref(), Some(meant));
    }
}

#[test]
fn a_key_file_that_everybody_may_read_is_refused() {
    let (scratch, mut sources) = sources("", &[], &[]);
    let key = scratch.path().join("key.pem");
    fs::write(&key, "").expect("it can be written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("it can be changed");
    sources.flags = vec![("tls_certificate", "c.pem".into()), ("tls_key", key.display().to_string())];
    assert!(load(&sources).expect_err("it is open").to_string().contains("chmod 600"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it can be changed");
    assert!(load(&sources).is_ok());
}

#[test]
fn what_is_printed_reads_back() {
    let (scratch, sources) =
        sources("server_name = \"a \\\"quoted\\\" name\"\nlog_format = \"json\"", &[], &[("tls_1_2", "true")]);
    let config = load(&sources).expect("it is good");
    let again = scratch.path().join("again.toml");
    fs::write(&again, config.to_toml()).expect("it can be written");
    let again = load(&Sources { file: Some(again), ..Sources::default() }).expect("it is good");
    let values = |config: &Config| config.effective().map(|(_, value, _)| value).collect::<Vec<_>>();
    assert_eq!(values(&config), values(&again));
    let json: serde_json::Value = serde_json::from_str(&config.to_json()).expect("it is JSON");
    assert_eq!(json["log_format"]["value"], "json");
    assert_eq!(json["tls_1_2"]["origin"], "--tls-1-2");
}
