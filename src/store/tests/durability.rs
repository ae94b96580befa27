use std::os::unix::fs::PermissionsExt as _;

use futures_util::FutureExt as _;

use super::*;
use crate::limits::WAL_GROWTH_REFUSED;

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    for number in 1..=50 {
        harness.send(ann, group, 1, number).await;
    }
    harness.store.acknowledge_now(ben.device_id, vec![(LogId::Group(group), 20)]).await.expect("stored");
    let after = harness.crashed();
    assert_eq!(after.seqs(group, ben, 20).await.map(|seqs| seqs.len()), Some(31));
    let position = after.store.position(LogId::Group(group), ben.device_id).await.expect("read").expect("flows");
    assert_eq!((position.head, position.cursor), (51, 20));
    assert_eq!(after.send(ann, group, 1, 50).await, AppendOutcome::Duplicate { seq: 51, time: START });
    assert_eq!(after.send(ann, group, 1, 51).await, AppendOutcome::Accepted { seq: 52, time: START });
    assert!(after.store.tail(LogId::Group(group), 50).is_none(), "memory is not what survives");
}

#[tokio::test]
async fn a_closed_store_opens_again_and_a_verb_after_the_end_fails() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    harness.store.acknowledge(ben.device_id, vec![(LogId::Group(group), 2)]);
    harness.store.close().await.expect("closes");
    assert_eq!(harness.store.append(message(ann, group, 1, 2)).await, Err(StoreError::Failed));
    assert_eq!(std::fs::metadata(harness.data.path().join("sovereign.db-wal")).map_or(0, |file| file.len()), 0);
    let Harness { store, data, directory } = harness;
    drop((store, data));
    let data = DataDir::open(directory.path().join("data")).expect("released");
    let store = Store::open(&data, Options::default(), Clock::default()).expect("opens");
    let position = store.position(LogId::Group(group), ben.device_id).await.expect("read").expect("flows");
    assert_eq!(position.cursor, 2, "acknowledgements were written at the end");
}

#[tokio::test]
async fn everything_on_disk_is_private() {
    let harness = Harness::new();
    two(&harness).await;
    for entry in std::fs::read_dir(harness.data.path()).expect("a directory") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("there").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.file_name().display());
    }
}

#[test]
fn a_newer_or_foreign_database_is_refused_and_left_alone() {
    for (application, version, newer) in [(connection::APPLICATION_ID, 99, true), (0, 3, false), (77, 0, false)] {
        let directory = tempfile::tempdir().expect("a directory");
        let data = DataDir::open(directory.path()).expect("free");
        let path = data.path().join("sovereign.db");
        let db = rusqlite::Connection::open(&path).expect("opens");
        db.pragma_update(None, "application_id", application).expect("set");
        db.pragma_update(None, "user_version", version).expect("set");
        drop(db);
        let before = std::fs::read(&path).expect("read");
        match Store::open(&data, Options::default(), Clock::default()) {
            Err(OpenError::Newer { found: 99, known }) if newer => assert_eq!(known, migrate::KNOWN),
            Err(OpenError::Foreign) if !newer => {}
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("opened"),
        }
        assert_eq!(std::fs::read(&path).expect("read"), before);
        assert!(!path.with_extension("db-wal").exists());
    }
}

