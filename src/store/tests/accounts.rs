use super::*;

/// Publishes a manifest that lists these devices (each with its byte as key).
pub(super) async fn publish(harness: &Harness, account: Leaf, version: u64, devices: &[DeviceId]) -> Option<PublishOutcome> {
    let outcome = harness.store.publish_manifest(manifest(account, version, devices)).await.expect("stored");
    Some(outcome).filter(|outcome| matches!(outcome, PublishOutcome::Published { .. }))
}

/// The hash of version 1 is the account's byte; that of a later one has the version in front.
fn manifest(account: Leaf, version: u64, devices: &[DeviceId]) -> NewManifest {
    let name = account.account_id.0[0];
    let hash = |version: u64| {
        let mut hash = [name; 32];
        if version > 1 {
            hash[..8].copy_from_slice(&version.to_be_bytes());
        }
        hash
    };
    let devices = devices.iter().map(|id| NewDevice { device_id: *id, device_key: [id.0[0]; 32] }).collect();
    let (previous, hash) = (hash(version - 1), hash(version));
    NewManifest { account_id: account.account_id, version, previous, hash, manifest: vec![2, name], devices, now: START }
}

#[tokio::test]
async fn names_and_ids_are_taken_once() {
    let harness = Harness::new();
    harness.person(1).await;
    let again = new_account(1, InviteUse::None);
    assert_eq!(harness.store.sign_up(again).await, Ok(SignUpOutcome::UsernameTaken));
    for change in [
        (|new: &mut NewAccount| new.account_id = AccountId([1; 16])) as fn(&mut NewAccount),
        |new| new.identity_key = [1; 32],
        |new| new.device.device_id = DeviceId([1; 16]),
        |new| new.device.device_key = [1; 32],
    ] {
        let mut new = new_account(2, InviteUse::None);
        change(&mut new);
        assert_eq!(harness.store.sign_up(new).await, Ok(SignUpOutcome::IdTaken));
    }
    let found = harness.store.account_by_name("person1".to_owned()).await.expect("read").expect("there");
    assert_eq!((found.account_id, found.manifest_version, found.enabled), (AccountId([1; 16]), 1, true));
    assert_eq!(harness.store.account_by_name("person2".to_owned()).await, Ok(None));
}

#[tokio::test]
async fn an_invite_used_twice_at_once_admits_one() {
    let harness = Harness::new();
    let code = [7; 32];
    harness.store.create_invite(code, 1, START + DAY, false, START).await.expect("stored");
    let (one, other) = tokio::join!(
        harness.store.sign_up(new_account(1, InviteUse::Code(code))),
        harness.store.sign_up(new_account(2, InviteUse::Code(code)))
    );
    assert_eq!((one, other), (Ok(SignUpOutcome::Created { administrator: false }), Ok(SignUpOutcome::InviteInvalid)));
}

#[tokio::test]
async fn invites_expire_are_revoked_and_make_administrators() {
    let harness = Harness::new();
    let create =
        |code: u8, expires_at, administrator| harness.store.create_invite([code; 32], 5, expires_at, administrator, START);
    create(0xa1, START, false).await.expect("stored");
    create(0xa2, START + DAY, false).await.expect("stored");
    create(0xa3, START + DAY, true).await.expect("stored");
    let sign_up = |name, code: u8| harness.store.sign_up(new_account(name, InviteUse::Code([code; 32])));
    assert_eq!(sign_up(1, 0xa1).await, Ok(SignUpOutcome::InviteInvalid), "expired");
    for (prefix, revoked) in [("a2a2a2a", false), ("%%%%%%%%", false), ("a9a9a9a9", false), ("A2a2a2a2", true)] {
        assert_eq!(harness.store.revoke_invite(prefix.to_owned(), START).await, Ok(revoked), "{prefix}");
    }
    assert_eq!(sign_up(1, 0xa2).await, Ok(SignUpOutcome::InviteInvalid), "revoked");
    assert_eq!(sign_up(1, 0xa3).await, Ok(SignUpOutcome::Created { administrator: true }));
    let invites = harness.store.invites().await.expect("read");
    assert_eq!(invites.len(), 3);
    let used = invites.iter().find(|invite| invite.hash == [0xa3; 32]).expect("listed");
    assert_eq!((used.uses_left, used.administrator, used.revoked), (4, true, false));
}

