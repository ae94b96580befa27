//! What honest members do is taken.

use openmls::{
    group::StagedWelcome,
    prelude::{Lifetime, MlsMessageBodyIn, OpenMlsProvider as _},
};
use sovereign_proto::mls::{Policy, Roles};

use super::client::{Client, GROUP, body, context, found, group_of, index, join_config, now_ms, receive, take};
use crate::mls::{PublicState, check_commit, group_info::GroupInfo, state::Lifetimes};

#[test]
fn members_are_added_and_removed_and_renew_themselves() {
    let (alice, bob, carol) = (Client::new(1, 1), Client::new(2, 2), Client::new(3, 3));
    let (mut group, mut server) = found(&alice, None);
    assert_eq!((server.epoch(), server.members().len()), (0, 1));

    let package = bob.package();
    let reference = package.hash_ref(alice.provider.crypto()).expect("it hashes").as_slice().to_vec();
    let add = alice.commit_now(&mut group, |commit| commit.propose_adds([package]));
    let checked = alice.check(&server, &add).expect("the commit is good");
    assert_eq!((checked.added[0].leaf, &checked.added[0].reference), (bob.leaf, &reference));
    assert_eq!((checked.added[0].signature_key, checked.external), (bob.key(), false));
    server.advance(checked.next).expect("it was checked against this state");
    let mut bobs = bob.join(&add.welcome);

    let renew = bob.commit_now(&mut bobs, |commit| commit.force_self_update(true));
    assert_eq!(take(&mut server, &bob, &renew), (vec![], vec![]));
    receive(&alice, &mut group, &renew.commit);

    let add = bob.commit_now(&mut bobs, |commit| commit.propose_adds([carol.package()]));
    assert_eq!(take(&mut server, &bob, &add), (vec![carol.leaf], vec![]));
    receive(&alice, &mut group, &add.commit);

    let remove = alice.commit_now(&mut group, |commit| commit.propose_removals([index(1)]));
    assert_eq!(take(&mut server, &alice, &remove), (vec![], vec![bob.leaf]));
    assert_eq!(server.members().iter().map(|member| member.leaf).collect::<Vec<_>>(), [alice.leaf, carol.leaf]);
}

#[test]
fn the_state_is_not_changed_by_a_check_and_only_by_its_own_successor() {
    let (alice, bob) = (Client::new(1, 1), Client::new(2, 2));
    let (mut groups, mut server, _) = group_of(&[&alice, &bob], None);
    let one = alice.commit(&mut groups[0], |commit| commit.force_self_update(true));
    let other = bob.commit(&mut groups[1], |commit| commit.force_self_update(true));
    let (first, second) = (alice.check(&server, &one), bob.check(&server, &other));
    let (first, second) = (first.expect("both start here"), second.expect("both start here"));
    assert_eq!(server.epoch(), 1);
    server.advance(first.next).expect("the first wins");
    assert!(server.advance(second.next).is_err());
    assert_eq!(server.epoch(), 2);
}

#[test]
fn a_hundred_are_added_at_once_and_a_third_removed() {
    let clients: Vec<_> = (0..100).map(Client::numbered).collect();
    let (mut groups, mut server, _) = group_of(&clients.iter().collect::<Vec<_>>(), None);
    let gone: Vec<_> = (1..100).step_by(3).map(index).collect();
    let remove = clients[0].commit_now(&mut groups[0], |commit| commit.propose_removals(gone));
    let (_, removed) = take(&mut server, &clients[0], &remove);
    assert_eq!((removed.len(), server.members().len()), (33, 67));
    receive(&clients[99 - 1], &mut groups[98], &remove.commit);
    let renew = clients[98].commit_now(&mut groups[98], |commit| commit.force_self_update(true));
    take(&mut server, &clients[98], &renew);
}

#[test]
fn a_second_device_joins_by_itself_and_again() {
    let (alice, bob, second) = (Client::new(1, 1), Client::new(2, 2), Client::new(2, 3));
    let (mut groups, mut server, bundle) = group_of(&[&alice, &bob], None);
    let (_, join) = second.join_externally(&bundle.group_info);
    let checked = second.check(&server, &join).expect("its account is a member");
    assert!(checked.external && checked.removed.is_empty());
    assert_eq!((checked.added.len(), checked.added[0].leaf), (1, second.leaf));
    assert_eq!((checked.added[0].reference.len(), checked.added[0].signature_key), (0, second.key()));
    take(&mut server, &second, &join);
    receive(&alice, &mut groups[0], &join.commit);

    let again = Client { provider: openmls_rust_crypto::OpenMlsRustCrypto::default(), ..second };
    let (_, rejoin) = again.join_externally(&join.group_info);
    assert_eq!(take(&mut server, &again, &rejoin), (vec![again.leaf], vec![again.leaf]));
    receive(&alice, &mut groups[0], &rejoin.commit);
    assert_eq!(server.members().len(), 3);
}

