use super::*;

#[tokio::test]
async fn nothing_flows_before_the_welcome_and_nothing_from_before_the_join() {
    let harness = Harness::new();
    let (ann, ben) = (harness.person(1).await, harness.person(2).await);
    let group = harness.group(1, ann).await;
    for number in 1..=3 {
        harness.send(ann, group, 0, number).await;
    }
    harness.stock_up(ben, 0, 1).await;
    assert_eq!(harness.add(ann, group, 0, ben).await, 4);
    harness.send(ann, group, 1, 4).await;
    assert_eq!(harness.seqs(group, ben, 0).await, None);
    assert_eq!(harness.store.members(group).await.map(|members| members.len()), Ok(2));
    assert_eq!(harness.acknowledge_own_log(ben).await, [group]);
    assert_eq!(harness.seqs(group, ben, 0).await, Some(vec![5]), "positions below the join are clamped to it");
}

#[tokio::test]
async fn a_removed_device_reads_up_to_its_removal() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    let removal = harness.remove(ann, group, 1, ben).await;
    harness.send(ann, group, 2, 2).await;
    let page = harness.page(LogId::Group(group), ben, 1).await.expect("drains");
    assert_eq!(page.items.iter().map(seq).collect::<Vec<_>>(), [2, removal]);
    assert_eq!((page.head, page.ended, page.more), (removal, true, false));
    assert_eq!(harness.send(ben, group, 1, 9).await, AppendOutcome::NotFound);
    let tail = harness.store.tail(LogId::Group(group), 2).expect("in memory");
    assert_eq!(&*tail[0].removes, [ben.device_id], "live sessions stop here");
    let own = harness.page(LogId::Device(ben.device_id), ben, 1).await.expect("its own log");
    assert!(matches!(&own.items[..], [Item::Entry(entry)] if entry.kind == Kind::Removed));
    harness.store.acknowledge(ben.device_id, vec![(LogId::Group(group), Seq::MAX)]);
    harness.store.flush_acknowledgements().await.expect("stored");
    assert_eq!(harness.seqs(group, ben, 0).await, None, "the window has drained");
}

#[tokio::test]
async fn a_second_window_flows_when_the_first_has_drained_and_the_welcome_is_acknowledged() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let log = LogId::Group(group);
    let removal = harness.remove(ann, group, 1, ben).await;
    harness.send(ann, group, 2, 1).await;
    let again = harness.add(ann, group, 2, ben).await;
    harness.send(ann, group, 3, 2).await;
    assert_eq!(harness.seqs(group, ben, 0).await, Some(vec![removal]));
    assert_eq!(harness.acknowledge_own_log(ben).await, [], "the first window goes on flowing; the second waits for it");
    assert_eq!(harness.seqs(group, ben, 0).await, Some(vec![removal]));
    harness.store.acknowledge(ben.device_id, vec![(log, removal)]);
    let position = harness.store.position(log, ben.device_id).await.expect("read").expect("flows");
    assert_eq!((position.cursor, position.end), (removal, Some(removal)), "not durable yet, and nothing is behind it");
    assert_eq!(harness.store.flush_acknowledgements().await, Ok(vec![(ben.device_id, group)]));
    assert_eq!(harness.seqs(group, ben, removal).await, Some(vec![again + 1]), "the message between the windows is nobody's");
    let position = harness.store.position(log, ben.device_id).await.expect("read").expect("flows");
    assert_eq!((position.first_available, position.head, position.cursor), (again + 1, again + 1, again));
    assert_eq!(position.end, None);
}

#[tokio::test]
async fn a_second_window_waits_for_its_welcome_also_when_the_first_has_drained() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let removal = harness.remove(ann, group, 1, ben).await;
    harness.add(ann, group, 2, ben).await;
    harness.store.acknowledge(ben.device_id, vec![(LogId::Group(group), removal)]);
    assert_eq!(harness.store.flush_acknowledgements().await, Ok(vec![]));
    assert_eq!(harness.seqs(group, ben, 0).await, None);
    assert_eq!(harness.acknowledge_own_log(ben).await, [group]);
    assert_eq!(harness.seqs(group, ben, 0).await, Some(vec![]));
}

