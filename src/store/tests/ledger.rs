use super::*;

pub(super) const SMALL: Options = Options {
    queue: 4096,
    read_queue: 64,
    readers: 1,
    batch_jobs: 64,
    batch_bytes: 1 << 20,
    tail_bytes: 1 << 20,
    disk_reserve: 0,
    account_bytes: u64::MAX,
    group_bytes: u64::MAX,
    free_bytes: |_| u64::MAX,
    message_days: 30,
    commit_days: 30,
    commit_bytes_kept: 64 << 20,
    commits_kept: 100,
    key_packages_low: 5,
    ledger_keys: 16,
    places: 16,
    pending_acknowledgements: 64,
};

fn numbered(from: Leaf, group: GroupId, number: u16) -> Append {
    let mut append = message(from, group, 1, 0);
    append.message.client_id.0[..2].copy_from_slice(&number.to_be_bytes());
    append.message.ciphertext = Bytes::from(number.to_be_bytes().to_vec());
    append
}

async fn send_all(harness: &Harness, from: Leaf, group: GroupId, numbers: std::ops::Range<u16>) {
    for number in numbers {
        assert!(matches!(harness.store.append(numbered(from, group, number)).await, Ok(AppendOutcome::Accepted { .. })));
    }
}

/// Every message again is a duplicate, and a copy of it from somebody else a conflict.
async fn all_known(harness: &Harness, (from, other): (Leaf, Leaf), group: GroupId, numbers: std::ops::Range<u16>) {
    for number in numbers {
        let seq = u64::from(number) + 2;
        assert_eq!(harness.store.append(numbered(from, group, number)).await, Ok(AppendOutcome::Duplicate { seq, time: START }));
        let mut copy = numbered(other, group, number);
        copy.message.client_id.0[15] = 1;
        assert_eq!(harness.store.append(copy).await, Ok(AppendOutcome::Conflict));
    }
}

async fn indexed(harness: &Harness) -> (i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM sent_keys), indexed_to FROM ledger";
    harness.store.read(move |db| db.query_one(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))).await.expect("read")
}

#[tokio::test]
async fn every_generation_is_known_fresh_moving_and_indexed() {
    let harness = Harness::with(SMALL);
    let (ann, ben, group) = two(&harness).await;
    for step in 0..20 {
        send_all(&harness, ann, group, step * 5..step * 5 + 5).await;
        all_known(&harness, (ann, ben), group, 0..step * 5 + 5).await;
    }
    let (keys, indexed_to) = indexed(&harness).await;
    assert!(keys > 100 && indexed_to > 80, "{keys} {indexed_to}");
}

#[tokio::test]
async fn a_crash_at_any_point_of_the_way_forgets_nothing() {
    let mut harness = Harness::with(SMALL);
    let (ann, ben, group) = two(&harness).await;
    for step in 0..12 {
        send_all(&harness, ann, group, step * 3..step * 3 + 3).await;
        harness = harness.crashed_with(SMALL);
        all_known(&harness, (ann, ben), group, 0..step * 3 + 3).await;
    }
}

#[tokio::test]
async fn a_batch_that_is_rolled_back_loses_no_key() {
    let harness = Harness::with(SMALL);
    let (ann, ben, group) = two(&harness).await;
    for step in 0..30 {
        let full = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
        send_all(&harness, ann, group, step * 2..step * 2 + 2).await;
        let lost = harness.store.append_job(0, None, move |txn| {
            txn.ledger.settle(txn.db, 3)?;
            Err::<(), _>(full())
        });
        assert_eq!(lost.await, Err(StoreError::DiskLow));
    }
    all_known(&harness, (ann, ben), group, 0..60).await;
    assert!(indexed(&harness).await.1 > 20);
}

#[tokio::test]
async fn keys_go_after_their_rows_and_numbers_are_never_used_twice() {
    let harness = Harness::with(SMALL);
    let (ann, ben, group) = two(&harness).await;
    send_all(&harness, ann, group, 0..100).await;
    let late = START + 38 * DAY;
    while harness.store.trim(late).await.expect("stored").more {}
    let (keys, indexed_to) = indexed(&harness).await;
    assert!(keys < 20 && indexed_to > 80, "{keys} {indexed_to}");
    let harness = harness.crashed_with(SMALL);
    send_all(&harness, ann, group, 100..140).await;
    all_known(&harness, (ann, ben), group, 100..140).await;
    let again = harness.store.append(numbered(ann, group, 0)).await;
    assert_eq!(again, Ok(AppendOutcome::Accepted { seq: 142, time: START }), "forgotten with its message, a week later");
}
