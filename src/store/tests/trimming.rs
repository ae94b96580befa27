use super::*;

/// Trims until there is nothing to do; gives the number of entries that went.
async fn trim(harness: &Harness, now: u64) -> u64 {
    let mut entries = 0;
    loop {
        let report = harness.store.trim(now).await.expect("stored");
        entries += report.entries;
        if !report.more {
            return entries;
        }
    }
}

async fn acknowledge(harness: &Harness, leaf: Leaf, group: GroupId, seq: Seq) {
    harness.store.acknowledge(leaf.device_id, vec![(LogId::Group(group), seq)]);
    harness.store.flush_acknowledgements().await.expect("stored");
}

#[tokio::test]
async fn an_entry_goes_when_every_window_has_passed_it_and_the_log_goes_on() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    for number in 1..=3 {
        harness.send(ann, group, 1, number).await;
    }
    acknowledge(&harness, ann, group, 4).await;
    assert_eq!(trim(&harness, START).await, 2, "the commit, which Ben never waits for, and his Welcome");
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2, 3, 4]));
    acknowledge(&harness, ben, group, 4).await;
    assert_eq!(trim(&harness, START).await, 3);
    assert_eq!(trim(&harness, START).await, 0);
    assert_eq!(harness.send(ann, group, 1, 4).await, AppendOutcome::Accepted { seq: 5, time: START }, "not from 1 again");
    let position = harness.store.position(LogId::Group(group), ben.device_id).await.expect("read").expect("flows");
    assert_eq!((position.first_available, position.head, position.cursor), (5, 5, 4));
    assert_eq!(
        harness.send(ann, group, 1, 2).await,
        AppendOutcome::Duplicate { seq: 3, time: START },
        "remembered longer than it lives"
    );
}

#[tokio::test]
async fn an_acknowledgement_in_memory_trims_nothing() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    for leaf in [ann, ben] {
        harness.store.acknowledge(leaf.device_id, vec![(LogId::Group(group), 2)]);
    }
    assert_eq!(trim(&harness, START).await, 1, "Ben's Welcome");
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2]));
}

#[tokio::test]
async fn what_retention_takes_is_named_exactly() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    harness.send(ann, group, 1, 2).await;
    accepted(&harness.store.accept_commit(plan(group, ann, 1)).await.expect("stored"));
    harness.send(ann, group, 2, 3).await;
    let late = Append { now: START + 31 * DAY, ..message(ann, group, 2, 4) };
    harness.store.append(late).await.expect("stored");
    let whole = harness.page(LogId::Group(group), ben, 1).await.expect("flows");
    let Item::Entry(commit) = &whole.items[2] else { panic!("the commit") };
    let hashes: Vec<_> =
        whole.items.iter().map(|item| if let Item::Entry(entry) = item { entry.entry_hash } else { [0; 32] }).collect();

    assert_eq!(trim(&harness, START + 31 * DAY).await, 4, "three messages and the Welcome that Ben acknowledged");
    let page = harness.page(LogId::Group(group), ben, 1).await.expect("flows");
    let shape: Vec<_> = page
        .items
        .iter()
        .map(|item| match item {
            Item::Entry(entry) => (entry.seq, entry.seq),
            Item::Skipped { from, to, reason: SkipReason::Retention, .. } => (*from, *to),
            Item::Skipped { .. } => panic!("another reason"),
        })
        .collect();
    assert_eq!(shape, [(2, 3), (4, 4), (5, 5), (6, 6)], "commits stay");
    let Item::Skipped { running_hash: at_three, .. } = page.items[0] else { panic!("skipped") };
    let at_four = sovereign_proto::log::running_hash(&at_three, 4, &commit.entry_hash);
    let at_five = sovereign_proto::log::running_hash(&at_four, 5, &hashes[3]);
    let Item::Skipped { running_hash, .. } = page.items[2] else { panic!("skipped") };
    assert_eq!(running_hash, at_five, "the chain goes on behind the gap");

    let back = harness.store.page_back(LogId::Group(group), ben.device_id, 6, 9).await.expect("read").expect("a window");
    let hashes_back: Vec<_> = back
        .items
        .iter()
        .map(|item| match item {
            Item::Entry(entry) => (entry.seq, entry.seq, [0; 32]),
            Item::Skipped { from, to, running_hash, .. } => (*from, *to, *running_hash),
        })
        .collect();
    assert_eq!(hashes_back, [(5, 5, at_five), (4, 4, [0; 32]), (2, 3, at_three)]);

    assert_eq!(trim(&harness, START + 92 * DAY).await, 3, "the two commits and the last message");
    let empty = harness.page(LogId::Group(group), ben, 1).await.expect("flows");
    assert!(matches!(empty.items[..], [Item::Skipped { from: 2, to: 6, .. }]) && !empty.more);
}