#[tokio::test]
async fn an_older_database_is_copied_before_it_is_changed() {
    for version in 1..migrate::KNOWN {
        let directory = tempfile::tempdir().expect("a directory");
        let data = DataDir::open(directory.path().join("data")).expect("free");
        let path = data.path().join("sovereign.db");
        lock::private(&path).expect("made");
        let mut db = connection::writer(&path).expect("opens");
        migrate::steps(&mut db, 0, version).expect("a schema of then");
        // What an account needed from the first schema on.
        let insert = "INSERT INTO accounts (account_id, username, identity_key, administrator, manifest_version, created_at)
                      VALUES (?1, 'ann', ?2, 0, 1, 0)";
        db.execute(insert, rusqlite::params![[1_u8; 16], [1_u8; 32]]).expect("inserted");
        drop(db);
        let store = Store::open(&data, Options::default(), Clock::default()).expect("brought to the newest schema");
        assert!(store.account(AccountId([1; 16])).await.expect("read").is_some(), "from {version}");
        let copy = data.path().join(format!("sovereign.db.before-{}", version + 1));
        assert_eq!(std::fs::metadata(&copy).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(migrate::version(&copy).expect("ours"), version);
    }
}

#[tokio::test]
async fn a_full_queue_refuses_and_loses_nothing() {
    let harness = Harness::with(Options { queue: 4, disk_reserve: 0, ..Options::default() });
    let (ann, ben, group) = two(&harness).await;
    // The writer is held by a job that waits for the end of this channel.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (started, begun) = std::sync::mpsc::channel();
    let blocked = harness.store.relieve(move |_| {
        started.send(()).expect("awaited");
        let _released = held.recv();
        Ok(())
    });
    begun.recv().expect("the writer runs");
    let mut answers: Vec<_> = (1..=20).map(|number| harness.store.append(message(ann, group, 1, number))).collect();
    let refused = answers.split_off(4).into_iter();
    for answer in refused {
        assert_eq!(answer.await, Err(StoreError::Busy));
    }
    drop(release);
    blocked.await.expect("released");
    for answer in answers {
        assert!(matches!(answer.await, Ok(AppendOutcome::Accepted { .. })));
    }
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2, 3, 4, 5]));
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_takes_only_what_helps() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    harness.store.close().await.expect("closes");
    let Harness { store, data, directory } = harness;
    drop((store, data));
    let data = DataDir::open(directory.path().join("data")).expect("released");
    let store = Store::open(&data, Options { disk_reserve: u64::MAX, ..Options::default() }, Clock::default()).expect("opens");
    let harness = Harness { store, directory, data };
    assert_eq!(harness.store.append(message(ann, group, 1, 2)).await, Err(StoreError::DiskLow));
    assert!(matches!(harness.store.accept_commit(plan(group, ann, 1)).await, Err(StoreError::DiskLow)));
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2]));
    assert_eq!(harness.store.acknowledge_now(ben.device_id, vec![(LogId::Group(group), 2)]).await, Ok(vec![]));
    assert!(harness.store.trim(START).await.is_ok());
    assert_eq!(harness.store.leave(group, ben.device_id).await, Ok(true));
}

#[tokio::test]
async fn a_verb_that_meets_a_contradiction_is_taken_back_alone() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let good = harness.store.append(message(ann, group, 1, 1));
    let bad = harness.store.write(0, move |txn| {
        let device = txn.device(DeviceId([1; 16]))?.expect("known");
        let entry = log::NewEntry::unicast(Kind::Removed, Bytes::from_static(b"never"), START);
        txn.append_entry(LogId::Device(DeviceId([1; 16])), device.log_no, entry)?;
        txn.db.execute("INSERT INTO meta (one, store_generation) VALUES (1, 1)", []).map(drop)
    });
    let after = harness.store.append(message(ann, group, 1, 2));
    assert_eq!(good.await, Ok(AppendOutcome::Accepted { seq: 2, time: START }));
    assert_eq!(bad.await, Err(StoreError::Failed));
    assert_eq!(after.await, Ok(AppendOutcome::Accepted { seq: 3, time: START }));
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2, 3]));
    let own = harness.page(LogId::Device(ann.device_id), ann, 0).await.expect("its own log");
    assert!(own.items.is_empty() && harness.store.tail(LogId::Device(ann.device_id), 0).is_none());
}

