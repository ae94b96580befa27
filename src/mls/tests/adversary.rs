//! Commits that somebody would like to see accepted.

use openmls::{
    group::MlsGroup,
    prelude::{
        CustomProposal, Extension, ExtensionType, Extensions, LeafNodeParameters, Lifetime, NewSignerBundle,
        OpenMlsProvider as _, PreSharedKeyProposal, Proposal, ProposalType, RequiredCapabilitiesExtension, SignContent,
        tls_codec::Serialize as _,
    },
    schedule::{ExternalPsk, PreSharedKeyId, Psk},
};
use openmls_traits::signatures::Signer as _;
use sovereign_proto::mls::{Policy, ROLES_EXTENSION, Roles};

use super::client::{Bundle, Client, bytes, context, found, group_of, index, lifetime, now_ms, receive, take};
use crate::{
    ids::{AccountId, DeviceId, GroupId},
    mls::{Leaf, PublicState, Refused, SUITE, check_commit},
};

/// Two members and a commit of the first that adds a third.
fn addition() -> (Vec<Client>, Vec<MlsGroup>, PublicState, Bundle) {
    let clients = vec![Client::new(1, 1), Client::new(2, 2), Client::new(3, 3)];
    let (mut groups, server, _) = group_of(&[&clients[0], &clients[1]], None);
    let bundle = clients[0].commit(&mut groups[0], |commit| commit.propose_adds([clients[2].package()]).force_self_update(true));
    (clients, groups, server, bundle)
}

/// A member's public message with its content changed and signed anew. Its tags stay as they were.
fn forge(signer: &Client, server: &PublicState, message: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    const SIGNATURE: usize = 2 + 64;
    const TAGS: usize = 2 * (1 + 32);
    let (content, auth) = message.split_at(message.len() - SIGNATURE - TAGS);
    let mut content = content.to_vec();
    change(&mut content);
    let group_context = server.group.group_context().tls_serialize_detached().expect("it encodes");
    let to_sign = SignContent::new("FramedContentTBS", [&content[..], &group_context].concat().into());
    let signature = signer.signer.sign(&to_sign.tls_serialize_detached().expect("it encodes")).expect("it signs");
    [&content[..], &[0x40, 64], &signature, &auth[SIGNATURE..]].concat()
}

fn replace(content: &mut [u8], from: &[u8], to: &[u8]) {
    let position = content.windows(from.len()).position(|window| window == from).expect("it stands there");
    content[position..position + to.len()].copy_from_slice(to);
}

#[test]
fn every_cut_and_every_flipped_byte_of_a_bundle_is_refused() {
    let (clients, _, server, bundle) = addition();
    let alice = &clients[0];
    assert!(alice.check(&server, &bundle).is_ok());
    let parts: [fn(&mut Bundle) -> &mut Vec<u8>; 3] =
        [|bundle| &mut bundle.commit, |bundle| &mut bundle.welcome, |bundle| &mut bundle.group_info];
    for (number, part) in parts.into_iter().enumerate() {
        let length = part(&mut bundle.clone()).len();
        for position in 0..length {
            let mut cut = bundle.clone();
            part(&mut cut).truncate(position);
            alice.refusal(&server, &cut);
            let mut flipped = bundle.clone();
            part(&mut flipped)[position] ^= 1;
            let accepted = alice.check(&server, &flipped).is_ok();
            // Only who holds the group's secrets can tell: the commit's membership tag, the Welcome's ciphertexts.
            match number {
                0 => assert_eq!(accepted, position >= length - 32, "commit, byte {position} of {length}"),
                1 => assert!(!accepted || position > 40, "Welcome, byte {position}"),
                _ => assert!(!accepted, "GroupInfo, byte {position}"),
            }
        }
        let mut longer = bundle.clone();
        part(&mut longer).push(0);
        assert_eq!(alice.refusal(&server, &longer), Refused::Malformed);
        if number != 1 {
            let mut spelled = bundle.clone();
            part(&mut spelled).splice(4..if number == 0 { 5 } else { 4 }, if number == 0 { vec![0x40, 32] } else { vec![0] });
            alice.refusal(&server, &spelled);
        }
    }
}

