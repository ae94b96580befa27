use sovereign_proto::log::{START as RUNNING_START, entry_hash, running_hash};

use super::*;
use crate::{
    clock::monotonic,
    order::{Behind, InOrder},
};

#[tokio::test]
async fn a_message_is_accepted_once_and_answered_the_same_for_ever() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    assert_eq!(harness.send(ann, group, 1, 1).await, AppendOutcome::Accepted { seq: 2, time: START });
    assert_eq!(
        harness.send(ben, group, 1, 1).await,
        AppendOutcome::Accepted { seq: 3, time: START },
        "ids are each sender's own"
    );
    let later = Append { now: START + 5, epoch: 0, ..message(ann, group, 1, 1) };
    assert_eq!(
        harness.store.append(later).await,
        Ok(AppendOutcome::Duplicate { seq: 2, time: START }),
        "before every other check"
    );
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2, 3]));
}

#[tokio::test]
async fn a_message_after_its_removal_is_still_a_duplicate() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ben, group, 1, 1).await;
    harness.remove(ann, group, 1, ben).await;
    assert_eq!(harness.send(ben, group, 1, 1).await, AppendOutcome::Duplicate { seq: 2, time: START });
    assert_eq!(harness.send(ben, group, 1, 2).await, AppendOutcome::NotFound);
}

#[tokio::test]
async fn another_device_cannot_send_a_copy() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    let mut copy = message(ben, group, 1, 9);
    copy.message.ciphertext = new_message(ann, 1).ciphertext;
    assert_eq!(harness.store.append(copy).await, Ok(AppendOutcome::Conflict));
}

#[tokio::test]
async fn a_proposals_id_is_no_messages() {
    let harness = Harness::new();
    let (ann, _, group) = two(&harness).await;
    let proposal = Bytes::from_static(b"update");
    let propose = |now| harness.store.propose(group, ann.device_id, 1, proposal.clone(), now);
    assert!(matches!(propose(START).await, Ok(ProposeOutcome::Accepted { seq: 2 })));
    assert!(matches!(propose(START + 1).await, Ok(ProposeOutcome::Duplicate { seq: 2 })));
    let state = harness.store.group_state(group).await.expect("read").expect("there");
    assert_eq!(state.proposals, std::slice::from_ref(&proposal));
    let hash: [u8; 32] =
        sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), &proposal)).into();
    let mut clash = message(ann, group, 1, 1);
    clash.message.client_id = ClientId::try_from(&hash[..16]).expect("16 bytes");
    assert_eq!(harness.store.append(clash).await, Ok(AppendOutcome::Conflict));
    accepted(&harness.store.accept_commit(plan(group, ann, 1)).await.expect("stored"));
    assert!(matches!(propose(START + 2).await, Ok(ProposeOutcome::Duplicate { seq: 2 })), "also when the epoch has passed");
    assert!(harness.store.group_state(group).await.expect("read").expect("there").proposals.is_empty());
}

#[tokio::test]
async fn proposals_of_an_epoch_are_bounded() {
    let harness = Harness::new();
    let (ann, _, group) = two(&harness).await;
    for number in 0..64_u8 {
        let outcome = harness.store.propose(group, ann.device_id, 1, Bytes::from(vec![number]), START).await;
        assert!(matches!(outcome, Ok(ProposeOutcome::Accepted { .. })));
    }
    let one_more = harness.store.propose(group, ann.device_id, 1, Bytes::from_static(b"more"), START).await;
    assert!(matches!(one_more, Ok(ProposeOutcome::TooMany)));
}

#[tokio::test]
async fn the_epoch_window_is_three_and_ends_at_a_removal() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    assert_eq!(harness.send(ann, group, 2, 1).await, AppendOutcome::ServerBehind);
    for epoch in 1..5 {
        accepted(&harness.store.accept_commit(plan(group, ann, epoch)).await.expect("stored"));
    }
    assert_eq!(harness.send(ben, group, 1, 1).await, AppendOutcome::Stale { current_epoch: 5 });
    assert!(matches!(harness.send(ben, group, 2, 2).await, AppendOutcome::Accepted { .. }));
    let cleo = harness.person(3).await;
    harness.stock_up(cleo, 0, 1).await;
    harness.add(ann, group, 5, cleo).await;
    harness.remove(ann, group, 6, cleo).await;
    assert_eq!(harness.send(ben, group, 6, 3).await, AppendOutcome::Stale { current_epoch: 7 });
    assert!(matches!(harness.send(ben, group, 7, 4).await, AppendOutcome::Accepted { .. }));
}