#[tokio::test]
async fn an_engine_that_fails_acknowledges_nothing_more() {
    let harness = Harness::new();
    let (ann, _, group) = two(&harness).await;
    let failing = harness.store.append_job(0, None, |_| {
        Err::<(), _>(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC), None))
    });
    let beside = harness.store.append(message(ann, group, 1, 1));
    assert_eq!(failing.await, Err(StoreError::Failed));
    assert_eq!(beside.await, Err(StoreError::Failed));
    harness.store.failed().await;
    assert_eq!(harness.store.append(message(ann, group, 1, 2)).await, Err(StoreError::Failed));
    let after = harness.crashed();
    assert_eq!(after.send(ann, group, 1, 1).await, AppendOutcome::Accepted { seq: 2, time: START });
}

#[tokio::test]
async fn many_callers_share_a_log_without_holes() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let answers: Vec<_> = (0..1000_u16)
        .map(|number| {
            let sender = if number % 2 == 0 { ann } else { ben };
            let mut append = message(sender, group, 1, 0);
            append.message.client_id.0[..2].copy_from_slice(&number.to_be_bytes());
            append.message.ciphertext = Bytes::from(number.to_be_bytes().to_vec());
            harness.store.append(append)
        })
        .collect();
    for (answer, seq) in answers.into_iter().zip(2..) {
        assert_eq!(answer.await, Ok(AppendOutcome::Accepted { seq, time: START }), "in the order of the calls");
    }
}

#[tokio::test]
async fn a_read_that_fails_concerns_only_who_asked_unless_the_file_is_damaged() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let read = |code: i32| {
        harness.store.read(move |_| Err::<(), _>(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)))
    };
    for code in [rusqlite::ffi::SQLITE_IOERR_READ, rusqlite::ffi::SQLITE_NOMEM, rusqlite::ffi::SQLITE_BUSY] {
        assert_eq!(read(code).await, Err(StoreError::Unread));
    }
    assert!(harness.store.failed().now_or_never().is_none(), "the server goes on");
    harness.send(ann, group, 1, 1).await;
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2]));
    assert_eq!(read(rusqlite::ffi::SQLITE_CORRUPT).await, Err(StoreError::Failed));
    harness.store.failed().await;
}

#[tokio::test]
async fn a_reader_that_never_ends_cannot_make_the_log_grow_for_ever() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let wal = harness.data.path().join("sovereign.db-wal");
    let stuck = rusqlite::Connection::open(harness.data.path().join("sovereign.db")).expect("opens");
    stuck.execute_batch("BEGIN; SELECT count(*) FROM entries;").expect("a snapshot that is kept");
    let mut number = 0_u16;
    let mut send = |length: usize| {
        number += 1;
        let mut append = message(ann, group, 1, 0);
        append.message.client_id.0[..2].copy_from_slice(&number.to_be_bytes());
        let mut body = vec![7; length];
        body[..2].copy_from_slice(&number.to_be_bytes());
        append.message.ciphertext = body.into();
        harness.store.append(append)
    };
    let refused = loop {
        match send(256 << 10).await {
            Ok(AppendOutcome::Accepted { .. }) => {}
            Ok(_) => panic!("another outcome"),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, StoreError::LogLong);
    let length = std::fs::metadata(&wal).expect("there").len();
    assert!((WAL_GROWTH_REFUSED..=64 << 20).contains(&length), "{length} bytes");
    for seq in 2..=40 {
        let position = vec![(LogId::Group(group), seq)];
        assert_eq!(harness.store.acknowledge_now(ben.device_id, position).await, Ok(vec![]), "acknowledging goes on");
    }
    assert!(std::fs::metadata(&wal).expect("there").len() <= 64 << 20);
    drop(stuck);
    let ended = async {
        while send(10).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_mins(1), ended).await.expect("it ends by itself");
}

#[tokio::test]
async fn a_read_that_never_ends_is_given_up_and_concerns_only_who_asked() {
    let harness = Harness::new();
    let endless = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n";
    assert_eq!(harness.store.read(|db| db.query_one(endless, [], |row| row.get::<_, i64>(0))).await, Err(StoreError::Unread));
    two(&harness).await;
}