#[test]
fn a_commit_counts_for_its_sender_group_and_epoch_only() {
    let (clients, mut groups, mut server, bundle) = addition();
    let (alice, bob) = (&clients[0], &clients[1]);
    assert_eq!(bob.refusal(&server, &bundle), Refused::NotSender);
    let other_key = bob.key();
    let refused = check_commit(&server, &alice.input(&other_key, &bundle), now_ms()).err();
    assert_eq!(refused, Some(Refused::NotSender));
    let key = alice.key();
    let mut input = alice.input(&key, &bundle);
    input.group = GroupId([8; 32]);
    assert_eq!(check_commit(&server, &input, now_ms()).err(), Some(Refused::WrongGroup));

    // Signed by bob in the name of alice's leaf, and by alice in the name of bob's.
    let posing = forge(bob, &server, &bundle.commit, |_| {});
    assert!(matches!(alice.refusal(&server, &Bundle { commit: posing, ..bundle.clone() }), Refused::Invalid(_)));
    let posing = forge(alice, &server, &bundle.commit, |content| content[49] = 1);
    assert!(matches!(bob.refusal(&server, &Bundle { commit: posing, ..bundle.clone() }), Refused::Invalid(_)));
    for epoch in [0, 2, u64::MAX] {
        let moved = forge(alice, &server, &bundle.commit, |content| content[37..45].copy_from_slice(&epoch.to_be_bytes()));
        let refused = alice.refusal(&server, &Bundle { commit: moved, ..bundle.clone() });
        assert_eq!(refused, Refused::WrongEpoch { current: 1, got: epoch });
    }
    groups[0].merge_pending_commit(&alice.provider).expect("it merges");
    take(&mut server, alice, &bundle);
    assert_eq!(alice.refusal(&server, &bundle), Refused::WrongEpoch { current: 2, got: 1 });
}

#[test]
fn welcomes_are_for_exactly_the_added() {
    let (clients, mut groups, server, bundle) = addition();
    let alice = &clients[0];
    let without = Bundle { welcome: Vec::new(), ..bundle.clone() };
    assert_eq!(alice.refusal(&server, &without), Refused::BadWelcome);
    groups[0].clear_pending_commit(alice.provider.storage()).expect("it is cleared");
    let stranger = Client::new(4, 4);
    let two = alice.commit(&mut groups[0], |commit| commit.propose_adds([clients[2].package(), stranger.package()]));
    assert_eq!(alice.refusal(&server, &Bundle { welcome: two.welcome.clone(), ..bundle.clone() }), Refused::BadWelcome);
    assert_eq!(alice.refusal(&server, &Bundle { welcome: bundle.welcome.clone(), ..two }), Refused::BadWelcome);
    groups[0].clear_pending_commit(alice.provider.storage()).expect("it is cleared");
    let plain = alice.commit(&mut groups[0], |commit| commit.force_self_update(true));
    assert_eq!(alice.refusal(&server, &Bundle { welcome: bundle.welcome, ..plain }), Refused::BadWelcome);
}

#[test]
fn a_group_info_describes_the_new_epoch_and_is_the_committers() {
    let (clients, mut groups, server, bundle) = addition();
    let (alice, bob) = (&clients[0], &clients[1]);
    let with = |group_info: Vec<u8>| alice.refusal(&server, &Bundle { group_info, ..bundle.clone() });
    assert!(matches!(with(alice.group_info(&groups[0])), Refused::BadGroupInfo(_)), "the old epoch's");
    let other = alice.create_with(GroupId([8; 32]), context(None), lifetime());
    assert_eq!(with(alice.group_info(&other)), Refused::WrongGroup);
    assert!(matches!(with(bundle.welcome.clone()), Refused::Malformed));
    receive(bob, &mut groups[1], &bundle.commit);
    assert!(matches!(with(bob.group_info(&groups[1])), Refused::BadGroupInfo(_)), "bob's of the right epoch");
    groups[0].merge_pending_commit(&alice.provider).expect("it merges");
    let treeless = groups[0].export_group_info(alice.provider.crypto(), &alice.signer, false).expect("it is made");
    assert!(matches!(with(bytes(&treeless)), Refused::BadGroupInfo(_)));
    let again = Bundle { group_info: alice.group_info(&groups[0]), ..bundle.clone() };
    assert!(alice.check(&server, &again).is_ok(), "alice's, made once more");

    let (_, _, stranger_server, _) = addition();
    assert!(alice.check(&stranger_server, &bundle).is_err(), "another group's state under the same id");
}

