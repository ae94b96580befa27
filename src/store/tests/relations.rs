use super::*;
use crate::limits::{REQUESTS_PER_CLAIMER, STRANGERS_CLAIMS_PER_TARGET, STRANGERS_GROUPS_PER_TARGET};

impl Harness {
    async fn relate(&self, own: Leaf, other: Leaf, change: RelationChange) -> SetRelationOutcome {
        self.store.set_relation(own.account_id, other.account_id, change, START).await.expect("stored")
    }

    /// One side of a relation.
    async fn side(&self, own: Leaf, other: Leaf) -> Option<Relation> {
        let contacts = self.store.relations(own.account_id, None, 256).await.expect("read");
        contacts.into_iter().find(|contact| contact.account_id == other.account_id)?.relation
    }

    /// The sides of both.
    async fn sides(&self, one: Leaf, other: Leaf) -> (Option<Relation>, Option<Relation>) {
        (self.side(one, other).await, self.side(other, one).await)
    }

    async fn may_see(&self, one: Leaf, other: Leaf) -> bool {
        let there = self.store.may_see(one.account_id, other.account_id).await.expect("read");
        assert_eq!(self.store.may_see(other.account_id, one.account_id).await, Ok(there), "both ways alike");
        there
    }

    /// Whose request a group is to an account.
    async fn request_of(&self, leaf: Leaf, group: GroupId) -> Option<AccountId> {
        let groups = self.store.groups_of(leaf.account_id, leaf.device_id, None, 256).await.expect("read");
        groups.into_iter().find(|summary| summary.group == group).expect("a member").request_of
    }
}

#[tokio::test]
async fn being_added_is_a_request_until_it_is_accepted() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    assert_eq!(harness.sides(ann, ben).await, (Some(Relation::Requested), Some(Relation::Request)));
    assert_eq!(harness.request_of(ben, group).await, Some(ann.account_id));
    assert_eq!(harness.request_of(ann, group).await, None, "her own group");
    assert!(!harness.may_see(ann, ben).await);
    let SetRelationOutcome::Set { relation, changed } = harness.relate(ben, ann, RelationChange::Accept).await else {
        panic!("refused")
    };
    assert_eq!((relation, changed.len()), (Some(Relation::Accepted), 2), "both sides are told");
    assert_eq!(harness.sides(ann, ben).await, (Some(Relation::Accepted), Some(Relation::Accepted)));
    assert_eq!(harness.request_of(ben, group).await, None);
    assert!(harness.may_see(ann, ben).await);
    assert!(harness.may_see(ann, ann).await, "oneself");
}

#[tokio::test]
async fn accepting_beforehand_makes_the_first_group_none_of_the_requests() {
    let harness = Harness::new();
    let (ann, ben) = (harness.person(1).await, harness.person(2).await);
    harness.stock_up(ben, 0, 5).await;
    harness.relate(ben, ann, RelationChange::Accept).await;
    assert_eq!(harness.sides(ann, ben).await, (None, Some(Relation::Accepted)));
    assert!(!harness.may_see(ann, ben).await, "one side alone is not enough");
    let group = harness.group(1, ann).await;
    harness.add(ann, group, 0, ben).await;
    assert_eq!(harness.sides(ann, ben).await, (Some(Relation::Accepted), Some(Relation::Accepted)));
    assert_eq!(harness.request_of(ben, group).await, None);
}

#[tokio::test]
async fn who_asked_and_is_added_in_turn_is_accepted() {
    let harness = Harness::new();
    let (ann, ben, _) = two(&harness).await;
    harness.stock_up(ann, 0, 5).await;
    let bens = harness.group(2, ben).await;
    harness.add(ben, bens, 0, ann).await;
    assert_eq!(harness.sides(ann, ben).await, (Some(Relation::Accepted), Some(Relation::Accepted)));
    assert_eq!(harness.request_of(ann, bens).await, None);
}

