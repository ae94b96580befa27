//! Proposals on their own, and the commits that take them.

use bytes::Bytes;
use openmls::prelude::{Capabilities, CredentialWithKey, LeafNodeParameters};

use super::client::{Client, bytes, group_of, index, receive, take};
use crate::mls::{PublicState, Refused, check_proposal};

fn refusal(server: &PublicState, client: &Client, bytes: &[u8]) -> Refused {
    match check_proposal(server, client.leaf, bytes) {
        Ok(_) => panic!("the proposal should have been refused"),
        Err(refused) => refused,
    }
}

#[test]
fn an_update_is_taken_by_somebody_elses_commit_also_after_loading() {
    let (alice, bob) = (Client::new(1, 1), Client::new(2, 2));
    let (mut groups, mut server, bundle) = group_of(&[&alice, &bob], None);
    let (update, _) =
        groups[1].propose_self_update(&bob.provider, &bob.signer, LeafNodeParameters::default()).expect("it is proposed");
    let update = bytes(&update);
    let checked = check_proposal(&server, bob.leaf, &update).expect("it is good");
    assert_eq!(checked.epoch, 1);
    server.add_proposal(checked.pending).expect("it was checked against this state");
    assert_eq!(refusal(&server, &bob, &update), Refused::Policy("a leaf has one pending proposal at a time"));
    receive(&alice, &mut groups[0], &update);
    let commit = alice.commit_now(&mut groups[0], |commit| commit);

    let mut loaded = PublicState::load(&bundle.group_info, &[Bytes::from(update.clone())]).expect("it was accepted");
    let unknowing = PublicState::load(&bundle.group_info, &[]).expect("it was accepted");
    assert!(matches!(alice.refusal(&unknowing, &commit), Refused::Invalid(_)));
    take(&mut loaded, &alice, &commit);
    take(&mut server, &alice, &commit);
    assert_eq!(refusal(&server, &bob, &update), Refused::WrongEpoch { current: 2, got: 1 });
    receive(&bob, &mut groups[1], &commit.commit);
}

#[test]
fn a_leaf_is_removed_at_its_own_wish() {
    for by_self_remove in [false, true] {
        let (alice, bob, carol) = (Client::new(1, 1), Client::new(2, 2), Client::new(3, 3));
        let (mut groups, mut server, _) = group_of(&[&alice, &bob, &carol], None);
        let proposal = if by_self_remove {
            groups[1].leave_group_via_self_remove(&bob.provider, &bob.signer).expect("it is proposed")
        } else {
            groups[1].leave_group(&bob.provider, &bob.signer).expect("it is proposed")
        };
        let proposal = bytes(&proposal);
        server.add_proposal(check_proposal(&server, bob.leaf, &proposal).expect("it is good").pending).expect("it is fresh");
        receive(&alice, &mut groups[0], &proposal);
        let commit = alice.commit_now(&mut groups[0], |commit| commit);
        assert_eq!(take(&mut server, &alice, &commit).1, [bob.leaf]);
        receive(&carol, &mut groups[2], &proposal);
        receive(&carol, &mut groups[2], &commit.commit);
    }
}

#[test]
fn self_remove_waits_until_every_leaf_supports_it() {
    let (alice, bob) = (Client::new(1, 1), Client::new(2, 2));
    let carol = Client { proposals: Vec::new(), ..Client::new(3, 3) };
    let (mut groups, server, _) = group_of(&[&alice, &bob, &carol], None);
    let proposal = groups[1].leave_group_via_self_remove(&bob.provider, &bob.signer).expect("it is proposed");
    assert_eq!(refusal(&server, &bob, &bytes(&proposal)), Refused::Policy("not every leaf supports SelfRemove"));
}

#[test]
fn other_proposals_and_other_senders_are_refused() {
    let (alice, bob, carol) = (Client::new(1, 1), Client::new(2, 2), Client::new(3, 3));
    let (mut groups, server, bundle) = group_of(&[&alice, &bob], None);
    let (provider, signer) = (&bob.provider, &bob.signer);
    let remove = groups[1].propose_remove_member(provider, signer, index(0)).expect("it is proposed").0;
    assert!(matches!(refusal(&server, &bob, &bytes(&remove)), Refused::Policy(_)));
    let add = groups[1].propose_add_member(provider, signer, &carol.package()).expect("it is proposed").0;
    assert!(matches!(refusal(&server, &bob, &bytes(&add)), Refused::Policy(_)));
    let other = CredentialWithKey { credential: alice.credential().credential, ..bob.credential() };
    let stolen = LeafNodeParameters::builder().with_credential_with_key(other).build();
    let update = groups[1].propose_self_update(provider, signer, stolen).expect("openmls builds it").0;
    assert_eq!(refusal(&server, &bob, &bytes(&update)), Refused::Policy("an update keeps credential and signature key"));
    let poor = LeafNodeParameters::builder().with_capabilities(without_self_remove(&bob)).build();
    let update = groups[1].propose_self_update(provider, signer, poor).expect("openmls builds it").0;
    let refused = Refused::Policy("an update keeps the leaf's capabilities and extensions");
    assert_eq!(refusal(&server, &bob, &bytes(&update)), refused);
    let good = groups[1].propose_self_update(provider, signer, LeafNodeParameters::default()).expect("it is proposed").0;
    let good = bytes(&good);
    assert_eq!(refusal(&server, &alice, &good), Refused::NotSender);
    assert!(matches!(refusal(&server, &bob, &bundle.commit), Refused::WrongEpoch { .. } | Refused::Policy(_)));
    for position in 0..good.len() {
        refusal(&server, &bob, &good[..position]);
        let mut changed = good.clone();
        changed[position] ^= 1;
        let tag = position >= good.len() - 32;
        assert_eq!(check_proposal(&server, bob.leaf, &changed).is_ok(), tag, "byte {position}");
    }
    assert_eq!(refusal(&server, &bob, &[&good[..], &[0]].concat()), Refused::Malformed);
}

fn without_self_remove(client: &Client) -> Capabilities {
    Client { proposals: Vec::new(), ..Client::new(client.leaf.account_id.0[0], client.leaf.device_id.0[0]) }.capabilities()
}