#[test]
fn administrators_decide_where_roles_say_so() {
    let (alice, bob, carol) = (Client::new(1, 1), Client::new(2, 2), Client::new(3, 3));
    let roles = Roles { policy: Policy::Administered, administrators: vec![[1; 16]] };
    let (mut groups, server, _) = group_of(&[&alice, &bob, &carol], Some(&roles));
    let remove = bob.commit(&mut groups[1], |commit| commit.propose_removals([index(2)]));
    assert_eq!(bob.refusal(&server, &remove), Refused::Policy("only administrators remove others"));
    groups[1].clear_pending_commit(bob.provider.storage()).expect("it is cleared");
    let usurp = Roles { policy: Policy::Administered, administrators: vec![[2; 16]] };
    let change = bob.commit(&mut groups[1], |commit| {
        commit.propose_group_context_extensions(context(Some(&usurp))).expect("the context is good")
    });
    assert_eq!(bob.refusal(&server, &change), Refused::Policy("only administrators change roles"));

    let kind = ExtensionType::from(ROLES_EXTENSION);
    let more = RequiredCapabilitiesExtension::new(&[kind], &[ProposalType::SelfRemove], &[]);
    let more = Extensions::from_vec(vec![Extension::RequiredCapabilities(more)]).expect("it belongs there");
    for context in [Extensions::empty(), more] {
        let change =
            alice.commit(&mut groups[0], |commit| commit.propose_group_context_extensions(context).expect("the context is good"));
        assert!(matches!(alice.refusal(&server, &change), Refused::Policy(_)));
        groups[0].clear_pending_commit(alice.provider.storage()).expect("it is cleared");
    }
}

#[test]
fn nobody_removes_itself_or_nobody() {
    let (alice, bob, carol) = (Client::new(1, 1), Client::new(2, 2), Client::new(3, 3));
    let (mut groups, server, _) = group_of(&[&alice, &bob, &carol], None);
    let remove = alice.commit(&mut groups[0], |commit| commit.propose_removals([index(2)]));
    assert!(alice.check(&server, &remove).is_ok());
    assert_eq!(forge(&alice, &server, &remove.commit, |_| {}), remove.commit, "a forgery without a change is the original");
    for target in [0, 3, 7, u32::MAX] {
        let removed = [&[1, 0, 3][..], &2_u32.to_be_bytes()].concat();
        let instead = [&[1, 0, 3][..], &target.to_be_bytes()].concat();
        let commit = forge(&alice, &server, &remove.commit, |content| replace(content, &removed, &instead));
        assert!(matches!(alice.refusal(&server, &Bundle { commit, ..remove.clone() }), Refused::Invalid(_)), "leaf {target}");
    }
}

#[test]
fn leaves_keep_their_owner_and_key() {
    let (clients, mut groups, server, _) = addition();
    let alice = &clients[0];
    groups[0].clear_pending_commit(alice.provider.storage()).expect("it is cleared");
    let mut other = alice.credential();
    other.credential = Client::new(1, 9).credential().credential;
    let parameters = LeafNodeParameters::builder().with_credential_with_key(other).build();
    let renamed = groups[0].self_update(&alice.provider, &alice.signer, parameters).expect("openmls builds it");
    let bundle = Bundle::of(renamed);
    let refused = Refused::Policy("a commit keeps its committer's credential and signature key");
    assert_eq!(alice.refusal(&server, &bundle), refused);
    groups[0].clear_pending_commit(alice.provider.storage()).expect("it is cleared");

    let new = Client::new(1, 1);
    let bundle = NewSignerBundle { signer: &new.signer, credential_with_key: new.credential() };
    let rekeyed = groups[0]
        .self_update_with_new_signer(&alice.provider, &alice.signer, bundle, LeafNodeParameters::default())
        .expect("openmls builds it");
    assert_eq!(alice.refusal(&server, &Bundle::of(rekeyed)), refused);
}

