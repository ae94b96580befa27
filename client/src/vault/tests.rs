//! What somebody with the file, or a second process, can and cannot do.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use super::*;

const CANARY: &str = "canary-7f3a-that-must-not-be-seen";

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn put(vault: &mut Vault, key: &[u8], value: &str) {
    vault.transaction(|tx| tx.put(Space::Meta, key, &value)).expect("written");
}

fn get(vault: &mut Vault, key: &[u8]) -> Result<Option<String>, VaultError> {
    vault.transaction(|tx| tx.get(Space::Meta, key))
}

/// Every byte of every file of the vault.
fn bytes_of(home: &Path) -> Vec<u8> {
    let files = fs::read_dir(home).expect("readable").map(|entry| entry.expect("an entry").path());
    files.flat_map(|path| fs::read(path).expect("readable")).collect()
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn remembers_and_counts_its_openings() {
    let home = home();
    let mut vault = Vault::create(home.path(), None).expect("made");
    assert_eq!(vault.incarnation(), 1);
    put(&mut vault, b"k", "value");
    drop(vault);
    let mut vault = Vault::open(home.path(), None).expect("opened");
    assert_eq!(vault.incarnation(), 2);
    assert_eq!(get(&mut vault, b"k").expect("readable").as_deref(), Some("value"));
    assert!(matches!(Vault::create(home.path(), None), Err(OpenError::Owned)));
    drop(vault);
    assert!(matches!(Vault::create(home.path(), None), Err(OpenError::Exists)));
}

#[test]
fn a_failed_transaction_leaves_nothing() {
    let home = home();
    let mut vault = Vault::create(home.path(), None).expect("made");
    let failed: Result<(), VaultError> = vault.transaction(|tx| {
        tx.put(Space::Meta, b"k", &1_u64)?;
        tx.push(Space::Inbox, b"", &1_u64)?;
        Err(VaultError::Sealed)
    });
    assert!(failed.is_err());
    assert_eq!(get(&mut vault, b"k").expect("readable"), None);
    assert_eq!(vault.transaction(|tx| tx.count(Space::Inbox, b"")).expect("readable"), 0);
}

#[test]
fn lists_keep_their_order_and_trim() {
    let home = home();
    let mut vault = Vault::create(home.path(), None).expect("made");
    let read = vault.transaction(|tx| {
        for n in 0..10_u64 {
            tx.push(Space::History, b"a", &n)?;
            tx.push(Space::History, b"b", &(100 + n))?;
        }
        tx.trim(Space::History, b"a", 4)?;
        tx.take_out(Space::History, b"a", 6)?;
        let items = tx.items::<u64>(Space::History, b"a", 0, 3)?;
        Ok::<_, VaultError>((items, tx.last::<u64>(Space::History, b"b", 10, 2)?, tx.count(Space::History, b"a")?))
    });
    let (items, last, count) = read.expect("readable");
    assert_eq!(items, [(5, 4), (7, 6), (8, 7)]);
    assert_eq!(last, [(8, 107), (9, 108)]);
    assert_eq!(count, 5);
}

#[test]
fn one_process_owns_it() {
    let home = home();
    let vault = Vault::create(home.path(), None).expect("made");
    assert!(matches!(Vault::open(home.path(), None), Err(OpenError::Owned)));
    drop(vault);
    assert!(Vault::open(home.path(), None).is_ok());
    assert!(matches!(Vault::open(&home.path().join("elsewhere"), None), Err(OpenError::Missing)));
}

#[test]
fn a_passphrase_is_needed_and_must_be_right() {
    let home = home();
    let right = Zeroizing::new("correct horse".to_owned());
    drop(Vault::create(home.path(), Some(&right)).expect("made"));
    assert!(matches!(Vault::open(home.path(), None), Err(OpenError::Key(KeyError::PassphraseNeeded))));
    let wrong = Zeroizing::new("wrong horse".to_owned());
    assert!(matches!(Vault::open(home.path(), Some(&wrong)), Err(OpenError::Key(KeyError::WrongPassphrase))));
    assert!(Vault::open(home.path(), Some(&right)).is_ok());
    // The costs stand in the clear, and are authenticated.
    let path = home.path().join(KEY_FILE);
    let mut bytes = fs::read(&path).expect("readable");
    let passes = bytes.len() - 48 - 24 - 16 - 5;
    bytes[passes] = 2;
    fs::write(&path, bytes).expect("written");
    assert!(matches!(Vault::open(home.path(), Some(&right)), Err(OpenError::Key(KeyError::WrongPassphrase))));
}

#[test]
fn files_are_for_the_owner_only() {
    let outer = home();
    let home = outer.path().join("new");
    let mut vault = Vault::create(&home, None).expect("made");
    put(&mut vault, b"k", "value");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o700);
    for entry in fs::read_dir(&home).expect("readable") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn neither_content_nor_names_stand_in_the_files() {
    let home = home();
    let mut vault = Vault::create(home.path(), None).expect("made");
    put(&mut vault, CANARY.as_bytes(), CANARY);
    vault.transaction(|tx| tx.push(Space::History, CANARY.as_bytes(), &CANARY).map(drop)).expect("written");
    assert!(!holds(&bytes_of(home.path()), CANARY));
    // The search does find one that is there.
    vault.connection.execute("CREATE TABLE planted (text TEXT)", []).expect("made");
    vault.connection.execute("INSERT INTO planted VALUES (?1)", params![CANARY]).expect("written");
    assert!(holds(&bytes_of(home.path()), CANARY));
}

#[test]
fn rows_cannot_be_swapped_or_changed() {
    let home = home();
    let mut vault = Vault::create(home.path(), None).expect("made");
    put(&mut vault, b"a", "one");
    put(&mut vault, b"b", "two");
    drop(vault);
    let file = Connection::open(home.path().join(DATABASE_FILE)).expect("a database");
    let rows: Vec<(i64, Vec<u8>)> = {
        let mut statement = file.prepare("SELECT rowid, value FROM row WHERE length(value) = 24 + 16 + 5").expect("valid");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("readable");
        rows.collect::<Result<_, _>>().expect("readable")
    };
    assert_eq!(rows.len(), 2);
    for (to, from) in [(0, 1), (1, 0)] {
        file.execute("UPDATE row SET value = ?1 WHERE rowid = ?2", params![rows[from].1, rows[to].0]).expect("written");
    }
    drop(file);
    let mut vault = Vault::open(home.path(), None).expect("opened");
    assert!(matches!(get(&mut vault, b"a"), Err(VaultError::Sealed)));
    assert!(matches!(get(&mut vault, b"b"), Err(VaultError::Sealed)));
}

#[test]
fn a_newer_schema_is_refused() {
    let home = home();
    drop(Vault::create(home.path(), None).expect("made"));
    let file = Connection::open(home.path().join(DATABASE_FILE)).expect("a database");
    file.pragma_update(None, "user_version", 99).expect("written");
    drop(file);
    assert!(matches!(Vault::open(home.path(), None), Err(OpenError::Newer)));
}
