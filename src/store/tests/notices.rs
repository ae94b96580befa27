//! Notices reach every device once, whatever happens in between.

use super::*;

fn notice(account: Option<AccountId>) -> NewNotice {
    NewNotice { account, body: Bytes::from_static(b"words of the operator"), now: START }
}

async fn begun(harness: &Harness, account: Option<AccountId>) -> i64 {
    match harness.store.begin_notice(notice(account)).await.expect("stored") {
        NoticeOutcome::Begun(number) => number,
        NoticeOutcome::TooMany => panic!("refused"),
    }
}

/// The notices on a device's log.
async fn notices(harness: &Harness, leaf: Leaf) -> usize {
    let page = harness.page(LogId::Device(leaf.device_id), leaf, 0).await.expect("its own log");
    let body = &b"words of the operator"[..];
    let hash = sovereign_proto::log::entry_hash(Kind::Notice, body);
    let words = |item: &&Item| matches!(item, Item::Entry(entry) if entry.kind == Kind::Notice && entry.body == body && entry.entry_hash == hash);
    page.items.iter().filter(words).count()
}

async fn bodies(harness: &Harness) -> i64 {
    harness.store.read(|db| db.query_one("SELECT count(*) FROM bodies", [], |row| row.get(0))).await.expect("read")
}

#[tokio::test]
async fn a_notice_that_a_crash_interrupts_reaches_the_others_afterwards_and_nobody_twice() {
    let harness = Harness::new();
    let mut people = Vec::new();
    for name in 1..=10 {
        people.push(harness.person(name).await);
    }
    let number = begun(&harness, None).await;
    let later = harness.person(11).await;
    let step = harness.store.advance_notice(number, 4).await.expect("stored");
    assert_eq!((step.reached.len(), step.done), (4, false));
    // Everybody who has it reads it and it is trimmed: the others still get it.
    for leaf in &people[..4] {
        harness.acknowledge_own_log(*leaf).await;
    }
    harness.store.trim(START).await.expect("trimmed");

    let after = harness.crashed();
    assert_eq!(after.store.open_notices().await, Ok(vec![number]));
    assert_eq!(after.store.advance_notice(number, 4).await.expect("stored").reached.len(), 4);
    let last = after.store.advance_notice(number, 4).await.expect("stored");
    assert_eq!((last.reached.len(), last.done), (2, true));
    assert_eq!(after.store.advance_notice(number, 4).await, Ok(NoticeStep { reached: Vec::new(), done: true }));
    for leaf in &people[4..] {
        assert_eq!(notices(&after, *leaf).await, 1);
    }
    assert_eq!(notices(&after, later).await, 0, "it was not there when it was said");
    assert_eq!(bodies(&after).await, 1, "all share one body");
    for leaf in &people {
        after.acknowledge_own_log(*leaf).await;
    }
    after.store.trim(START).await.expect("trimmed");
    assert_eq!(bodies(&after).await, 0);
}

#[tokio::test]
async fn a_notice_is_for_active_devices_of_enabled_accounts() {
    let harness = Harness::new();
    let (ann, ben, cid) = (harness.person(1).await, harness.person(2).await, harness.person(3).await);
    harness.store.enrol_pending(ann.account_id, second(1), START).await.expect("stored");
    harness.store.set_enabled("person2".into(), false, START).await.expect("stored");
    let number = begun(&harness, None).await;
    let step = harness.store.advance_notice(number, 100).await.expect("stored");
    assert_eq!((step.reached, step.done), (vec![ann.device_id, cid.device_id], true));
    let number = begun(&harness, Some(cid.account_id)).await;
    assert_eq!(harness.store.advance_notice(number, 100).await.expect("stored").reached, [cid.device_id]);
    assert_eq!((notices(&harness, ann).await, notices(&harness, ben).await, notices(&harness, cid).await), (1, 0, 2));
}

#[tokio::test]
async fn a_bounded_number_of_notices_is_on_its_way() {
    let harness = Harness::new();
    for _ in 0..crate::limits::NOTICES_OPEN {
        begun(&harness, None).await;
    }
    assert_eq!(harness.store.begin_notice(notice(None)).await, Ok(NoticeOutcome::TooMany));
}

#[tokio::test]
async fn a_notice_to_everybody_leaves_the_tail_to_busy_groups() {
    let harness = Harness::with(Options { disk_reserve: 0, tail_bytes: 64 << 10, ..Options::default() });
    let (ann, _ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    for name in 10..=90 {
        harness.person(name).await;
    }
    let number = begun(&harness, None).await;
    assert!(harness.store.advance_notice(number, 100).await.expect("stored").done);
    assert_eq!(harness.store.tail(LogId::Group(group), 1).map(|entries| entries.len()), Some(1));
    assert_eq!(harness.store.tail(LogId::Device(ann.device_id), 0).map(|entries| entries.len()), None, "it asks the store");
    assert_eq!(notices(&harness, ann).await, 1);
}