#[tokio::test]
async fn too_many_commits_go_from_the_oldest() {
    let harness = Harness::with(Options { commits_kept: 5, disk_reserve: 0, ..Options::default() });
    let (ann, ben, group) = two(&harness).await;
    for epoch in 1..10 {
        accepted(&harness.store.accept_commit(plan(group, ann, epoch)).await.expect("stored"));
    }
    trim(&harness, START).await;
    let page = harness.page(LogId::Group(group), ben, 1).await.expect("flows");
    assert!(matches!(page.items[0], Item::Skipped { from: 2, to: 5, .. }));
    assert_eq!(page.items.len(), 6);
}

#[tokio::test]
async fn a_window_that_nobody_drains_expires_and_pins_nothing_any_more() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.remove(ann, group, 1, ben).await;
    acknowledge(&harness, ann, group, 2).await;
    assert_eq!(trim(&harness, START + DAY).await, 2, "up to Ben's join, and his Welcome");
    assert_eq!(harness.seqs(group, ben, 0).await, Some(vec![2]));
    trim(&harness, START + 91 * DAY).await;
    assert_eq!(harness.seqs(group, ben, 0).await, None);
}

#[tokio::test]
async fn a_welcome_of_many_goes_with_its_last_reader() {
    let harness = Harness::new();
    let (ann, ben, cleo) = (harness.person(1).await, harness.person(2).await, harness.person(3).await);
    let group = harness.group(1, ann).await;
    let mut added = Vec::new();
    for (claim, whom) in [(1, ben), (2, cleo)] {
        harness.stock_up(whom, 0, 1).await;
        added.push((whom, harness.claimed(ann, group, claim, whom).await));
    }
    accepted(&harness.store.accept_commit(CommitPlan { added, ..plan(group, ann, 0) }).await.expect("stored"));
    harness.acknowledge_own_log(ben).await;
    trim(&harness, START).await;
    assert_eq!(welcomes(&harness, cleo).await.len(), 1);
    harness.acknowledge_own_log(cleo).await;
    assert_eq!(trim(&harness, START).await, 1);
}

#[tokio::test]
async fn one_call_is_bounded() {
    let harness = Harness::new();
    let (ann, _, group) = two(&harness).await;
    let appends: Vec<_> = (0..1500_u16)
        .map(|number| {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&number.to_be_bytes());
            let ciphertext = Bytes::copy_from_slice(&id);
            let message = NewMessage { client_id: ClientId(id), ciphertext, ttl_ms: None, urgent: false };
            harness.store.append(Append { message, ..message_shell(ann, group) })
        })
        .collect();
    for append in appends {
        assert!(matches!(append.await, Ok(AppendOutcome::Accepted { .. })));
    }
    let report = harness.store.trim(START + 31 * DAY).await.expect("stored");
    assert!(report.more && (1..=1000).contains(&report.entries), "{report:?}");
    assert_eq!(report.entries + trim(&harness, START + 31 * DAY).await, 1501);
}

fn message_shell(from: Leaf, group: GroupId) -> Append {
    message(from, group, 1, 0)
}

#[tokio::test]
async fn a_message_whose_life_is_over_is_named_as_expired_and_its_body_goes() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let log = LogId::Group(group);
    // The store's clock is far ahead of these stories.
    let ages = Some(60 * 60 * 24 * 365 * 200 * 1000);
    for (number, ttl_ms) in [(1, Some(60_000)), (2, Some(61_000)), (3, ages), (4, None)] {
        let message = NewMessage { ttl_ms, urgent: true, ..new_message(ann, number) };
        let append = Append { message, ..message_shell(ann, group) };
        assert!(matches!(harness.store.append(append).await, Ok(AppendOutcome::Accepted { .. })));
    }
    let own = harness.page(log, ann, 0).await.expect("flows");
    let mut running = sovereign_proto::log::START;
    let mut hashes = Vec::new();
    for item in &own.items {
        let Item::Entry(entry) = item else { panic!("its sender learns which it was") };
        running = sovereign_proto::log::running_hash(&running, entry.seq, &entry.entry_hash);
        hashes.push(running);
    }
    assert!(harness.store.tail(log, 1).is_none(), "not from memory");
    assert_eq!(harness.store.tail(log, 3).map(|entries| entries.len()), Some(2));

    let bodies = || {
        harness.store.read(|db| {
            db.query_one("SELECT count(*) FROM entries WHERE kind = 1 AND body IS NOT NULL", [], |row| row.get::<_, u32>(0))
        })
    };
    for (now, left) in [(START, 4), (START + 60_000, 3), (START + 61_000, 2)] {
        trim(&harness, now).await;
        assert_eq!(bodies().await, Ok(left));
        let page = harness.page(log, ben, 1).await.expect("flows");
        for (item, (seq, running)) in page.items.iter().zip([(2, hashes[1]), (3, hashes[2])]) {
            let Item::Skipped { from, to, reason: SkipReason::Expired, running_hash, .. } = item else { panic!("expired") };
            assert_eq!((*from, *to, *running_hash), (seq, seq, running));
        }
        let [_, _, Item::Entry(lives), Item::Entry(plain)] = &page.items[..] else { panic!("two are left") };
        assert!(lives.urgent && lives.expires_at.is_some() && plain.expires_at.is_none() && !plain.body.is_empty());
    }
    let back = harness.store.page_back(log, ben.device_id, 4, 9).await.expect("read").expect("a window");
    assert!(matches!(back.items[..], [Item::Skipped { from: 3, to: 3, .. }, Item::Skipped { from: 2, to: 2, .. }]));
    let message = NewMessage { ttl_ms: Some(60_000), ..new_message(ann, 1) };
    let again = harness.store.append(Append { message, ..message_shell(ann, group) }).await;
    assert_eq!(again, Ok(AppendOutcome::Duplicate { seq: 2, time: START }));
}

