use super::*;

/// What must not change when a commit is refused.
async fn picture(harness: &Harness, group: GroupId) -> (Epoch, Bytes, usize, Seq) {
    let state = harness.store.group_state(group).await.expect("read").expect("there");
    let members = harness.store.members(group).await.expect("read").len();
    let head = harness.store.position(LogId::Group(group), leaf(1).device_id).await.expect("read").expect("flows").head;
    (state.epoch, state.group_info, members, head)
}

#[tokio::test]
async fn a_refused_commit_writes_nothing_and_consumes_no_epoch() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let (cleo, eve) = (harness.person(3).await, harness.person(5).await);
    harness.stock_up(cleo, 0, 3).await;
    harness.send(ann, group, 1, 1).await;
    let claimed = harness.claimed(ann, group, 1, cleo).await;
    let before = picture(&harness, group).await;
    let good = || CommitPlan { added: vec![(cleo, claimed.clone())], ..plan(group, ann, 1) };
    let mut taken_id = new_message(ann, 1);
    taken_id.ciphertext = Bytes::from_static(b"other");
    let twice = vec![new_message(ann, 8), new_message(ann, 8)];
    let elsewhere = harness.group(2, ann).await;
    let for_elsewhere = harness.claimed(ann, elsewhere, 2, cleo).await;

    let refused = |plan| async { harness.store.accept_commit(plan).await.expect("stored") };
    assert!(matches!(refused(CommitPlan { from_epoch: 0, ..good() }).await, CommitOutcome::Stale { current_epoch: 1 }));
    assert!(matches!(refused(CommitPlan { from_epoch: 2, ..good() }).await, CommitOutcome::ServerBehind));
    assert!(matches!(refused(CommitPlan { from_epoch: u64::MAX, ..good() }).await, CommitOutcome::ServerBehind));
    assert!(matches!(refused(CommitPlan { committer: eve, ..good() }).await, CommitOutcome::NotFound));
    assert!(matches!(refused(CommitPlan { committer: eve, external: true, ..good() }).await, CommitOutcome::NotFound));
    assert!(matches!(refused(CommitPlan { group: GroupId([99; 32]), ..good() }).await, CommitOutcome::NotFound));
    assert!(matches!(refused(CommitPlan { removed: vec![eve], ..good() }).await, CommitOutcome::Conflict));
    assert!(matches!(refused(CommitPlan { removed: vec![ben, ben], ..good() }).await, CommitOutcome::Conflict));
    assert!(
        matches!(refused(CommitPlan { removed: vec![ann], ..good() }).await, CommitOutcome::NotFound),
        "never its own committer"
    );
    let unclaimed = CommitPlan { added: vec![(cleo, b"other".to_vec())], ..good() };
    assert!(matches!(refused(unclaimed).await, CommitOutcome::BadAdd(id) if id == cleo.device_id));
    let foreign = CommitPlan { added: vec![(cleo, for_elsewhere)], ..good() };
    assert!(matches!(refused(foreign).await, CommitOutcome::BadAdd(_)), "claimed for another group");
    let member = CommitPlan { added: vec![(ben, claimed.clone())], ..good() };
    assert!(matches!(refused(member).await, CommitOutcome::BadAdd(id) if id == ben.device_id));
    let doubled = CommitPlan { added: vec![(cleo, claimed.clone()), (cleo, claimed.clone())], ..good() };
    assert!(matches!(refused(doubled).await, CommitOutcome::BadAdd(_)));
    let wrong_account = Leaf { account_id: eve.account_id, ..cleo };
    let lie = CommitPlan { added: vec![(wrong_account, claimed.clone())], ..good() };
    assert!(matches!(refused(lie).await, CommitOutcome::BadAdd(_)));
    assert!(matches!(refused(CommitPlan { messages: vec![taken_id], ..good() }).await, CommitOutcome::Conflict));
    assert!(matches!(refused(CommitPlan { messages: twice, ..good() }).await, CommitOutcome::Conflict));
    assert_eq!(picture(&harness, group).await, before);
    assert!(welcomes(&harness, cleo).await.is_empty());

    harness.store.set_enabled("person3".to_owned(), false, START).await.expect("stored");
    assert!(matches!(refused(good()).await, CommitOutcome::BadAdd(_)), "a disabled account");
    harness.store.set_enabled("person3".to_owned(), true, START).await.expect("stored");
    accepted(&refused(good()).await);
}