#[tokio::test]
async fn a_manifest_follows_its_predecessor_and_lists_known_devices() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    let tablet = second(1);
    assert_eq!(harness.store.enrol_pending(ann.account_id, tablet, START).await, Ok(EnrolOutcome::Enrolled));
    assert_eq!(harness.store.enrol_pending(ann.account_id, tablet, START).await, Ok(EnrolOutcome::Enrolled), "again");
    let stolen = NewDevice { device_key: [9; 32], ..tablet };
    assert_eq!(harness.store.enrol_pending(ann.account_id, stolen, START).await, Ok(EnrolOutcome::Refused));
    let both = [ann.device_id, tablet.device_id];
    let refused = |new| async { harness.store.publish_manifest(new).await.expect("stored") };
    assert!(matches!(refused(manifest(ann, 3, &both)).await, PublishOutcome::Conflict));
    let forked = NewManifest { previous: [99; 32], ..manifest(ann, 2, &both) };
    assert!(matches!(refused(forked).await, PublishOutcome::Conflict));
    let unknown = manifest(ann, 2, &[ann.device_id, DeviceId([77; 16])]);
    assert!(matches!(refused(unknown).await, PublishOutcome::UnknownDevice));

    let Some(PublishOutcome::Published { activated, revoked, .. }) = publish(&harness, ann, 2, &both).await else {
        panic!("refused")
    };
    assert_eq!((activated, revoked), (vec![tablet.device_id], vec![]));
    let Some(PublishOutcome::Published { activated, .. }) = publish(&harness, ann, 2, &both).await else { panic!("refused") };
    assert!(activated.is_empty(), "the same again changes nothing");
    let other = NewManifest { hash: [98; 32], ..manifest(ann, 2, &both) };
    assert!(matches!(refused(other).await, PublishOutcome::Conflict));
    assert_eq!(harness.store.manifests(ann.account_id, 0, 64).await.map(|chain| chain.len()), Ok(2));
    assert_eq!(harness.store.manifests(ann.account_id, 1, 64).await.map(|chain| chain.len()), Ok(1));
}

#[tokio::test]
async fn a_revoked_device_loses_everything_but_its_leaf() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    let tablet = second(2);
    harness.store.enrol_pending(ben.account_id, tablet, START).await.expect("stored");
    publish(&harness, ben, 2, &[ben.device_id, tablet.device_id]).await.expect("published");
    harness.send(ben, group, 1, 1).await;
    let token = NewToken { hash: [5; 32], device_id: ben.device_id, expires_at: START + DAY, replaces: None, now: START };
    harness.store.issue_token(token).await.expect("stored");

    let outcome = publish(&harness, ben, 3, &[tablet.device_id]).await;
    let Some(PublishOutcome::Published { revoked, groups, .. }) = outcome else { panic!("refused") };
    assert_eq!((revoked, groups), (vec![ben.device_id], vec![group]));
    assert_eq!(harness.send(ben, group, 1, 2).await, AppendOutcome::NotFound);
    assert!(harness.seqs(group, ben, 0).await.is_none() && harness.page(LogId::Device(ben.device_id), ben, 0).await.is_none());
    assert_eq!(harness.store.token([5; 32], START).await, Ok(None));
    assert_eq!(harness.store.stock(ben.device_id).await.map(|stock| stock.available), Ok(0));
    assert_eq!(harness.store.removal_tasks(group).await.map(|tasks| tasks.len()), Ok(1));
    assert_eq!(harness.store.members(group).await.map(|members| members.len()), Ok(1));
    harness.remove(ann, group, 1, ben).await;
    assert_eq!(harness.store.removal_tasks(group).await.map(|tasks| tasks.len()), Ok(0));
    assert!(harness.seqs(group, ben, 0).await.is_none());
    let again = manifest(ben, 4, &[tablet.device_id, ben.device_id]);
    assert!(matches!(harness.store.publish_manifest(again).await, Ok(PublishOutcome::UnknownDevice)), "revoked for ever");
}