#[tokio::test]
async fn history_goes_back_over_both_windows_and_not_between_them() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    let removal = harness.remove(ann, group, 1, ben).await;
    harness.send(ann, group, 2, 2).await;
    let again = harness.add(ann, group, 2, ben).await;
    harness.send(ann, group, 3, 3).await;
    harness.acknowledge_own_log(ben).await;
    let page = harness.store.page_back(LogId::Group(group), ben.device_id, Seq::MAX, 9).await.expect("read").expect("windows");
    let ranges: Vec<(Seq, Seq)> = page
        .items
        .iter()
        .map(|item| match item {
            Item::Entry(entry) => (entry.seq, entry.seq),
            Item::Skipped { from, to, reason, .. } => {
                assert_eq!(*reason, SkipReason::BeforeJoin);
                (*from, *to)
            }
        })
        .collect();
    assert_eq!(ranges, [(again + 1, again + 1), (removal + 1, again), (removal, removal), (2, 2)]);
    assert!(!page.more);
}

#[tokio::test]
async fn acknowledgements_are_monotone_cumulative_and_bounded_by_the_head() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let log = LogId::Group(group);
    for number in 1..=4 {
        harness.send(ann, group, 1, number).await;
    }
    let cursor = async || harness.store.position(log, ben.device_id).await.expect("read").expect("flows").cursor;
    harness.store.acknowledge(ben.device_id, vec![(log, 4), (log, 2)]);
    assert_eq!(cursor().await, 4, "known at once");
    harness.store.flush_acknowledgements().await.expect("stored");
    harness.store.acknowledge(ben.device_id, vec![(log, 3)]);
    harness.store.flush_acknowledgements().await.expect("stored");
    assert_eq!(cursor().await, 4);
    harness.store.acknowledge(ben.device_id, vec![(log, Seq::MAX)]);
    harness.store.flush_acknowledgements().await.expect("stored");
    assert_eq!(cursor().await, 5);
    harness.send(ann, group, 1, 5).await;
    assert_eq!(cursor().await, 5, "what comes later was not acknowledged");
    let foreign = LogId::Device(ann.device_id);
    assert_eq!(
        harness.store.acknowledge_now(ben.device_id, vec![(foreign, 1), (LogId::Group(GroupId([9; 32])), 1)]).await,
        Ok(vec![])
    );
}

#[tokio::test]
async fn sign_in_tells_the_news_and_repairs_forward_only() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let log = LogId::Group(group);
    for number in 1..=4 {
        harness.send(ann, group, 1, number).await;
    }
    let sign_in = async |incarnation, positions| match harness.sign_in(ben, Arrival { incarnation, positions }).await {
        Ok(SignInOutcome::SignedIn(signed_in)) => Some(signed_in),
        Ok(SignInOutcome::RolledBack) => None,
        _ => panic!("refused"),
    };
    let signed_in = sign_in(3, vec![]).await.expect("new");
    assert_eq!(signed_in.groups, [group]);
    assert_eq!(signed_in.news, [LogPosition { log, first_available: 2, head: 5, cursor: 1, end: None }]);
    assert_eq!(signed_in.stock.available, 4);
    let repaired = sign_in(3, vec![(log, 4)]).await.expect("the same incarnation");
    assert_eq!(repaired.news[0].cursor, 4);
    assert!(sign_in(2, vec![]).await.is_none(), "rolled back");
    let unchanged = sign_in(0, vec![(log, 2)]).await.expect("not stated");
    assert_eq!(unchanged.news[0].cursor, 4);
    assert!(sign_in(4, vec![(log, 99)]).await.expect("newer").news.is_empty());
    let device = harness.store.device(ben.device_id).await.expect("read").expect("known");
    assert_eq!((device.incarnation, device.last_seen), (4, START));
    harness.store.set_enabled("person2".to_owned(), false, START).await.expect("stored");
    let refused = harness.sign_in(ben, Arrival { incarnation: 4, positions: vec![] }).await;
    assert!(matches!(refused, Ok(SignInOutcome::Refused)));
}

#[tokio::test]
async fn what_is_stored_once_a_device_follows_its_groups_is_in_its_snapshot() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    // From now on there is nothing to write of Ben.
    assert_eq!(harness.tasks(ben).await, []);
    let (store, runtime) = (harness.store.clone(), tokio::runtime::Handle::current());
    let follow = move |groups: &[GroupId]| {
        assert_eq!(groups, [group], "asked once, and for all of them");
        let stored = runtime.block_on(store.append(message(ann, group, 1, 1)));
        assert!(stored.is_ok(), "whoever writes does not wait for whoever signs in");
    };
    let news = match harness.store.sign_in(ben.device_id, Arrival::default(), START, follow).await {
        Ok(SignInOutcome::SignedIn(signed_in)) => signed_in.news,
        _ => panic!("refused"),
    };
    assert_eq!(news.iter().map(|position| (position.log, position.head)).collect::<Vec<_>>(), [(LogId::Group(group), 2)]);
}