#[tokio::test]
async fn a_bundle_is_accepted_as_one_and_again_as_a_duplicate() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let cleo = harness.person(3).await;
    harness.stock_up(cleo, 0, 1).await;
    let added = vec![(cleo, harness.claimed(ann, group, 1, cleo).await)];
    let messages = vec![new_message(ann, 1), new_message(ann, 2)];
    let bundle = || CommitPlan { added: added.clone(), messages: messages.clone(), ..plan(group, ann, 1) };
    let outcome = harness.store.accept_commit(bundle()).await.expect("stored");
    let CommitOutcome::Accepted { seq: 2, epoch: 2, duplicate: false, head: 4, notified, .. } = outcome else {
        panic!("refused")
    };
    assert_eq!(notified, [cleo.device_id]);
    let again = harness.store.accept_commit(bundle()).await.expect("stored");
    assert!(matches!(again, CommitOutcome::Accepted { seq: 2, epoch: 2, duplicate: true, .. }));
    assert_eq!(harness.store.known_commit(group, ann.device_id, bundle().bundle_hash).await, Ok(Some((2, 2))));
    assert_eq!(harness.store.known_commit(group, ben.device_id, bundle().bundle_hash).await, Ok(None));
    let other_bundle = CommitPlan { bundle_hash: [9; 32], ..bundle() };
    assert!(matches!(harness.store.accept_commit(other_bundle).await, Ok(CommitOutcome::Conflict)));
    assert_eq!(harness.send(ann, group, 2, 1).await, AppendOutcome::Duplicate { seq: 3, time: START });
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2, 3, 4]));
    harness.acknowledge_own_log(cleo).await;
    assert_eq!(harness.seqs(group, cleo, 0).await, Some(vec![3, 4]), "the new epoch's messages, not the commit");
}

#[tokio::test]
async fn one_of_many_wins_an_epoch() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let one = harness.store.accept_commit(plan(group, ann, 1));
    let other = harness.store.accept_commit(plan(group, ben, 1));
    let (one, other) = tokio::join!(one, other);
    assert!(matches!(one, Ok(CommitOutcome::Accepted { epoch: 2, .. })), "written in the order of the calls");
    assert!(matches!(other, Ok(CommitOutcome::Stale { current_epoch: 2 })));
}

#[tokio::test]
async fn a_welcome_for_many_is_stored_once() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    let group = harness.group(1, ann).await;
    let mut added = Vec::new();
    for name in 10..30 {
        let person = harness.person(name).await;
        harness.stock_up(person, 0, 1).await;
        added.push((person, harness.claimed(ann, group, name, person).await));
    }
    let welcome = Bytes::from(vec![5; 100_000]);
    accepted(
        &harness
            .store
            .accept_commit(CommitPlan { added, welcome: welcome.clone(), ..plan(group, ann, 0) })
            .await
            .expect("stored"),
    );
    for name in 10..30 {
        assert_eq!(welcomes(&harness, leaf(name)).await[0].welcome, welcome);
    }
    harness.store.close().await.expect("closes");
    let size = std::fs::metadata(harness.data.path().join("sovereign.db")).expect("there").len();
    assert!(size < 800_000, "{size} bytes");
}

