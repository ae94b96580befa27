use super::*;

#[tokio::test]
async fn an_init_key_is_published_once_ever() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    let publish = |packages, last_resort, replace, max| {
        harness.store.publish_key_packages(ann.device_id, packages, last_resort, replace, max, START)
    };
    let batch = |numbers: std::ops::Range<u8>| numbers.map(|number| key_package(ann, number)).collect::<Vec<_>>();
    let stock = Stock { available: 3, oldest_at: START, ..Stock::default() };
    assert_eq!(publish(batch(0..3), None, false, 5).await, Ok(PublishKeyPackagesOutcome::Published(stock)));
    assert_eq!(publish(batch(3..6), None, false, 5).await, Ok(PublishKeyPackagesOutcome::TooMany));
    assert_eq!(publish(batch(2..4), None, false, 5).await, Ok(PublishKeyPackagesOutcome::Repeated { index: 0 }));
    let twice = vec![key_package(ann, 7), key_package(ann, 7)];
    assert_eq!(publish(twice, None, false, 5).await, Ok(PublishKeyPackagesOutcome::Repeated { index: 1 }));
    let last = publish(batch(8..9), Some(key_package(ann, 1)), false, 5).await;
    assert_eq!(last, Ok(PublishKeyPackagesOutcome::Repeated { index: 1 }));
    let replaced = publish(batch(10..15), Some(key_package(ann, 20)), true, 5).await;
    let stock = Stock { available: 5, has_last_resort: true, last_resort_used: false, oldest_at: START };
    assert_eq!(replaced, Ok(PublishKeyPackagesOutcome::Published(stock)));
    assert_eq!(
        publish(batch(0..1), None, true, 5).await,
        Ok(PublishKeyPackagesOutcome::Repeated { index: 0 }),
        "also what was dropped"
    );
    assert_eq!(harness.store.stock(ann.device_id).await, Ok(stock));
}

#[tokio::test]
async fn a_claim_takes_the_oldest_then_the_last_resort_and_names_who_has_none() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let cleo = harness.person(3).await;
    harness.stock_up(cleo, 0, 2).await;
    harness.store.set_relation(cleo.account_id, ann.account_id, RelationChange::Accept, START).await.expect("stored");
    let claim = async |id| harness.store.claim(new_claim(ann, group, id, cleo)).await.expect("stored");
    let taken = async |id| match claim(id).await {
        ClaimOutcome::Claimed { packages, exhausted, low } => (packages.first().map(|package| package.bytes[16]), exhausted, low),
        _ => panic!("refused"),
    };
    assert_eq!(taken(1).await, (Some(0), vec![], vec![cleo.device_id]));
    assert_eq!(taken(2).await.0, Some(1));
    assert_eq!(taken(3).await, (None, vec![(cleo.account_id, cleo.device_id)], vec![cleo.device_id]));
    let last = Some(key_package(cleo, 9));
    harness.store.publish_key_packages(cleo.device_id, vec![], last, false, 9, START).await.expect("stored");
    assert_eq!(taken(4).await.0, Some(9));
    assert_eq!(taken(5).await.0, Some(9), "the last resort stays");
    assert!(harness.store.stock(cleo.device_id).await.expect("read").last_resort_used);
    assert_eq!(taken(1).await.0, Some(0), "the same claim, the same answer");
    let other = NewClaim { accounts: vec![ben.account_id], devices: vec![], ..new_claim(ann, group, 1, cleo) };
    assert!(matches!(harness.store.claim(other).await, Ok(ClaimOutcome::Conflict)));
    let late = NewClaim { now: START + DAY, ..new_claim(ann, group, 1, cleo) };
    assert!(matches!(harness.store.claim(late).await, Ok(ClaimOutcome::Conflict)), "after a day it is over");
    assert_eq!(harness.store.add_tasks(group).await, Ok(vec![]), "a stranger's device is nobody's task");
}

#[tokio::test]
async fn a_claim_covers_active_devices_but_the_claimers_own() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let tablet = second(1);
    harness.store.enrol_pending(ann.account_id, tablet, START).await.expect("stored");
    let everybody =
        |id| NewClaim { accounts: vec![ben.account_id, ann.account_id], devices: vec![], ..new_claim(ann, group, id, ben) };
    let devices = async |id| match harness.store.claim(everybody(id)).await {
        Ok(ClaimOutcome::Claimed { packages, exhausted, .. }) => {
            let packages: Vec<_> = packages.iter().map(|package| package.device_id).collect();
            (packages, exhausted.iter().map(|device| device.1).collect::<Vec<_>>())
        }
        _ => panic!("refused"),
    };
    assert_eq!(devices(1).await, (vec![ben.device_id], vec![]), "a pending device is none");
    super::accounts::publish(&harness, ann, 2, &[ann.device_id, tablet.device_id]).await.expect("published");
    assert_eq!(devices(2).await, (vec![ben.device_id], vec![tablet.device_id]));
    let wanted = Leaf { account_id: ann.account_id, device_id: tablet.device_id };
    assert_eq!(harness.store.add_tasks(group).await, Ok(vec![wanted]), "its account is a member: it is to be added later");
    assert_eq!(harness.tasks(ben).await, [group]);
    harness.stock_up(wanted, 50, 1).await;
    harness.add(ben, group, 1, wanted).await;
    assert_eq!(harness.store.add_tasks(group).await, Ok(vec![]));
    let nobody = NewClaim { accounts: vec![AccountId([99; 16])], ..everybody(3) };
    assert!(matches!(harness.store.claim(nobody).await, Ok(ClaimOutcome::NotFound)));
}

#[tokio::test]
async fn a_claim_is_redeemed_once() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let cleo = harness.person(3).await;
    harness.stock_up(cleo, 0, 1).await;
    let claimed = harness.claimed(ann, group, 1, cleo).await;
    let add = |epoch| CommitPlan { added: vec![(cleo, claimed.clone())], ..plan(group, ann, epoch) };
    let late = CommitPlan { now: START + DAY, ..add(1) };
    assert!(matches!(harness.store.accept_commit(late).await, Ok(CommitOutcome::BadAdd(_))), "claims last a day");
    accepted(&harness.store.accept_commit(add(1)).await.expect("stored"));
    harness.remove(ben, group, 2, cleo).await;
    assert!(matches!(harness.store.accept_commit(add(3)).await, Ok(CommitOutcome::BadAdd(_))));
    let replayed = harness.store.claim(new_claim(ann, group, 1, cleo)).await;
    assert!(matches!(replayed, Ok(ClaimOutcome::Conflict)), "redeemed: not replayed");
}
