//! SIGKILL at every step of what takes several: the process dies by its own disk, before its next operation on a file.

use std::{fs, os::unix::process::ExitStatusExt as _, path::Path};

use rusqlite::Connection;
use rustix::process::Signal;
use tokio::process::Command;

use super::sent::{Sent, back};
use crate::harness::{Carrier, TestServer, faulty_disk::FaultyDisk, scene::pair, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_a_checkpoint_loses_nothing() {
    let (mut server, disk) = TestServer::start_on_faulty_disk(&[]).await;
    let (mut ada, _bob) = pair(&server).await;
    let mut sent = Sent::default();
    let mut kills = 0;
    for step in (0..).map(|number| number * number) {
        // At its end the server empties the write-ahead log into the database, or before, in a quiet moment.
        disk.fails(&format!("kill sovereign.db {step}"));
        let ids = sent.send(&mut ada, 20).await;
        assert!(sent.answers(&mut ada.person.raw, &ids).await.is_empty());
        let code = server.terminate().await;
        disk.fails("");
        server.restart().await;
        back(&server, &mut ada).await;
        if code == Some(0) {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills > 3, "a checkpoint has more steps than {kills}");
    sent.all_again(&mut ada.person.raw).await;
}

#[tokio::test]
async fn a_kill_in_a_migration_is_followed_by_a_whole_one() {
    const OLD: u32 = 5;
    let mut kills = 0;
    for step in (0..).map(|number| number * number * 2) {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        let data = scratch.path().join("data");
        fs::create_dir(&data).expect("it can be made");
        old_database(&data.join("sovereign.db"), OLD);
        let disk = FaultyDisk::below(scratch.path());
        disk.fails(&format!("kill * {step}"));
        // Opens the database of a server that does not run, and migrates it first.
        let killed = !verb(&["invite", "create"], &data, &disk).await;
        disk.fails("");
        assert!(verb(&["invite", "create"], &data, &disk).await, "step {step}: it opens afterwards");
        let db = Connection::open(data.join("sovereign.db")).expect("a database");
        assert_eq!(text(&db, "PRAGMA integrity_check"), "ok", "step {step}");
        assert_eq!(text(&db, "SELECT username FROM accounts"), "ann", "step {step}");
        assert!(number(&db, "PRAGMA user_version") > OLD, "step {step}");
        let copy = Connection::open(data.join(format!("sovereign.db.before-{}", OLD + 1))).expect("the copy");
        assert_eq!((number(&copy, "PRAGMA user_version"), text(&copy, "PRAGMA integrity_check")), (OLD, "ok".to_owned()));
        if !killed {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills > 10, "a migration has more steps than {kills}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_a_backup_leaves_a_whole_one_or_none() {
    let (mut server, disk) = TestServer::start_on_faulty_disk(&[]).await;
    let (mut ada, _bob) = pair(&server).await;
    for number in 0..20 {
        ada.person.send(&mut ada.group, &format!("message {number}")).await;
    }
    assert_eq!(server.terminate().await, Some(0));
    let (data, mut kills) = (server.data(), 0);
    for step in (0..).map(|number| number * number) {
        let (target, restored) = (data.with_file_name(format!("backup-{step}")), data.with_file_name(format!("restored-{step}")));
        let name = target.to_str().expect("UTF-8");
        disk.fails(&format!("kill * {step}"));
        let killed = !verb(&["backup", name], &data, &disk).await;
        disk.fails("");
        if !target.exists() {
            assert!(killed && verb(&["backup", name], &data, &disk).await, "step {step}: the next one is made");
        }
        assert!(verb(&["restore", name], &restored, &disk).await, "step {step}: what is there is whole");
        if !killed {
            break;
        }
        kills += 1;
    }
    println!("{kills} kills");
    assert!(kills > 5, "a backup has more steps than {kills}");
}

/// Whether an operator's verb came to its end; else it was killed.
async fn verb(arguments: &[&str], data: &Path, disk: &FaultyDisk) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sovereign"));
    let output = command.env_remove(Carrier::CHOICE).args(arguments).arg("--data").arg(data).envs(disk.environment()).output();
    let output = within("a verb", output).await.expect("it starts");
    let killed = output.status.signal() == Some(Signal::KILL.as_raw());
    assert!(killed || output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    !killed
}

/// A database of an earlier schema with one account.
fn old_database(path: &Path, version: u32) {
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = fs::read_dir(migrations).expect("readable").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let db = Connection::open(path).expect("it can be made");
    for file in &files[..version as usize] {
        db.execute_batch(&fs::read_to_string(file).expect("readable")).expect("a migration");
    }
    let insert = "INSERT INTO accounts (account_id, username, identity_key, administrator, manifest_version, created_at)
                  VALUES (?1, 'ann', ?1, 0, 1, 0)";
    db.execute(insert, [[1_u8; 16]]).expect("inserted");
    db.pragma_update(None, "application_id", 0x5376_676e).expect("set");
    db.pragma_update(None, "user_version", version).expect("set");
}

fn text(db: &Connection, sql: &str) -> String {
    db.query_row(sql, [], |row| row.get(0)).expect("a text")
}

fn number(db: &Connection, sql: &str) -> u32 {
    db.query_row(sql, [], |row| row.get(0)).expect("a number")
}