#[tokio::test]
async fn a_further_device_joins_by_external_commit_and_comes_back_by_one() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let tablet = second(2);
    harness.store.enrol_pending(ben.account_id, tablet, START).await.expect("stored");
    let joiner = Leaf { account_id: ben.account_id, device_id: tablet.device_id };
    let join = |epoch, removed| CommitPlan { external: true, removed, ..plan(group, joiner, epoch) };
    assert_eq!(harness.store.membership(group, joiner.device_id).await, Ok(Membership::None), "pending");
    assert!(matches!(harness.store.accept_commit(join(1, vec![])).await, Ok(CommitOutcome::NotFound)));
    super::accounts::publish(&harness, ben, 2, &[ben.device_id, tablet.device_id]).await;
    assert_eq!(harness.store.membership(group, joiner.device_id).await, Ok(Membership::AccountOnly));
    assert!(
        matches!(harness.store.accept_commit(join(1, vec![ann])).await, Ok(CommitOutcome::NotFound)),
        "it removes nobody else"
    );
    let seq = accepted(&harness.store.accept_commit(join(1, vec![])).await.expect("stored"));
    assert_eq!(harness.store.membership(group, joiner.device_id).await, Ok(Membership::Member));
    harness.send(ann, group, 2, 1).await;
    assert_eq!(
        harness.seqs(group, joiner, 0).await,
        Some(vec![seq + 1]),
        "no Welcome is needed and its own commit stands before"
    );
    let back = accepted(&harness.store.accept_commit(join(2, vec![joiner])).await.expect("stored"));
    assert_eq!(harness.seqs(group, joiner, 0).await, Some(vec![]));
    assert_eq!(harness.store.position(LogId::Group(group), joiner.device_id).await.map(|p| p.map(|p| p.cursor)), Ok(Some(back)));
    assert_eq!(harness.store.members(group).await.map(|members| members.len()), Ok(3));
}

#[tokio::test]
async fn removed_and_added_anew_in_one_commit() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let added = vec![(ben, harness.claimed(ann, group, 9, ben).await)];
    let seq = accepted(
        &harness.store.accept_commit(CommitPlan { added, removed: vec![ben], ..plan(group, ann, 1) }).await.expect("stored"),
    );
    assert_eq!(harness.store.members(group).await.map(|members| members.len()), Ok(2));
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![seq]), "the first window drains");
    harness.acknowledge_own_log(ben).await;
    harness.store.acknowledge(ben.device_id, vec![(LogId::Group(group), seq)]);
    assert_eq!(harness.store.flush_acknowledgements().await, Ok(vec![(ben.device_id, group)]));
    harness.send(ann, group, 2, 1).await;
    assert_eq!(harness.seqs(group, ben, seq).await, Some(vec![seq + 1]));
}

#[tokio::test]
async fn who_leaves_may_read_but_not_send_until_removed() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.send(ben, group, 1, 1).await;
    assert_eq!(harness.store.leave(group, ben.device_id).await, Ok(true));
    assert_eq!(harness.store.leave(group, ben.device_id).await, Ok(true));
    assert_eq!(harness.store.membership(group, ben.device_id).await, Ok(Membership::Leaving));
    assert_eq!(harness.send(ben, group, 1, 2).await, AppendOutcome::NotFound);
    assert!(matches!(harness.store.accept_commit(plan(group, ben, 1)).await, Ok(CommitOutcome::NotFound)));
    harness.send(ann, group, 1, 3).await;
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2, 3]));
    let asked = Leaf { account_id: ben.account_id, device_id: ben.device_id };
    assert_eq!(harness.store.removal_tasks(group).await, Ok(vec![asked]));
    assert_eq!(harness.store.group_state(group).await.map(|state| state.expect("there").removals), Ok(vec![asked]));
    assert_eq!(harness.tasks(ann).await, [group]);
    assert_eq!(harness.tasks(ben).await, []);
    let groups = harness.store.groups_of(ben.account_id, ben.device_id, None, 9).await.expect("read");
    assert!(groups[0].leaving && groups[0].joined);
    harness.remove(ann, group, 1, ben).await;
    assert_eq!(harness.store.removal_tasks(group).await, Ok(vec![]));
    assert_eq!(harness.tasks(ann).await, []);
    assert!(harness.store.groups_of(ben.account_id, ben.device_id, None, 9).await.expect("read").is_empty());
}