#[tokio::test]
async fn commits_of_too_many_bytes_go_from_the_oldest() {
    let harness = Harness::with(Options { commit_bytes_kept: 100, disk_reserve: 0, ..Options::default() });
    let (ann, ben, group) = two(&harness).await;
    for epoch in 1..10 {
        accepted(&harness.store.accept_commit(plan(group, ann, epoch)).await.expect("stored"));
    }
    trim(&harness, START).await;
    let page = harness.page(LogId::Group(group), ben, 1).await.expect("flows");
    assert!(matches!(page.items[0], Item::Skipped { from: 2, to: 3, .. }), "ten of sixteen bytes each: the first three");
    assert_eq!(page.items.len(), 8);
}

#[tokio::test]
async fn an_init_key_is_remembered_as_long_as_somebody_could_use_it() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    let publish = |now| harness.store.publish_key_packages(ann.device_id, vec![key_package(ann, 1)], None, true, 100, now);
    assert!(matches!(publish(START).await, Ok(PublishKeyPackagesOutcome::Published(_))));
    trim(&harness, START + 199 * DAY).await;
    assert!(matches!(publish(START + 199 * DAY).await, Ok(PublishKeyPackagesOutcome::Repeated { index: 0 })));
    trim(&harness, START + 200 * DAY).await;
    assert!(matches!(publish(START + 200 * DAY).await, Ok(PublishKeyPackagesOutcome::Published(_))));
}

#[tokio::test]
async fn a_clock_that_is_moved_ahead_ends_nobodys_messages() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = DataDir::open(directory.path().join("data")).expect("free");
    let clock = Clock::default();
    let store = Store::open(&data, Options { disk_reserve: 0, ..Options::default() }, clock.clone()).expect("opens");
    let harness = Harness { store, directory, data };
    let (ann, ben, group) = two(&harness).await;
    let now = clock.settled_ms();
    let message = NewMessage { ttl_ms: Some(3_600_000), ..new_message(ann, 1) };
    harness.store.append(Append { message, now, ..message_shell(ann, group) }).await.expect("stored");
    trim(&harness, clock.settled_ms()).await;
    clock.step(400 * DAY.cast_signed());
    assert_eq!(trim(&harness, clock.settled_ms()).await, 0, "no month has passed");
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2]), "and no hour");
    clock.step(-400 * DAY.cast_signed());
    assert_eq!(trim(&harness, clock.settled_ms()).await, 0);
    clock.advance(31 * DAY.cast_signed());
    assert_eq!(trim(&harness, clock.settled_ms()).await, 1, "time that passes does end them");
}

#[tokio::test]
async fn what_everybody_has_read_or_what_has_expired_takes_no_room_any_more() {
    let options = Options { disk_reserve: 0, account_bytes: 10, group_bytes: 12, ..Options::default() };
    let harness = Harness::with(options);
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    let message = NewMessage { ttl_ms: Some(60_000), ..new_message(ann, 2) };
    let mortal = harness.store.append(Append { message, ..message_shell(ann, group) }).await;
    assert!(matches!(mortal, Ok(AppendOutcome::Accepted { .. })));
    assert_eq!(harness.send(ann, group, 1, 3).await, AppendOutcome::AccountFull(Quota { used: 8, limit: 10 }));
    assert_eq!(harness.send(ann, group, 1, 1).await, AppendOutcome::Duplicate { seq: 2, time: START }, "sent before");
    harness.send(ben, group, 1, 3).await;
    assert_eq!(harness.send(ben, group, 1, 4).await, AppendOutcome::GroupFull(Quota { used: 12, limit: 12 }));

    trim(&harness, START + 60_000).await;
    assert!(matches!(harness.send(ben, group, 1, 4).await, AppendOutcome::Accepted { .. }));
    for leaf in [ann, ben] {
        acknowledge(&harness, leaf, group, 5).await;
    }
    trim(&harness, START + 60_000).await;
    assert!(matches!(harness.send(ann, group, 1, 5).await, AppendOutcome::Accepted { .. }));
    harness.store.close().await.expect("closes");
    let after = harness.crashed_with(options);
    let usage = |account: AccountId| {
        let usage = after.store.usage(account, Some(group));
        async move { usage.await.map(|(account, group)| (account.used, group.map(|group| group.used))) }
    };
    assert_eq!(usage(ann.account_id).await, Ok((4, Some(4))), "what was sent last");
    assert_eq!(usage(ben.account_id).await, Ok((0, Some(4))));
}