#[tokio::test]
async fn tokens_rotate_and_a_replay_ends_the_family() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    let issue = |hash: u8, replaces: Option<u8>, now| {
        let replaces = replaces.map(|hash| [hash; 32]);
        harness.store.issue_token(NewToken { hash: [hash; 32], device_id: ann.device_id, expires_at: START + DAY, replaces, now })
    };
    let device = async |hash: u8, now| {
        let found = harness.store.token([hash; 32], now).await;
        found.map(|found| found.map(|(device, _)| device))
    };
    assert_eq!(issue(1, None, START).await, Ok(RotateOutcome::Issued));
    assert_eq!(issue(2, Some(1), START).await, Ok(RotateOutcome::Issued));
    assert_eq!(issue(3, Some(1), START + 1).await, Ok(RotateOutcome::Issued), "the answer was lost");
    assert_eq!(device(2, START + 1).await, Ok(None), "nobody used it; it is replaced");
    assert_eq!(device(1, START + 59_999).await, Ok(Some(ann.device_id)), "good until the first use of the new one");
    assert_eq!(device(1, START + 60_000).await, Ok(None), "at most for a minute");
    assert_eq!(device(3, START + 60_000).await, Ok(Some(ann.device_id)));
    assert_eq!(issue(4, Some(3), START + 60_000).await, Ok(RotateOutcome::Issued));
    assert_eq!(device(4, START + 60_000).await, Ok(Some(ann.device_id)));
    assert_eq!(issue(5, Some(3), START + 60_001).await, Ok(RotateOutcome::Replayed));
    assert_eq!(device(4, START + 60_001).await, Ok(None), "the family is revoked");
    assert_eq!(issue(6, Some(9), START).await, Ok(RotateOutcome::Unknown));
    issue(7, None, START).await.expect("stored");
    assert_eq!(device(7, START + DAY).await, Ok(None), "expired");
    harness.store.revoke_tokens(ann.device_id).await.expect("stored");
    assert_eq!(device(7, START).await, Ok(None));
}

#[tokio::test]
async fn a_new_password_and_a_disabled_account_end_every_token() {
    let harness = Harness::new();
    let (ann, ben, group) = two(&harness).await;
    for (hash, device_id) in [(1, ann.device_id), (2, ben.device_id)] {
        let token = NewToken { hash: [hash; 32], device_id, expires_at: START + DAY, replaces: None, now: START };
        harness.store.issue_token(token).await.expect("stored");
    }
    harness.store.set_password(ann.account_id, "$argon2id$".to_owned()).await.expect("stored");
    assert_eq!(harness.store.token([1; 32], START).await, Ok(None));
    let account = harness.store.account(ann.account_id).await.expect("read").expect("there");
    assert_eq!(account.password_hash.as_deref(), Some("$argon2id$"));
    harness.send(ben, group, 1, 1).await;
    assert_eq!(harness.store.set_enabled("nobody".to_owned(), false, START).await, Ok(None));
    let cut = harness.store.set_enabled("person2".to_owned(), false, START).await;
    assert_eq!(cut, Ok(Some((ben.account_id, vec![ben.device_id]))));
    assert_eq!(harness.store.token([2; 32], START).await, Ok(None));
    assert_eq!(harness.send(ben, group, 1, 2).await, AppendOutcome::NotFound);
    assert_eq!(harness.store.membership(group, ben.device_id).await, Ok(Membership::None));
    harness.store.set_enabled("person2".to_owned(), true, START).await.expect("stored");
    assert!(matches!(harness.send(ben, group, 1, 3).await, AppendOutcome::Accepted { .. }));
}