#[tokio::test]
async fn a_condemned_group_is_frozen_and_reset_once() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    accepted(&harness.store.accept_commit(plan(group, ann, 1)).await.expect("stored"));
    let say = async |who: Leaf, epoch, verdict| match harness.store.confirm(group, who.device_id, epoch, verdict, START).await {
        Ok(ConfirmOutcome::Noted { frozen }) => frozen,
        _ => panic!("a member"),
    };
    let reset = async |who: Leaf, epoch, name| {
        let successor = GroupId([name; 32]);
        harness.store.reserve_group(who.device_id, successor, START).await.expect("stored");
        let info = Bytes::from_static(b"anew");
        let new = NewGroup { group: successor, creator: who, group_info: info, direct_key: Some([3; 32]), now: START };
        harness.store.reset(group, epoch, new).await.expect("stored")
    };
    assert!(matches!(reset(ben, 2, 20).await, ResetOutcome::NotFrozen));
    assert!(!say(ann, 2, Verdict::Tag([1; 32])).await, "the committer's own does not count");
    assert!(!say(ben, 1, Verdict::Nack).await, "another epoch");
    assert!(say(ben, 2, Verdict::Nack).await);
    assert_eq!(harness.send(ann, group, 2, 1).await, AppendOutcome::Frozen);
    assert!(matches!(harness.store.accept_commit(plan(group, ann, 2)).await, Ok(CommitOutcome::Frozen)));
    assert_eq!(harness.seqs(group, ben, 1).await, Some(vec![2]), "reading goes on");
    assert!(matches!(reset(ben, 1, 21).await, ResetOutcome::NotFrozen), "compare-and-set on the epoch");
    assert!(matches!(reset(ben, 2, 22).await, ResetOutcome::Successor(id) if id == GroupId([22; 32])));
    assert!(matches!(reset(ann, 2, 23).await, ResetOutcome::Successor(id) if id == GroupId([22; 32])), "the first wins");
    let eve = harness.person(5).await;
    assert!(matches!(reset(eve, 2, 24).await, ResetOutcome::NotFound));
    let groups = harness.store.groups_of(ann.account_id, ann.device_id, None, 9).await.expect("read");
    assert_eq!((groups[0].successor, groups[0].frozen), (Some(GroupId([22; 32])), true));
}

#[tokio::test]
async fn people_who_start_at_once_converge_and_strangers_cannot_squat() {
    let harness = Harness::new();
    let (ann, ben, eve) = (harness.person(1).await, harness.person(2).await, harness.person(5).await);
    let create = async |who: Leaf, name| {
        let group = GroupId([name; 32]);
        harness.store.reserve_group(who.device_id, group, START).await.expect("stored");
        let info = Bytes::from_static(b"epoch 0");
        let new = NewGroup { group, creator: who, group_info: info, direct_key: Some([8; 32]), now: START };
        harness.store.create_group(new).await.expect("stored")
    };
    assert!(matches!(create(eve, 50).await, CreateOutcome::Created));
    assert!(matches!(create(ann, 10).await, CreateOutcome::Created), "whoever squats does not have Ann in");
    assert!(matches!(create(ann, 10).await, CreateOutcome::Created), "the same again");
    assert!(matches!(create(ann, 11).await, CreateOutcome::Exists(id) if id == GroupId([10; 32])));
    harness.stock_up(ben, 0, 1).await;
    harness.add(ann, GroupId([10; 32]), 0, ben).await;
    assert!(matches!(create(ben, 20).await, CreateOutcome::Exists(id) if id == GroupId([10; 32])));
}

#[tokio::test]
async fn only_the_one_who_reserved_an_id_creates_and_only_in_time() {
    let harness = Harness::new();
    let (ann, ben) = (harness.person(1).await, harness.person(2).await);
    let group = GroupId([1; 32]);
    let info = Bytes::from_static(b"epoch 0");
    let new = |creator, now| NewGroup { group, creator, group_info: info.clone(), direct_key: None, now };
    assert!(matches!(harness.store.create_group(new(ann, START)).await, Ok(CreateOutcome::NotReserved)));
    harness.store.reserve_group(ann.device_id, group, START).await.expect("stored");
    assert!(matches!(harness.store.create_group(new(ben, START)).await, Ok(CreateOutcome::NotReserved)));
    assert!(matches!(harness.store.create_group(new(ann, START + DAY)).await, Ok(CreateOutcome::NotReserved)));
    assert!(matches!(harness.store.create_group(new(ann, START)).await, Ok(CreateOutcome::Created)));
    for name in 100..120 {
        harness.store.reserve_group(ben.device_id, GroupId([name; 32]), START + u64::from(name)).await.expect("stored");
    }
    let oldest = NewGroup { group: GroupId([100; 32]), ..new(ben, START) };
    assert!(matches!(harness.store.create_group(oldest).await, Ok(CreateOutcome::NotReserved)), "a device holds sixteen");
}
