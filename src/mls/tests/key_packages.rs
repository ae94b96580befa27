//! Key packages: one good one, and everything that can be wrong with it.

use openmls::prelude::{
    ApplicationIdExtension, Capabilities, Ciphersuite, Extension, ExtensionType, Extensions, KeyPackage, Lifetime, MlsMessageOut,
    OpenMlsProvider as _, tls_codec::Serialize as _,
};
use sha2::{Digest as _, Sha256};

use super::client::{Client, lifetime, now_ms};
use crate::mls::{Refused, SUITE, check_key_package};

const DAY: u64 = 24 * 3600;

fn encode(package: KeyPackage) -> Vec<u8> {
    MlsMessageOut::from(package).tls_serialize_detached().expect("openmls encodes what it made")
}

fn refusal(client: &Client, bytes: &[u8]) -> Refused {
    check_key_package(bytes, client.leaf, &client.key(), now_ms(), false).expect_err("it should have been refused")
}

#[test]
fn a_good_one_is_taken_with_its_facts() {
    let alice = Client::new(1, 1);
    let package = alice.package();
    let facts = check_key_package(&encode(package.clone()), alice.leaf, &alice.key(), now_ms(), false).expect("it is good");
    assert_eq!(facts.reference, package.hash_ref(alice.provider.crypto()).expect("it hashes").as_slice());
    assert_eq!(facts.init_key_hash, <[u8; 32]>::from(Sha256::digest(package.hpke_init_key().as_slice())));
    let last = encode(alice.package_with(openmls::prelude::KeyPackageBuilder::mark_as_last_resort));
    assert!(check_key_package(&last, alice.leaf, &alice.key(), now_ms(), true).is_ok());
    assert!(matches!(refusal(&alice, &last), Refused::BadKeyPackage(_)));
    let plain = check_key_package(&encode(package), alice.leaf, &alice.key(), now_ms(), true);
    assert!(matches!(plain, Err(Refused::BadKeyPackage(_))));
}

#[test]
fn lifetimes_are_held_to_the_range() {
    let (alice, now) = (Client::new(1, 1), now_ms() / 1000);
    let ranges = [
        (now - 3600, now + 100 * 365 * DAY),
        (0, u64::MAX >> 1),
        (0, u64::MAX),
        (now - 191 * DAY, now + 1),
        (now - 2 * DAY, now - DAY),
        (now + 2 * DAY, now + 3 * DAY),
        (now + DAY, now - DAY),
    ];
    for (from, to) in ranges {
        let package = alice.package_with(|builder| builder.key_package_lifetime(Lifetime::init(from, to)));
        assert!(matches!(refusal(&alice, &encode(package)), Refused::BadKeyPackage(_)), "{from}..{to}");
    }
    let good = encode(alice.package());
    let later = check_key_package(&good, alice.leaf, &alice.key(), now_ms() + 181 * DAY * 1000, false);
    assert!(matches!(later, Err(Refused::BadKeyPackage(_))));
    let earlier = check_key_package(&good, alice.leaf, &alice.key(), now_ms() - 3 * 3600 * 1000, false);
    assert!(matches!(earlier, Err(Refused::BadKeyPackage(_))));
}

#[test]
fn others_packages_suites_and_poor_capabilities_are_refused() {
    let (alice, bob) = (Client::new(1, 1), Client::new(2, 2));
    let bytes = encode(alice.package());
    assert_eq!(refusal(&bob, &bytes), Refused::NotSender);
    assert_eq!(check_key_package(&bytes, alice.leaf, &bob.key(), now_ms(), false), Err(Refused::NotSender));
    assert_eq!(check_key_package(&bytes, bob.leaf, &alice.key(), now_ms(), false), Err(Refused::NotSender));

    let suite = Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;
    let chacha = Client { suite, ..Client::new(1, 1) };
    assert_eq!(refusal(&chacha, &encode(chacha.package())), Refused::WrongSuite);

    let without_roles = Capabilities::builder().ciphersuites(vec![SUITE]).build();
    let without_suite =
        Capabilities::builder().ciphersuites(vec![suite]).extensions(vec![ExtensionType::Unknown(0xF0A1)]).build();
    for capabilities in [without_roles, without_suite] {
        let package = alice.package_with(|builder| builder.leaf_node_capabilities(capabilities));
        assert!(matches!(refusal(&alice, &encode(package)), Refused::BadKeyPackage(_)));
    }
    let large = Extension::ApplicationId(ApplicationIdExtension::new(&[1; 900]));
    let large = Extensions::from_vec(vec![large]).expect("it belongs in a leaf");
    let package = alice.package_with(|builder| builder.leaf_node_extensions(large));
    assert!(matches!(refusal(&alice, &encode(package)), Refused::BadKeyPackage(_)));
}

#[test]
fn every_cut_every_flipped_byte_and_every_other_spelling_is_refused() {
    let alice = Client::new(1, 1);
    let bytes = encode(alice.package_with(|builder| builder.key_package_lifetime(lifetime())));
    for position in 0..bytes.len() {
        assert!(matches!(refusal(&alice, &bytes[..position]), Refused::Malformed | Refused::WrongSuite), "cut at {position}");
        for bit in [0x01, 0x40, 0x80] {
            let mut changed = bytes.clone();
            changed[position] ^= bit;
            refusal(&alice, &changed);
        }
    }
    assert_eq!(refusal(&alice, &[&bytes[..], &[0]].concat()), Refused::Malformed);
    // The init key's length, 32, in two bytes.
    assert_eq!(bytes[8], 32);
    let spelled = [&bytes[..8], &[0x40, 32], &bytes[9..]].concat();
    assert!(matches!(refusal(&alice, &spelled), Refused::Malformed | Refused::NotCanonical));
}
