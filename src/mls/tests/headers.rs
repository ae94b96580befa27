//! Headers read by hand agree with openmls and end where the message ends.

use openmls::prelude::LeafNodeParameters;

use super::client::{Client, GROUP, bytes, group_of};
use crate::mls::{HandshakeKind, HandshakeSender, Refused, inspect_handshake, inspect_message};

#[test]
fn headers_are_read_and_every_prefix_is_refused() {
    let (alice, bob) = (Client::new(1, 1), Client::new(2, 2));
    let (mut groups, _, bundle) = group_of(&[&alice, &bob], None);
    let message = groups[0].create_message(&alice.provider, &alice.signer, b"hello").expect("it is sent");
    let message = bytes(&message);
    let header = inspect_message(&message).expect("an application message");
    assert_eq!((header.group, header.epoch), (GROUP, 1));
    for end in 0..message.len() {
        assert!(inspect_message(&message[..end]).is_err(), "cut at {end}");
    }
    assert_eq!(inspect_message(&[&message[..], &[0]].concat()), Err(Refused::Malformed));
    assert!(inspect_message(&bundle.commit).is_err());
    assert!(inspect_handshake(&message).is_err());

    let header = inspect_handshake(&bundle.commit).expect("a commit");
    assert_eq!((header.group, header.epoch), (GROUP, 0));
    assert_eq!((header.kind, header.sender), (HandshakeKind::Commit, HandshakeSender::Member(0)));
    let (_, join) = bob.join_externally(&bundle.group_info);
    assert_eq!(inspect_handshake(&join.commit).map(|header| header.sender), Ok(HandshakeSender::NewMemberCommit));
    let update = groups[1].propose_self_update(&bob.provider, &bob.signer, LeafNodeParameters::default());
    let header = inspect_handshake(&bytes(&update.expect("it is proposed").0)).expect("a proposal");
    assert_eq!((header.kind, header.sender), (HandshakeKind::Proposal, HandshakeSender::Member(1)));
}

#[test]
fn long_lengths_and_foreign_framing_are_refused() {
    let (alice, bob) = (Client::new(1, 1), Client::new(2, 2));
    let (mut groups, ..) = group_of(&[&alice, &bob], None);
    let message = bytes(&groups[0].create_message(&alice.provider, &alice.signer, b"hello").expect("it is sent"));
    // The group id's length, 32, in two bytes and in four.
    for length in [&[0x40, 32][..], &[0x80, 0, 0, 32]] {
        let spelled = [&message[..4], length, &message[5..]].concat();
        assert_eq!(inspect_message(&spelled), Err(Refused::NotCanonical));
    }
    for (position, value) in [(1, 2), (3, 1), (3, 7), (4, 31), (45, 2), (45, 3), (45, 0)] {
        let mut changed = message.clone();
        changed[position] = value;
        assert!(inspect_message(&changed).is_err(), "byte {position} = {value}");
    }
}