#[test]
fn added_packages_are_held_to_what_uploads_are() {
    let alice = Client::new(1, 1);
    let now = now_ms() / 1000;
    let with = |package, later_ms| {
        let (mut group, server) = found(&alice, None);
        let bundle = alice.commit(&mut group, |commit| commit.propose_adds([package]));
        group.delete(alice.provider.storage()).expect("it is deleted");
        check_commit(&server, &alice.input(&alice.key(), &bundle), now_ms() + later_ms).err()
    };
    let bob = Client::new(2, 2);
    let bad = Some(Refused::BadAdd(bob.leaf.device_id));
    for range in [Lifetime::init(0, u64::MAX >> 1), Lifetime::init(now - 3600, now + 100 * 365 * 24 * 3600)] {
        assert_eq!(with(bob.package_with(|builder| builder.key_package_lifetime(range)), 0), bad);
    }
    assert_eq!(with(bob.package(), 181 * 24 * 3600 * 1000), bad);
    assert_eq!(with(bob.package(), 0), None);
    // A second leaf for a device that is a member already, with another key.
    let twice = Some(Refused::Policy("a device has one leaf in a group"));
    assert_eq!(with(Client::new(1, 1).package(), 0), twice);
    assert_eq!(
        with(
            Client { leaf: Leaf { account_id: AccountId([5; 16]), device_id: DeviceId([1; 16]) }, ..Client::new(5, 1) }.package(),
            0
        ),
        twice
    );
}

#[test]
fn pre_shared_keys_and_private_proposals_are_refused() {
    let kind = ProposalType::Custom(0xF123);
    let alice = Client { proposals: vec![ProposalType::SelfRemove, kind], ..Client::new(1, 1) };
    let (mut group, server) = found(&alice, None);
    let psk = Psk::External(ExternalPsk::new(b"psk".to_vec()));
    let id = PreSharedKeyId::new(SUITE, alice.provider.rand(), psk).expect("it is made");
    id.store(&alice.provider, b"secret").expect("it is stored");
    let proposal = Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id)));
    let bundle = alice.commit(&mut group, |commit| commit.add_proposal(proposal));
    assert_eq!(alice.refusal(&server, &bundle), Refused::Policy("a commit adds, removes or changes roles"));
    group.clear_pending_commit(alice.provider.storage()).expect("it is cleared");
    let custom = CustomProposal::new(0xF123, vec![1]);
    let bundle = alice.commit(&mut group, |commit| commit.add_proposal(Proposal::Custom(Box::new(custom))));
    assert_eq!(alice.refusal(&server, &bundle), Refused::Policy("a commit adds, removes or changes roles"));
}

#[test]
fn joiners_are_devices_of_members_and_replace_only_themselves() {
    let (alice, bob) = (Client::new(1, 1), Client::new(2, 2));
    let (_, server, bundle) = group_of(&[&alice, &bob], None);
    let stranger = Client::new(9, 9);
    let (_, join) = stranger.join_externally(&bundle.group_info);
    assert_eq!(stranger.refusal(&server, &join), Refused::Policy("only devices of member accounts join by themselves"));
    // Bob's second device commits with the credential of another device.
    let second = Client::new(2, 3);
    let (_, join) = second.join_externally(&bundle.group_info);
    let posing = Client::new(2, 4);
    let key = second.key();
    let refused = check_commit(&server, &posing.input(&key, &join), now_ms()).err();
    assert!(matches!(refused, Some(Refused::Policy(_))));
    let removals = [second.leaf];
    let mut input = second.input(&key, &join);
    input.removals = &removals;
    assert!(matches!(check_commit(&server, &input, now_ms()).err(), Some(Refused::Policy(_))));
    input.removals = &[];
    assert!(check_commit(&server, &input, now_ms()).is_ok());
    // A new key for a device that is still a leaf: its old leaf stays, so it would stand there twice.
    let new_key = Client::new(2, 2);
    let (_, join) = new_key.join_externally(&bundle.group_info);
    assert_eq!(new_key.refusal(&server, &join), Refused::Policy("a device has one leaf in a group"));
    // openmls takes a leaf with the joiner's signature key for the joiner's old one and removes it.
    let heir = Client { signer: bob.signer, ..Client::new(2, 5) };
    let (_, join) = heir.join_externally(&bundle.group_info);
    let refused = Refused::Policy("a joiner removes its own old leaf and proposes nothing else");
    assert_eq!(heir.refusal(&server, &join), refused);
}