#[tokio::test]
async fn a_block_hides_whatever_else_there_is_and_forgetting_starts_anew() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    harness.relate(ben, ann, RelationChange::Accept).await;
    let SetRelationOutcome::Set { changed, .. } = harness.relate(ben, ann, RelationChange::Block).await else {
        panic!("refused")
    };
    assert_eq!(changed.iter().map(|change| change.of).collect::<Vec<_>>(), [ben.account_id], "nobody tells Ann");
    assert_eq!(harness.side(ann, ben).await, Some(Relation::Accepted));
    assert!(!harness.may_see(ann, ben).await);
    let name = || "person2".to_owned();
    assert_eq!(harness.store.find_account(ann.account_id, name()).await, Ok(None));
    assert!(harness.store.visible_account(ann.account_id, ben.account_id).await.expect("read").is_some(), "a member's list");
    assert!(harness.store.find_account(ben.account_id, "person1".to_owned()).await.expect("read").is_some());
    harness.relate(ben, ann, RelationChange::Remove).await;
    assert!(harness.store.find_account(ann.account_id, name()).await.expect("read").is_some());
    assert_eq!(harness.request_of(ben, group).await, Some(ann.account_id), "the group of the two is a request again");
    assert!(!harness.may_see(ann, ben).await);
}

#[tokio::test]
async fn members_of_a_group_that_both_have_accepted_see_each_other() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let cleo = harness.person(3).await;
    harness.stock_up(cleo, 0, 5).await;
    harness.add(ann, group, 1, cleo).await;
    assert!(!harness.may_see(ben, cleo).await);
    assert_eq!(harness.store.accept_group(cleo.account_id, group).await, Ok(true));
    assert!(!harness.may_see(ben, cleo).await, "Ben has not accepted it");
    assert!(harness.may_see(ann, cleo).await, "it is Ann's own");
    assert_eq!(harness.store.accept_group(ben.account_id, group).await, Ok(true));
    assert!(harness.may_see(ben, cleo).await);
    assert_eq!(harness.side(ben, cleo).await, None, "a group makes no contacts");
    harness.relate(cleo, ben, RelationChange::Block).await;
    assert!(!harness.may_see(ben, cleo).await);
    harness.relate(cleo, ben, RelationChange::Remove).await;
    assert!(harness.may_see(ben, cleo).await);
    harness.remove(ann, group, 2, cleo).await;
    assert!(!harness.may_see(ben, cleo).await, "no member any more");
    let eve = harness.person(4).await;
    assert_eq!(harness.store.accept_group(eve.account_id, group).await, Ok(false));
}

#[tokio::test]
async fn who_is_blocked_claims_nothing_and_redeems_nothing() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let cleo = harness.person(3).await;
    harness.stock_up(cleo, 0, 5).await;
    let before = harness.claimed(ann, group, 1, cleo).await;
    harness.relate(cleo, ann, RelationChange::Block).await;
    assert!(matches!(harness.store.claim(new_claim(ann, group, 2, cleo)).await, Ok(ClaimOutcome::NotFound)));
    assert!(matches!(harness.store.claim(new_claim(ben, group, 2, cleo)).await, Ok(ClaimOutcome::Claimed { .. })));
    let add = CommitPlan { added: vec![(cleo, before)], ..plan(group, ann, 1) };
    assert!(matches!(harness.store.accept_commit(add).await, Ok(CommitOutcome::BadAdd(_))), "claimed before the block");
    harness.relate(ben, cleo, RelationChange::Block).await;
    assert!(matches!(harness.store.claim(new_claim(ben, group, 3, cleo)).await, Ok(ClaimOutcome::Blocked)), "his own block");
    let new = SetRelationOutcome::NotFound;
    assert_eq!(harness.relate(ann, cleo, RelationChange::Block).await, new, "as of somebody who does not exist");
    assert_eq!(harness.relate(ann, leaf(99), RelationChange::Block).await, new);
}

#[tokio::test]
async fn strangers_get_no_last_resort_and_a_bounded_number_of_everything() {
    let harness = Harness::new();
    let (ann, _, group) = two(&harness).await;
    let cleo = harness.person(3).await;
    let last = Some(key_package(cleo, 200));
    harness.store.publish_key_packages(cleo.device_id, vec![], last, false, 9, START).await.expect("stored");
    let claim = async |id| harness.store.claim(new_claim(ann, group, id, cleo)).await.expect("stored");
    assert!(matches!(claim(1).await, ClaimOutcome::Claimed { packages, .. } if packages.is_empty()), "not to a stranger");
    for id in 2..=u8::try_from(STRANGERS_CLAIMS_PER_TARGET).expect("small") {
        assert!(matches!(claim(id).await, ClaimOutcome::Claimed { .. }));
    }
    assert!(matches!(claim(90).await, ClaimOutcome::TooMany { .. }));
    harness.relate(cleo, ann, RelationChange::Accept).await;
    assert!(matches!(claim(91).await, ClaimOutcome::Claimed { packages, .. } if packages.len() == 1));
}

