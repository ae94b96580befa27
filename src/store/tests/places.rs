//! Entries are found wherever their places are: fresh, moving, in the index, or on their way through a crash.

use super::*;

/// Generations so small that a few messages move some.
const SMALL: Options = Options { places: 16, ..super::ledger::SMALL };

/// Two groups of Ann and Ben.
async fn two_groups(harness: &Harness) -> (Leaf, Leaf, [GroupId; 2]) {
    let (ann, ben, first) = two(harness).await;
    let second = harness.group(2, ben).await;
    harness.stock_up(ann, 0, 1).await;
    assert_eq!(harness.add(ben, second, 0, ann).await, 1);
    assert_eq!(harness.acknowledge_own_log(ann).await, [second]);
    (ann, ben, [first, second])
}

fn numbered(from: Leaf, group: GroupId, number: u16) -> Append {
    let mut append = message(from, group, 1, 0);
    append.message.client_id.0[..2].copy_from_slice(&number.to_be_bytes());
    append.message.ciphertext = Bytes::from([&group.0[..2], &number.to_be_bytes()].concat());
    append
}

async fn send_all(harness: &Harness, from: Leaf, groups: &[GroupId], numbers: std::ops::Range<u16>) {
    for number in numbers {
        for group in groups {
            assert!(matches!(harness.store.append(numbered(from, *group, number)).await, Ok(AppendOutcome::Accepted { .. })));
        }
    }
}

/// Reads every message of a group in pages, forwards and backwards, and finds each in its place.
async fn all_there(harness: &Harness, reader: Leaf, group: GroupId, numbers: std::ops::Range<u16>) {
    let log = LogId::Group(group);
    let wanted: Vec<_> = numbers.clone().map(|number| numbered(reader, group, number).message.ciphertext).collect();
    let first = u64::from(numbers.start) + 2;
    let (mut found, mut after) = (Vec::new(), first - 1);
    loop {
        let page = harness.store.page(log, reader.device_id, after, 7, 1 << 20).await.expect("read").expect("flows");
        found.extend(page.items.iter().map(body));
        after = page.items.last().map_or(after, seq);
        if !page.more {
            break;
        }
    }
    assert_eq!(found, wanted, "forwards");
    let (mut found, mut before) = (Vec::new(), u64::from(numbers.end) + 2);
    while before > first {
        let page = harness.store.page_back(log, reader.device_id, before, 7).await.expect("read").expect("a window");
        found.extend(page.items.iter().map(body).take(usize::try_from(before - first).expect("small")));
        before = page.items.last().map_or(first, seq);
    }
    found.reverse();
    assert_eq!(found, wanted, "backwards");
    let position = harness.store.position(log, reader.device_id).await.expect("read").expect("flows");
    assert_eq!(position.head, u64::from(numbers.end) + 1);
}

fn body(item: &Item) -> Bytes {
    match item {
        Item::Entry(entry) => entry.body.clone(),
        Item::Skipped { from, to, .. } => panic!("{from} to {to} are missing"),
    }
}

/// Rows of the index, rows of entries, and up to which entry all are in the index.
async fn indexed(harness: &Harness) -> (i64, i64, i64) {
    let sql = "SELECT (SELECT count(*) FROM places), (SELECT count(*) FROM entries), placed_to FROM placed";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    harness.store.read(move |db| db.query_one(sql, [], row)).await.expect("read")
}

#[tokio::test]
async fn every_entry_is_found_fresh_moving_and_indexed() {
    let harness = Harness::with(SMALL);
    let (ann, ben, groups) = two_groups(&harness).await;
    for step in 0..15 {
        send_all(&harness, ann, &groups, step * 4..step * 4 + 4).await;
        for group in groups {
            all_there(&harness, ben, group, 0..step * 4 + 4).await;
        }
    }
    let (places, entries, placed_to) = indexed(&harness).await;
    assert!(placed_to > 80 && places >= placed_to && places <= entries, "{places} {entries} {placed_to}");
}

#[tokio::test]
async fn a_crash_at_any_point_of_the_way_loses_no_place() {
    let mut harness = Harness::with(SMALL);
    let (ann, ben, groups) = two_groups(&harness).await;
    for step in 0..12 {
        send_all(&harness, ann, &groups, step * 3..step * 3 + 3).await;
        harness = harness.crashed_with(SMALL);
        for group in groups {
            all_there(&harness, ben, group, 0..step * 3 + 3).await;
        }
    }
    assert!(indexed(&harness).await.2 > 40);
}

