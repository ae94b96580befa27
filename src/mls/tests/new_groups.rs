//! Groups as they begin, and as they may not.

use openmls::prelude::{
    BasicCredential, Ciphersuite, Extension, ExtensionType, Extensions, ExternalSender, GroupContext, Lifetime,
    OpenMlsProvider as _, ProposalType, RequiredCapabilitiesExtension, UnknownExtension,
};
use sovereign_proto::mls::{Policy, ROLES_EXTENSION, Roles};

use super::client::{Client, GROUP, bytes, context, found, group_of, lifetime, now_ms};
use crate::{
    ids::GroupId,
    mls::{PublicState, Refused, check_new_group},
};

fn refusal(client: &Client, info: &[u8]) -> Refused {
    match check_new_group(GROUP, client.leaf, &client.key(), info) {
        Ok(_) => panic!("the group should have been refused"),
        Err(refused) => refused,
    }
}

#[test]
fn a_group_of_one_is_taken_with_its_roles() {
    let alice = Client::new(1, 1);
    let roles = Roles { policy: Policy::Administered, administrators: vec![[1; 16]] };
    let (_, server) = found(&alice, Some(&roles));
    assert_eq!((server.group(), server.epoch(), server.roles()), (GROUP, 0, roles));
    let member = server.members()[0];
    assert_eq!((member.index, member.leaf, member.signature_key), (0, alice.leaf, alice.key()));
}

#[test]
fn what_is_not_the_callers_new_group_is_refused() {
    let (alice, bob) = (Client::new(1, 1), Client::new(2, 2));
    let group = alice.create(None);
    let info = alice.group_info(&group);
    assert_eq!(refusal(&bob, &info), Refused::NotSender);
    let other = alice.create_with(GroupId([8; 32]), context(None), lifetime());
    assert_eq!(refusal(&alice, &alice.group_info(&other)), Refused::WrongGroup);
    let (groups, _, bundle) = group_of(&[&Client::new(1, 1), &bob], None);
    assert!(matches!(refusal(&alice, &bundle.group_info), Refused::BadGroupInfo(_)));
    assert!(matches!(refusal(&bob, &bob.group_info(&groups[1])), Refused::BadGroupInfo(_)));
    let treeless = group.export_group_info(alice.provider.crypto(), &alice.signer, false).expect("it is made");
    assert!(matches!(refusal(&alice, &bytes(&treeless)), Refused::BadGroupInfo(_)));

    let now = now_ms() / 1000;
    for lifetime in [Lifetime::init(0, u64::MAX >> 1), Lifetime::init(now - 7200, now - 3600)] {
        let client = Client::new(1, 1);
        let group = client.create_with(GROUP, context(None), lifetime);
        refusal(&client, &client.group_info(&group));
    }
    let suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
    let chacha = Client { suite, ..Client::new(1, 1) };
    assert_eq!(refusal(&chacha, &chacha.group_info(&chacha.create(None))), Refused::WrongSuite);
}

#[test]
fn contexts_hold_roles_and_what_they_need_and_nothing_else() {
    let roles_type = ExtensionType::from(ROLES_EXTENSION);
    let required = |extensions: &[ExtensionType], proposals: &[ProposalType]| {
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(extensions, proposals, &[]))
    };
    let sender = ExternalSender::new(vec![1; 32].into(), BasicCredential::new(vec![1; 32]).into());
    let rows: Vec<(&str, Vec<Extension>)> = vec![
        ("nothing", vec![]),
        ("requires nothing", vec![required(&[], &[])]),
        ("requires more", vec![required(&[roles_type, ExtensionType::LastResort], &[])]),
        ("external senders", vec![required(&[roles_type], &[]), Extension::ExternalSenders(vec![sender])]),
        ("malformed roles", vec![required(&[roles_type], &[]), Extension::Unknown(ROLES_EXTENSION, UnknownExtension(vec![1]))]),
    ];
    for (name, extensions) in rows {
        let alice = Client::new(1, 1);
        let context: Extensions<GroupContext> = Extensions::from_vec(extensions).expect("they belong in a context");
        let group = alice.create_with(GROUP, context, lifetime());
        assert!(matches!(refusal(&alice, &alice.group_info(&group)), Refused::Policy(_)), "{name}");
    }
}

#[test]
fn every_cut_and_every_flipped_byte_is_refused() {
    let alice = Client::new(1, 1);
    let info = alice.group_info(&alice.create(None));
    for position in 0..info.len() {
        refusal(&alice, &info[..position]);
        let mut changed = info.clone();
        changed[position] ^= 1;
        refusal(&alice, &changed);
        assert!(PublicState::load(&changed, &[]).is_err(), "byte {position}");
    }
    assert_eq!(refusal(&alice, &[&info[..], &[0]].concat()), Refused::Malformed);
}
