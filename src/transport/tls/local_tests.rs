use std::{fs, os::unix::fs::PermissionsExt as _};

use rustls::crypto::aws_lc_rs;

use super::*;

const NOW: UnixMs = 1_800_000_000_000;
const DAY_MS: UnixMs = 24 * 3600 * 1000;

fn load_at(directory: &Path, host: Option<&str>, now: UnixMs) -> Local {
    load(directory, host, &Arc::new(aws_lc_rs::default_provider()), now).expect("it can be made")
}

fn good_for(local: &Local, name: &str, now: UnixMs) -> bool {
    let leaf = &local.certified.cert[0];
    let mut roots = RootCertStore::empty();
    roots.add(local.certified.cert[1].clone()).expect("an authority");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("a verifier");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    verifier.verify_server_cert(leaf, &[], &name, &[], UnixTime::since_unix_epoch(Duration::from_millis(now))).is_ok()
}

#[test]
fn is_made_once_for_every_name_and_reused() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let directory = scratch.path().join("tls");
    let first = load_at(&directory, Some("chat.example"), NOW);
    for name in ["localhost", "127.0.0.1", "::1", "chat.example"] {
        assert!(good_for(&first, name, NOW), "{name}");
    }
    assert!(!good_for(&first, "evil.example", NOW));
    assert_eq!(first.pin.len(), 43);
    let again = load_at(&directory, Some("chat.example"), NOW + DAY_MS);
    assert_eq!(again.certified.cert, first.certified.cert);
    assert_eq!(again.pin, first.pin);
    assert_eq!(again.authority_pem, first.authority_pem);
    assert_eq!(fs::metadata(&directory).expect("it exists").permissions().mode() & 0o777, 0o700);
    for file in fs::read_dir(&directory).expect("a directory") {
        let file = file.expect("an entry");
        assert_eq!(file.metadata().expect("it exists").permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[test]
fn the_pin_is_the_hash_of_the_authoritys_public_key() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let local = load_at(scratch.path(), None, NOW);
    let authority = rustls::server::ParsedCertificate::try_from(&local.certified.cert[1]).expect("a certificate");
    assert_eq!(local.pin, BASE64URL_NOPAD.encode(&Sha256::digest(authority.subject_public_key_info().as_ref())));
}

#[test]
fn renewal_before_it_expires_keeps_the_authority() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let first = load_at(scratch.path(), None, NOW);
    let later = NOW + 370 * DAY_MS;
    let renewed = load_at(scratch.path(), None, later);
    assert_ne!(renewed.certified.cert[0], first.certified.cert[0]);
    assert_eq!(renewed.certified.cert[1], first.certified.cert[1]);
    assert!(good_for(&renewed, "localhost", later + 300 * DAY_MS));
}

#[test]
fn another_host_makes_another_authority_with_the_same_pin() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let first = load_at(scratch.path(), None, NOW);
    let moved = load_at(scratch.path(), Some("chat.example"), NOW);
    assert!(good_for(&moved, "chat.example", NOW));
    assert_ne!(moved.certified.cert[1], first.certified.cert[1], "the old one was constrained to the old names");
    assert_eq!(moved.pin, first.pin);
    let by_address = load_at(scratch.path(), Some("[2001:db8::1]"), NOW);
    assert!(good_for(&by_address, "2001:db8::1", NOW));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    load_at(scratch.path(), None, NOW);
    fs::set_permissions(scratch.path().join("ca.key"), fs::Permissions::from_mode(0o644)).expect("it can be changed");
    let refused = load(scratch.path(), None, &Arc::new(aws_lc_rs::default_provider()), NOW);
    assert!(matches!(refused, Err(TlsError::Io(path, _)) if path.ends_with("ca.key")));
}

#[test]
fn own_files_are_taken_unless_everybody_may_read_the_key() {
    let scratch = tempfile::tempdir().expect("a scratch directory");
    load_at(scratch.path(), None, NOW);
    let (certificate, key) = (scratch.path().join("server.pem"), scratch.path().join("server.key"));
    let provider = Arc::new(aws_lc_rs::default_provider());
    assert!(files::load(&certificate, &key, &provider).is_ok());
    let wrong = scratch.path().join("ca.key");
    assert!(matches!(files::load(&certificate, &wrong, &provider), Err(TlsError::Invalid(..))), "another certificate's key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("it can be changed");
    assert!(files::load(&certificate, &key, &provider).is_ok(), "a group may hold the key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("it can be changed");
    assert!(matches!(files::load(&certificate, &key, &provider), Err(TlsError::ExposedKey(_))));
}
