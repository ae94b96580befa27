use super::*;

async fn visible(harness: &Harness, viewer: Leaf, subject: Leaf) -> bool {
    let seen = harness.store.visible(viewer.account_id, &[AccountId([77; 16]), subject.account_id]).await.expect("read");
    assert!(seen.iter().all(|seen| seen.account == subject.account_id), "nothing of who does not exist");
    !seen.is_empty()
}

/// Two people in a group that both have accepted.
async fn acquainted(harness: &Harness) -> (Leaf, Leaf, GroupId) {
    let (ann, ben, group) = two(harness).await;
    assert_eq!(harness.store.accept_group(ben.account_id, group).await, Ok(true));
    (ann, ben, group)
}

/// Account, delivered, read of everybody in the group.
async fn receipts(harness: &Harness, group: GroupId) -> Vec<(u8, Seq, Seq)> {
    let receipts = harness.store.receipts(vec![group]).await.expect("read").remove(0).1;
    receipts.iter().map(|receipt| (receipt.account.0[0], receipt.delivered, receipt.read)).collect()
}

#[tokio::test]
async fn who_shares_a_group_sees_and_is_seen_until_the_last_one_is_left() {
    let harness = Harness::new();
    let (ann, ben, group) = acquainted(&harness).await;
    let eve = harness.person(3).await;
    assert!(visible(&harness, ann, ben).await && visible(&harness, ben, ann).await);
    assert!(!visible(&harness, ann, ann).await, "nobody watches themselves");
    for other in [ann, ben] {
        assert!(!visible(&harness, eve, other).await && !visible(&harness, other, eve).await);
    }
    harness.store.set_enabled("person2".to_owned(), false, START).await.expect("stored");
    assert!(!visible(&harness, ann, ben).await, "a disabled account is none");
    harness.store.set_enabled("person2".to_owned(), true, START).await.expect("stored");
    assert_eq!(harness.store.leave(group, ben.device_id).await, Ok(true));
    assert!(!visible(&harness, ann, ben).await && !visible(&harness, ben, ann).await, "asking to leave is enough");
}

#[tokio::test]
async fn last_seen_moves_forward_and_not_while_it_is_hidden() {
    let harness = Harness::new();
    let (ann, ben, _) = acquainted(&harness).await;
    let there = |time| harness.store.note_there(vec![(ben.account_id, time)]);
    let hide = |hide| PrivacyChange { hide_presence: Some(hide), hide_receipts: None };
    there(300).await.expect("stored");
    there(200).await.expect("stored");
    let seen = harness.store.visible(ann.account_id, &[ben.account_id]).await.expect("read");
    assert_eq!(seen, [Seen { account: ben.account_id, hidden: false, last_there: 300 }]);
    harness.store.set_privacy(ben.account_id, hide(true)).await.expect("stored");
    there(400).await.expect("stored");
    let privacy = harness.store.privacy(ben.account_id).await.expect("read");
    assert_eq!(privacy, Some(Privacy { hide_presence: true, hide_receipts: false, last_there: 300 }));
    assert_eq!(harness.crashed().store.privacy(ben.account_id).await, Ok(privacy), "it is durable");
}

#[tokio::test]
async fn only_durable_cursors_are_delivered_and_a_restart_keeps_them() {
    let harness = Harness::new();
    let (ann, ben, group) = acquainted(&harness).await;
    for number in 1..=3 {
        harness.send(ann, group, 1, number).await;
    }
    assert_eq!(receipts(&harness, group).await, [(1, 0, 0), (2, 0, 0)], "a window begins with nothing delivered");
    let _before = harness.store.movements();
    harness.store.acknowledge(ben.device_id, vec![(LogId::Group(group), 3)]);
    assert_eq!(receipts(&harness, group).await, [(1, 0, 0), (2, 0, 0)], "what only memory knows does not show");
    assert!(harness.store.movements().is_empty(), "and moves nothing");
    harness.store.flush_acknowledgements().await.expect("stored");
    assert_eq!(receipts(&harness, group).await, [(1, 0, 0), (2, 3, 0)]);
    let moved = harness.store.movements();
    assert_eq!(moved, [(group, [(ben.account_id, Movement { read: false })].into())]);
    assert!(harness.store.movements().is_empty(), "told once");
    assert_eq!(receipts(&harness.crashed(), group).await, [(1, 0, 0), (2, 3, 0)]);
}