#[test]
fn roles_change_and_are_obeyed() {
    let (alice, bob, carol) = (Client::new(1, 1), Client::new(2, 2), Client::new(3, 3));
    let (mut groups, mut server, _) = group_of(&[&alice, &bob], None);
    assert_eq!(server.roles().policy, Policy::Equal);
    let roles = Roles { policy: Policy::Administered, administrators: vec![[1; 16]] };
    let change = bob.commit_now(&mut groups[1], |commit| {
        commit.propose_group_context_extensions(context(Some(&roles))).expect("the context is good")
    });
    take(&mut server, &bob, &change);
    assert_eq!(server.roles(), roles);
    receive(&alice, &mut groups[0], &change.commit);

    let add = bob.commit_now(&mut groups[1], |commit| commit.propose_adds([carol.package()]));
    take(&mut server, &bob, &add);
    receive(&alice, &mut groups[0], &add.commit);
    let remove = alice.commit_now(&mut groups[0], |commit| commit.propose_removals([index(1)]));
    assert_eq!(take(&mut server, &alice, &remove).1, [bob.leaf]);
}

#[test]
fn anybody_removes_whom_the_server_wants_removed() {
    let (alice, bob, carol) = (Client::new(1, 1), Client::new(2, 2), Client::new(3, 3));
    let roles = Roles { policy: Policy::Administered, administrators: vec![[1; 16]] };
    let (mut groups, server, _) = group_of(&[&alice, &bob, &carol], Some(&roles));
    let remove = bob.commit(&mut groups[1], |commit| commit.propose_removals([index(2)]));
    let key = bob.key();
    let mut input = bob.input(&key, &remove);
    assert!(check_commit(&server, &input, now_ms()).is_err());
    let removals = [carol.leaf];
    input.removals = &removals;
    let checked = check_commit(&server, &input, now_ms()).expect("the server wants it");
    assert_eq!(checked.removed, [carol.leaf]);
}

#[test]
fn a_group_lives_on_when_a_lifetime_has_ended() {
    let (alice, bob, carol) = (Client::new(1, 1), Client::new(2, 2), Client::new(3, 3));
    let now = now_ms() / 1000;
    let mut group = alice.create_with(GROUP, context(None), Lifetime::init(now - 7200, now - 3600));
    let mut server = PublicState::load(&alice.group_info(&group), &[]).expect("an accepted group is loaded");
    let packages = [bob.package(), carol.package()];
    let add = alice.commit_now(&mut group, |commit| commit.propose_adds(packages));
    take(&mut server, &alice, &add);
    let MlsMessageBodyIn::Welcome(welcome) = body(&add.welcome) else { panic!("a Welcome") };
    let mut bobs = StagedWelcome::build_from_welcome(&bob.provider, &join_config(), welcome)
        .expect("the Welcome is for this device")
        .skip_lifetime_validation()
        .build()
        .expect("the Welcome is good")
        .into_group(&bob.provider)
        .expect("the group can be joined");
    let renew = bob.commit_now(&mut bobs, |commit| commit.force_self_update(true));
    take(&mut server, &bob, &renew);

    let info = GroupInfo::decode(&renew.group_info).expect("it was accepted");
    assert!(PublicState::verify(&info, Lifetimes::MustHold).is_err(), "alice's leaf still has its old lifetime");
    let mut revived = PublicState::load(&renew.group_info, &[]).expect("it was accepted");
    let remove = bob.commit_now(&mut bobs, |commit| commit.propose_removals([index(2)]));
    assert_eq!(take(&mut revived, &bob, &remove), (vec![], vec![carol.leaf]));
    assert_eq!(take(&mut server, &bob, &remove), (vec![], vec![carol.leaf]));
    assert_eq!(revived.group.export_ratchet_tree(), server.group.export_ratchet_tree());
    for position in (0..renew.group_info.len()).step_by(7) {
        let mut changed = renew.group_info.clone();
        changed[position] ^= 1;
        assert!(PublicState::load(&changed, &[]).is_err(), "byte {position}");
    }
}