#[tokio::test]
async fn strangers_find_nothing() {
    let harness = Harness::new();
    let (_, _, group) = two(&harness).await;
    let eve = harness.person(5).await;
    for epoch in [0, 1, 99] {
        assert_eq!(harness.send(eve, group, epoch, 1).await, AppendOutcome::NotFound);
    }
    assert_eq!(harness.send(eve, GroupId([77; 32]), 0, 1).await, AppendOutcome::NotFound);
    assert!(harness.seqs(group, eve, 0).await.is_none());
    assert!(harness.store.page_back(LogId::Group(group), eve.device_id, 99, 9).await.expect("read").is_none());
    let foreign = LogId::Device(DeviceId([1; 16]));
    assert!(harness.page(foreign, eve, 0).await.is_none(), "nobody reads another device's log");
    assert_eq!(harness.store.membership(group, eve.device_id).await, Ok(Membership::None));
    assert_eq!(harness.store.leave(group, eve.device_id).await, Ok(false));
    assert!(matches!(harness.store.propose(group, eve.device_id, 1, Bytes::new(), START).await, Ok(ProposeOutcome::NotFound)));
    let said = harness.store.confirm(group, eve.device_id, 1, Verdict::Nack, START).await;
    assert!(matches!(said, Ok(ConfirmOutcome::NotFound)));
}

#[tokio::test]
async fn the_tail_serves_what_is_durable_and_pages_agree_with_it() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let log = LogId::Group(group);
    for number in 1..=10 {
        harness.send(ann, group, 1, number).await;
    }
    let tail = harness.store.tail(log, 3).expect("all in memory");
    let page = harness.page(log, ben, 3).await.expect("flows");
    assert_eq!(tail.len(), 8);
    for (entry, item) in tail.iter().zip(&page.items) {
        let Item::Entry(read) = item else { panic!("nothing is skipped") };
        assert_eq!(
            (entry.seq, entry.entry_hash, entry.sender, entry.sender_ref),
            (read.seq, read.entry_hash, read.sender, read.sender_ref)
        );
        assert_eq!(entry.body, read.body);
    }
    assert_eq!(harness.store.tail(log, 11).map(|entries| entries.len()), Some(0));
}

#[tokio::test]
async fn the_chain_of_running_hashes_holds() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ann, group, 1, 1).await;
    let commit = plan(group, ann, 0).commit;
    let at_join = running_hash(&RUNNING_START, 1, &entry_hash(Kind::Commit, &commit));
    let welcomes = welcomes(&harness, ben).await;
    assert_eq!((welcomes[0].join_seq, &welcomes[0].running_hash[..]), (1, &at_join[..]));
    assert_eq!(&welcomes[0].welcome[..], b"welcome");
}

#[tokio::test]
async fn pages_are_bounded_and_go_on_where_they_stopped() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    for number in 1..=20 {
        harness.send(ann, group, 1, number).await;
    }
    let page = |after, limit, bytes| harness.store.page(LogId::Group(group), ben.device_id, after, limit, bytes);
    let first = page(1, 5, 1 << 20).await.expect("read").expect("flows");
    assert_eq!((first.items.len(), first.head, first.more, first.ended), (5, 21, true, false));
    let small = page(6, 256, 9).await.expect("read").expect("flows");
    assert_eq!(small.items.len(), 2, "two bodies of four bytes in nine");
    let one = page(6, 256, 0).await.expect("read").expect("flows");
    assert_eq!(one.items.len(), 1, "always at least one");
    let rest = page(16, 256, 1 << 20).await.expect("read").expect("flows");
    assert_eq!((rest.items.len(), rest.more), (5, false));
    let beyond = page(Seq::MAX, 256, 1 << 20).await.expect("read").expect("flows");
    assert!(beyond.items.is_empty() && !beyond.more);
    let back = harness.store.page_back(LogId::Group(group), ben.device_id, 5, 2).await.expect("read").expect("a window");
    assert_eq!(back.items.iter().map(seq).collect::<Vec<_>>(), [4, 3]);
    assert!(back.more);
    let last = harness.store.page_back(LogId::Group(group), ben.device_id, 3, 9).await.expect("read").expect("a window");
    assert_eq!((last.items.iter().map(seq).collect::<Vec<_>>(), last.more), (vec![2], false), "nothing from before the join");
}

#[tokio::test]
async fn what_has_no_room_is_not_overtaken_by_something_smaller_behind_it() {
    let harness = Harness::with(Options { disk_reserve: 0, group_bytes: 6, ..Options::default() });
    let (ann, _, group) = two(&harness).await;
    let order = Arc::new(InOrder::default());
    let mut large = message(ann, group, 1, 1);
    large.message.ciphertext = Bytes::from_static(b"larger than the room");
    let taken = |append: &Append, anew| {
        let place = order.take(group, append.message.client_id, anew, monotonic());
        Some(place.unwrap_or_else(|Behind| panic!("nothing was refused when it came")))
    };
    let small = || message(ann, group, 1, 2);
    // Both have come before the first is refused.
    let (place_of_large, place_of_small) = (taken(&large, false), taken(&small(), false));
    let first = harness.store.append_in_place(large, place_of_large);
    let second = harness.store.append_in_place(small(), place_of_small);
    assert_eq!(first.await, Ok(AppendOutcome::GroupFull(Quota { used: 0, limit: 6 })));
    assert_eq!(second.await, Err(StoreError::Busy), "it would stand in front of the first");
    let place_anew = taken(&small(), true);
    let anew = harness.store.append_in_place(small(), place_anew).await;
    assert!(matches!(anew, Ok(AppendOutcome::Accepted { .. })), "its sender has given the first up: {anew:?}");
}