#[tokio::test]
async fn the_furthest_device_of_an_account_counts() {
    let harness = Harness::new();
    let (ann, ben, group) = acquainted(&harness).await;
    let tablet = Leaf { account_id: ben.account_id, device_id: second(2).device_id };
    harness.store.enrol_pending(ben.account_id, second(2), START).await.expect("stored");
    super::accounts::publish(&harness, ben, 2, &[ben.device_id, tablet.device_id]).await.expect("published");
    harness.stock_up(tablet, 50, 1).await;
    harness.add(ann, group, 1, tablet).await;
    harness.acknowledge_own_log(tablet).await;
    harness.send(ann, group, 2, 1).await;
    harness.store.acknowledge(ben.device_id, vec![(LogId::Group(group), 2)]);
    harness.store.acknowledge(tablet.device_id, vec![(LogId::Group(group), 3)]);
    harness.store.flush_acknowledgements().await.expect("stored");
    assert_eq!(receipts(&harness, group).await, [(1, 0, 0), (2, 3, 0)]);
}

#[tokio::test]
async fn read_markers_move_forward_up_to_the_head_and_only_for_members() {
    let harness = Harness::new();
    let (ann, ben, group) = acquainted(&harness).await;
    let eve = harness.person(3).await;
    for number in 1..=3 {
        harness.send(ann, group, 1, number).await;
    }
    let read = |leaf: Leaf, seq| harness.store.mark_read(group, leaf.device_id, seq);
    assert_eq!(read(ben, 1).await, Ok(Some(0)), "not of what stands before the join");
    assert_eq!(read(ben, 3).await, Ok(Some(3)));
    assert_eq!(read(ben, 2).await, Ok(Some(3)));
    assert_eq!(read(ben, Seq::MAX).await, Ok(Some(4)), "what is beyond the head is the head");
    assert_eq!(read(eve, 3).await, Ok(None));
    assert_eq!(harness.store.mark_read(GroupId([9; 32]), ben.device_id, 3).await, Ok(None));
    assert_eq!(receipts(&harness, group).await, [(1, 0, 0), (2, 0, 4)]);
    harness.remove(ann, group, 1, ben).await;
    assert_eq!(read(ben, 5).await, Ok(None), "not any more");
    assert_eq!(receipts(&harness, group).await, [(1, 0, 0)]);
}

#[tokio::test]
async fn large_groups_and_none_have_no_receipts() {
    let harness = Harness::new();
    let (ann, _, group) = acquainted(&harness).await;
    for name in 3..=65 {
        let other = harness.person(name).await;
        harness.stock_up(other, 0, 1).await;
        harness.add(ann, group, Epoch::from(name) - 2, other).await;
        assert_eq!(harness.store.accept_group(other.account_id, group).await, Ok(true));
        assert_eq!(receipts(&harness, group).await.len(), if name <= 64 { usize::from(name) } else { 0 });
    }
    assert!(receipts(&harness, GroupId([9; 32])).await.is_empty());
}

#[tokio::test]
async fn receipts_name_who_stands_blocked_to_whom_and_a_request_has_none() {
    let harness = Harness::new();
    let (ann, ben, group) = acquainted(&harness).await;
    let eve = harness.person(3).await;
    harness.stock_up(eve, 0, 5).await;
    harness.add(ann, group, 1, eve).await;
    let blocked = async || {
        let receipts = harness.store.receipts(vec![group]).await.expect("read").remove(0).1;
        receipts.into_iter().map(|receipt| (receipt.account, receipt.blocked)).collect::<Vec<_>>()
    };
    let (anns, bens, eves) = (ann.account_id, ben.account_id, eve.account_id);
    assert_eq!(blocked().await, [(anns, vec![]), (bens, vec![])], "Eve has not accepted the group");
    harness.store.accept_group(eves, group).await.expect("stored");
    harness.store.set_relation(eves, bens, RelationChange::Block, START).await.expect("stored");
    assert_eq!(blocked().await, [(anns, vec![]), (bens, vec![eves]), (eves, vec![bens])], "for both, whoever it was");
}