#[tokio::test]
async fn groups_of_one_whom_nobody_accepted_are_bounded() {
    let harness = Harness::new();
    let (ann, ben) = (harness.person(1).await, harness.person(2).await);
    harness.stock_up(ben, 0, 50).await;
    for name in 0..u8::try_from(STRANGERS_GROUPS_PER_TARGET).expect("small") {
        let group = harness.group(10 + name, ann).await;
        let reference = harness.claimed(ann, group, name, ben).await;
        let add = CommitPlan { added: vec![(ben, reference)], ..plan(group, ann, 0) };
        accepted(&harness.store.accept_commit(add).await.expect("stored"));
    }
    let group = harness.group(99, ann).await;
    assert!(matches!(harness.store.claim(new_claim(ann, group, 99, ben)).await, Ok(ClaimOutcome::TooManyRequests)));
    harness.relate(ben, ann, RelationChange::Accept).await;
    assert!(matches!(harness.store.claim(new_claim(ann, group, 99, ben)).await, Ok(ClaimOutcome::Claimed { .. })));
}

#[tokio::test]
async fn one_account_asks_so_many_strangers_and_no_more() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    let group = harness.group(1, ann).await;
    let others: Vec<Leaf> = {
        let mut others = Vec::new();
        for name in 2..=u8::try_from(REQUESTS_PER_CLAIMER + 2).expect("small") {
            others.push(harness.person(name).await);
        }
        others
    };
    let claim = |id, whom: &[Leaf]| NewClaim {
        accounts: whom.iter().map(|leaf| leaf.account_id).collect(),
        devices: vec![],
        ..new_claim(ann, group, id, others[0])
    };
    let (first, rest) = others.split_at(REQUESTS_PER_CLAIMER);
    for (id, some) in (0..).zip(first.chunks(64)) {
        assert!(matches!(harness.store.claim(claim(id, some)).await, Ok(ClaimOutcome::Claimed { .. })));
    }
    assert!(matches!(harness.store.claim(claim(50, rest)).await, Ok(ClaimOutcome::TooManyStrangers { .. })));
    assert!(matches!(harness.store.claim(claim(51, &first[..1])).await, Ok(ClaimOutcome::Claimed { .. })), "asked already");
    let tomorrow = NewClaim { now: START + DAY, ..claim(52, rest) };
    assert!(matches!(harness.store.claim(tomorrow).await, Ok(ClaimOutcome::Claimed { .. })), "claims last a day");
    harness.relate(rest[0], ann, RelationChange::Accept).await;
    assert!(matches!(harness.store.claim(claim(53, rest)).await, Ok(ClaimOutcome::Claimed { .. })), "no stranger any more");
}

#[tokio::test]
async fn who_talked_two_by_two_before_there_were_relations_are_contacts() {
    let harness = Harness::new();
    let (ann, ben, cleo) = (harness.person(1).await, harness.person(2).await, harness.person(3).await);
    let named = harness.group(1, ann).await;
    let direct = GroupId([2; 32]);
    harness.store.reserve_group(ann.device_id, direct, START).await.expect("reserved");
    let group_info = Bytes::from_static(b"epoch 0");
    let new = NewGroup { group: direct, creator: ann, group_info, direct_key: Some([9; 32]), now: START };
    assert!(matches!(harness.store.create_group(new).await, Ok(CreateOutcome::Created)));
    harness.stock_up(ben, 0, 5).await;
    harness.stock_up(cleo, 0, 5).await;
    harness.add(ann, named, 0, cleo).await;
    let reference = harness.claimed(ann, direct, 1, ben).await;
    let add = CommitPlan { added: vec![(ben, reference)], ..plan(direct, ann, 0) };
    accepted(&harness.store.accept_commit(add).await.expect("stored"));

    let migration = include_str!("../../../migrations/0007_relations.sql");
    let (_, last) = migration.split_once("-- Who talks already").expect("the migration's last statement");
    let last = format!("DELETE FROM relations; DELETE FROM group_requests; -- {last}");
    harness.store.relieve(move |txn| txn.db.execute_batch(&last)).await.expect("done");
    assert_eq!(harness.sides(ann, ben).await, (Some(Relation::Accepted), Some(Relation::Accepted)));
    assert_eq!(harness.sides(ann, cleo).await, (None, None), "a group makes no contacts");
    assert!(harness.may_see(ann, cleo).await, "groups of before are accepted");
}