#[tokio::test]
async fn a_batch_or_a_job_that_is_taken_back_leaves_no_place() {
    let harness = Harness::with(SMALL);
    let (ann, ben, group) = two(&harness).await;
    for step in 0..8 {
        // Enough that a generation arrives between two failures.
        send_all(&harness, ann, &[group], step * 12..step * 12 + 12).await;
        let full = || rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
        // The group's next place is taken, a generation may begin to move, and all of it is rolled back.
        let lost = harness.store.append_job(0, None, move |txn| {
            let group_no = txn.group(group)?.expect("known").no;
            let entry = super::super::log::NewEntry::unicast(Kind::Removed, Bytes::from_static(b"never"), START);
            txn.append_entry(LogId::Group(group), group_no, entry)?;
            txn.placing.settle(txn.db, 3)?;
            Err::<(), _>(full())
        });
        assert_eq!(lost.await, Err(StoreError::DiskLow));
        let taken_back = harness.store.write(0, move |txn| {
            let group_no = txn.group(group)?.expect("known").no;
            let entry = super::super::log::NewEntry::unicast(Kind::Removed, Bytes::from_static(b"nor this"), START);
            txn.append_entry(LogId::Group(group), group_no, entry)?;
            Err::<(), _>(rusqlite::Error::InvalidQuery)
        });
        assert_eq!(taken_back.await, Err(StoreError::Failed));
        all_there(&harness, ben, group, 0..step * 12 + 12).await;
    }
    let harness = harness.crashed_with(SMALL);
    all_there(&harness, ben, group, 0..96).await;
    assert!(indexed(&harness).await.2 > 40);
}

#[tokio::test]
async fn what_is_trimmed_leaves_no_place_behind_wherever_it_was() {
    let mut harness = Harness::with(SMALL);
    let (ann, ben, group) = two(&harness).await;
    for step in 0..12 {
        let sent = step * 5 + 5;
        send_all(&harness, ann, &[group], step * 5..sent).await;
        // All but the newest two have been read by both.
        let read = u64::from(sent) - 1;
        for reader in [ann, ben] {
            harness.store.acknowledge_now(reader.device_id, vec![(LogId::Group(group), read)]).await.expect("stored");
        }
        while harness.store.trim(START).await.expect("stored").more {}
        all_there(&harness, ben, group, sent - 2..sent).await;
        if step % 3 == 2 {
            harness = harness.crashed_with(SMALL);
            all_there(&harness, ben, group, sent - 2..sent).await;
        }
    }
    let (places, entries, _) = indexed(&harness).await;
    assert!(entries <= 4 && places <= entries, "{places} places of {entries} entries");
}

#[tokio::test]
async fn entries_of_the_older_layout_are_where_they_were() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(directory.path().join("data")).expect("free");
    let path = data.path().join("sovereign.db");
    lock::private(&path).expect("made");
    let mut db = connection::writer(&path).expect("opens");
    migrate::steps(&mut db, 0, 10).expect("a schema of then");
    db.execute_batch(
        "INSERT INTO accounts (account_no, account_id, username, identity_key, administrator, manifest_version, created_at)
         VALUES (1, x'01010101010101010101010101010101', 'ann', x'01', 0, 1, 0);
         INSERT INTO logs (log_no, kind, owner, next_seq, running_hash)
         VALUES (1, 2, x'01010101010101010101010101010101', 4, zeroblob(32)), (2, 1, zeroblob(32), 3, zeroblob(32));
         INSERT INTO devices (device_no, device_id, account_no, device_key, state, created_at, own_log_no)
         VALUES (1, x'01010101010101010101010101010101', 1, x'01', 1, 0, 1);
         INSERT INTO windows (log_no, device_no, join_seq, join_hash, cursor)
         VALUES (1, 1, 0, zeroblob(32), 0), (2, 1, 0, zeroblob(32), 0);
         INSERT INTO entries (id, time, kind, entry_hash, previous_hash, body)
         VALUES ((2 << 40) | 2, 7, 1, zeroblob(32), zeroblob(32), CAST('second' AS BLOB)), ((2 << 40) | 1, 6, 1, zeroblob(32), zeroblob(32), CAST('first' AS BLOB)),
                ((1 << 40) | 3, 5, 5, zeroblob(32), zeroblob(32), CAST('own' AS BLOB))",
    )
    .expect("a database of then");
    drop(db);
    let store =
        Store::open(&data, Options { disk_reserve: 0, ..Options::default() }, Clock::default()).expect("brought up to date");
    let page = |log| store.page(log, DeviceId([1; 16]), 0, 9, 1 << 20);
    let group = page(LogId::Group(GroupId([0; 32]))).await.expect("read").expect("flows");
    assert_eq!(group.items.iter().map(body).collect::<Vec<_>>(), ["first", "second"]);
    let own = page(LogId::Device(DeviceId([1; 16]))).await.expect("read").expect("flows");
    assert!(matches!(&own.items[..], [Item::Skipped { from: 1, to: 2, .. }, Item::Entry(entry)] if entry.body == "own"));
}