#[tokio::test]
async fn an_account_holds_sixty_four_devices_and_eight_of_them_may_wait() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    let new = |number: u8| NewDevice { device_id: DeviceId([number; 16]), device_key: [number; 32] };
    let mut listed = vec![ann.device_id];
    for (number, version) in (100..156).zip(2..) {
        assert_eq!(harness.store.enrol_pending(ann.account_id, new(number), START).await, Ok(EnrolOutcome::Enrolled));
        listed.push(DeviceId([number; 16]));
        assert!(publish(&harness, ann, version, &listed).await.is_some(), "device {number} is approved");
    }
    for number in 156..164 {
        let expected = if number < 163 { EnrolOutcome::Enrolled } else { EnrolOutcome::Refused };
        assert_eq!(harness.store.enrol_pending(ann.account_id, new(number), START).await, Ok(expected), "device {number}");
    }
    assert_eq!(harness.store.devices(ann.account_id).await.map(|devices| devices.len()), Ok(64));

    let ben = harness.person(2).await;
    for number in 170..179 {
        let expected = if number < 178 { EnrolOutcome::Enrolled } else { EnrolOutcome::Refused };
        assert_eq!(harness.store.enrol_pending(ben.account_id, new(number), START).await, Ok(expected), "device {number}");
    }
}

#[tokio::test]
async fn a_new_password_ends_the_devices_that_came_by_the_old_one_and_were_not_approved() {
    let harness = Harness::new();
    let (ann, ben) = (harness.person(1).await, harness.person(2).await);
    for (account, number) in [(ann.account_id, 10), (ann.account_id, 11), (ben.account_id, 12)] {
        let device = NewDevice { device_id: DeviceId([number; 16]), device_key: [number; 32] };
        assert_eq!(harness.store.enrol_pending(account, device, START).await, Ok(EnrolOutcome::Enrolled));
    }
    let revoked = harness.store.set_password(ann.account_id, "$argon2id$".to_owned()).await;
    assert_eq!(revoked, Ok(vec![DeviceId([10; 16]), DeviceId([11; 16])]));
    let state = |id: DeviceId| async move { harness.store.device(id).await.expect("read").expect("known").state };
    assert_eq!(state(DeviceId([12; 16])).await, DeviceState::Pending, "somebody else's");
}

#[tokio::test]
async fn an_account_has_had_a_thousand_devices_at_most_and_lists_the_latest() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    let mut number = 0_u16;
    let mut enrolled = true;
    while enrolled {
        for _ in 0..8 {
            number += 1;
            let (mut device_id, mut device_key) = ([200; 16], [200; 32]);
            device_id[..2].copy_from_slice(&number.to_be_bytes());
            device_key[..2].copy_from_slice(&number.to_be_bytes());
            let device = NewDevice { device_id: DeviceId(device_id), device_key };
            enrolled = harness.store.enrol_pending(ann.account_id, device, START).await == Ok(EnrolOutcome::Enrolled);
        }
        harness.store.set_password(ann.account_id, "$argon2id$".to_owned()).await.expect("stored");
    }
    assert_eq!(number, 1024, "the first of the account is one of them");
    let listed = harness.store.devices(ann.account_id).await.expect("read");
    assert_eq!(listed.len(), 65);
    assert_eq!(listed[0].device_id, ann.device_id);
    assert_eq!(listed[64].device_id.0[..2], 1023_u16.to_be_bytes());
}

#[tokio::test]
async fn an_account_has_a_thousand_manifests_at_most() {
    let harness = Harness::new();
    let ann = harness.person(1).await;
    for version in 2..=1024 {
        assert!(publish(&harness, ann, version, &[ann.device_id]).await.is_some(), "manifest {version}");
    }
    let next = manifest(ann, 1025, &[ann.device_id]);
    assert!(matches!(harness.store.publish_manifest(next).await, Ok(PublishOutcome::TooMany)));
}
