//! The bytes of docs/protocol/mls.md as files for implementers in other languages: `vectors/*.json` holds what this crate
//! makes of fixed inputs, and these tests hold the crate to them.
//!
//! `SOVEREIGN_WRITE_VECTORS=1 cargo test -p sovereign-proto --test vectors` writes the files anew. A file that changes
//! means that devices of before and after cannot understand each other: that is a new version of the protocol.

use std::{env, fs, path::PathBuf};

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer as _, SigningKey, Verifier as _};
use prost::{Message as _, bytes::Bytes};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sovereign_proto::{
    credential,
    log::{self, Kind},
    manifest::{Body, Device},
    mls::{Policy, ROLES_EXTENSION, Roles},
    signal,
    signed::{self, SignIn},
    v1::{self, signal_content::Kind as SignalKind},
};

#[test]
fn credential() {
    let case = |account: [u8; 16], device: [u8; 16]| {
        let identity = credential::encode(&account, &device);
        assert_eq!(credential::decode(&identity), Some((account, device)));
        json!({ "account_id": hex(account), "device_id": hex(device), "identity": hex(identity) })
    };
    let refused = [vec![], vec![0; 31], vec![0; 33]];
    assert!(refused.iter().all(|bytes| credential::decode(bytes).is_none()));
    holds(
        "credential",
        &json!({
            "what": "identity of the MLS Basic credential",
            "cases": [case(count_from(0x00), count_from(0x10)), case([0xff; 16], [0; 16])],
            "refused": refused.iter().map(hex).collect::<Vec<_>>(),
        }),
    );
}

#[test]
fn manifest() {
    let identity = key(0x40);
    let (first, second) = (device(0x02, true), device(0x01, false));
    let genesis = Body {
        account_id: count_from(0x00),
        version: 1,
        previous: [0; 32],
        issued_at_ms: 1_800_000_000_000,
        devices: vec![first.clone()],
    };
    let next = Body {
        version: 2,
        previous: Body::hash(&genesis.encode()),
        issued_at_ms: 1_800_000_060_000,
        devices: vec![first, second],
        ..genesis.clone()
    };
    let mut refused = vec![("cut short", cut(&next)), ("a byte too many", [next.encode(), vec![0]].concat())];
    refused.push(("another layout version", changed(&next, |bytes| bytes[0] = 2)));
    refused.push(("devices not ascending", changed(&next, |bytes| bytes[67..].rotate_left(49))));
    refused.push(("a flag nobody knows", changed(&next, |bytes| bytes[115] = 2)));
    refused.push(("count that lies", changed(&next, |bytes| bytes[66] = 1)));
    refused.push(("version 1 with a predecessor", changed(&next, |bytes| bytes[24] = 1)));
    refused.push(("version 0", changed(&genesis, |bytes| bytes[24] = 0)));
    assert!(refused.iter().all(|(_, bytes)| Body::decode(bytes).is_err()));
    holds(
        "manifest",
        &json!({
            "what": "an account's device manifest: body, hash, and the signature under the label Manifest",
            "cases": [
                manifest_case(&genesis, &identity, "identity key"),
                manifest_case(&next, &device_key(0x02), "device 02…, a signer of version 1"),
            ],
            "refused": refused.iter().map(|(why, bytes)| json!({ "why": why, "body": hex(bytes) })).collect::<Vec<_>>(),
        }),
    );
}

#[test]
fn sign_in() {
    let server_id: [u8; 32] = Sha256::digest(key(0x60).verifying_key().as_bytes()).into();
    let case = |purpose: &str, account_id: [u8; 16], nonce_length: u8| {
        let nonce: Vec<u8> = (0x80..0x80 + nonce_length).collect();
        let (device_id, challenge) = ([0x02; 16], count_from::<32>(0xa0));
        let statement = SignIn {
            server_id: &server_id,
            account_id: &account_id,
            device_id: &device_id,
            challenge: &challenge,
            client_nonce: &nonce,
            purpose,
        };
        let mut case = json!({
            "server_id": hex(server_id),
            "account_id": hex(account_id),
            "device_id": hex(device_id),
            "challenge": hex(challenge),
            "client_nonce": hex(&nonce),
            "purpose": purpose,
        });
        add_signature(&mut case, &device_key(0x02), &statement.to_bytes());
        case
    };
    holds(
        "sign_in",
        &json!({
            "what": "what a device signs to prove that it holds its key, under the label SignIn",
            "cases": [
                case(signed::PURPOSE_SIGN_UP, count_from(0x00), 32),
                case(signed::PURPOSE_SIGN_IN, count_from(0x00), 16),
                case(signed::PURPOSE_ENROL, [0; 16], 32),
                case(signed::PURPOSE_CHANGE_PASSWORD, count_from(0x00), 32),
                case(signed::PURPOSE_ISSUE_TOKEN, count_from(0x00), 32),
            ],
        }),
    );
}

#[test]
fn hello() {
    let server = key(0x60);
    let server_id: [u8; 32] = Sha256::digest(server.verifying_key().as_bytes()).into();
    let case = |name: &str, time_ms: u64| {
        let challenge = count_from::<32>(0xa0);
        let mut case = json!({
            "server_id": hex(server_id),
            "server_name": name,
            "challenge": hex(challenge),
            "server_time_ms": time_ms,
        });
        add_signature(&mut case, &server, &signed::hello(&server_id, name, &challenge, time_ms));
        case
    };
    holds(
        "hello",
        &json!({
            "what": "what the server signs in its Hello, under the label Hello; server_id is SHA-256 of the public key",
            "cases": [case("chat.example", 1_800_000_000_000), case("Café ☕", 1), case("", 0)],
        }),
    );
}

#[test]
fn roles() {
    let case = |policy: Policy, administrators: Vec<[u8; 16]>| {
        let roles = Roles { policy, administrators };
        let encoded = roles.encode();
        assert_eq!(Roles::decode(&encoded), Ok(roles.clone()));
        json!({
            "policy": roles.policy as u8,
            "administrators": roles.administrators.iter().map(hex).collect::<Vec<_>>(),
            "extension_data": hex(encoded),
        })
    };
    let two = Roles { policy: Policy::Administered, administrators: vec![[1; 16], [2; 16]] }.encode();
    let mut swapped = two.clone();
    swapped[4..].rotate_left(16);
    let twice = [&two[..4], &[1; 32]].concat();
    let refused = [
        ("empty", vec![]),
        ("another version", vec![2, 0, 0, 0]),
        ("another policy", vec![1, 2, 0, 0]),
        ("cut short", two[..two.len() - 1].to_vec()),
        ("count that lies", vec![1, 1, 0, 1]),
        ("not ascending", swapped),
        ("not distinct", twice),
    ];
    assert!(refused.iter().all(|(_, bytes)| Roles::decode(bytes).is_err()));
    holds(
        "roles",
        &json!({
            "what": "content of the GroupContext extension that says who may change the group",
            "extension_type": ROLES_EXTENSION,
            "cases": [
                case(Policy::Equal, vec![]),
                case(Policy::Administered, vec![count_from(0x00)]),
                case(Policy::Administered, vec![[1; 16], [2; 16]]),
            ],
            "refused": refused.iter().map(|(why, bytes)| json!({ "why": why, "extension_data": hex(bytes) })).collect::<Vec<_>>(),
        }),
    );
}

#[test]
fn running_hash() {
    let entries: [(Kind, &[u8]); 5] = [
        (Kind::Message, b"an application message"),
        (Kind::Commit, b"a commit"),
        (Kind::Proposal, b"a proposal"),
        (Kind::Message, b""),
        (Kind::Message, b"an application message"),
    ];
    let mut running = log::START;
    let mut cases = Vec::new();
    for (seq, (kind, body)) in (1..).zip(entries) {
        let entry_hash = log::entry_hash(kind, body);
        running = log::running_hash(&running, seq, &entry_hash);
        cases.push(json!({
            "seq": seq,
            "kind": kind as u8,
            "body": hex(body),
            "entry_hash": hex(entry_hash),
            "running_hash": hex(running),
        }));
    }
    holds(
        "running_hash",
        &json!({
            "what": "the running hash of a log, entry after entry; each case goes on from the one before it",
            "start": hex(log::START),
            "cases": cases,
        }),
    );
}

#[test]
fn direct_key() {
    let case = |accounts: &[[u8; 16]]| json!({ "account_ids": accounts.iter().map(hex).collect::<Vec<_>>(), "direct_key": hex(log::direct_key(accounts)) });
    let (one, two, three) = (count_from(0x00), count_from(0x10), count_from(0x20));
    assert_eq!(log::direct_key(&[one, two]), log::direct_key(&[two, one, two]));
    holds(
        "direct_key",
        &json!({
            "what": "the key of the one group of exactly these accounts, in whatever order they are named",
            "cases": [case(&[one]), case(&[one, two]), case(&[two, one]), case(&[two, one, two]), case(&[three, one, two])],
        }),
    );
}

#[test]
fn signal() {
    let typing = |active| Some(SignalKind::Typing(v1::Typing { active }));
    let cases = [
        signal_case("starts to type", 0, 1, 1, typing(true)),
        signal_case("has stopped", 3, 1 << 40, 1 << 50, typing(false)),
        signal_case("an application's own kind", 1, 7, 1_800_000_000_001, Some(custom("viewing", b"page 3"))),
        signal_case("the largest", 999, 7, 2, Some(custom(&"k".repeat(signal::KIND_MAX), &[0xa5; signal::PAYLOAD_MAX]))),
    ];
    holds(
        "signal",
        &json!({
            "what": "signals under a key of their epoch; the plaintext is an encoded SignalContent, and any other encoding of the same content is as good",
            "exporter_label": signal::KEY_LABEL,
            "cases": cases,
        }),
    );
}

fn custom(kind: &str, payload: &[u8]) -> SignalKind {
    SignalKind::Custom(v1::Custom { kind: kind.to_owned(), payload: Bytes::copy_from_slice(payload), signature: Bytes::new() })
}

/// Signs what is of an application's own kind, seals it, and opens it again.
fn signal_case(what: &str, leaf: u32, epoch: u64, counter: u64, mut kind: Option<SignalKind>) -> Value {
    let (group_id, author) = (count_from::<32>(0x20), device_key(0x02));
    let (key, nonce) = (count_from::<{ signal::KEY_LENGTH }>(0x70), count_from::<{ signal::NONCE_LENGTH }>(0xb0));
    let sent_at_ms = 1_800_000_000_000;
    let mut case = json!({
        "why": what,
        "group_id": hex(group_id),
        "epoch": epoch,
        "leaf": leaf,
        "sent_at_ms": sent_at_ms,
        "counter": counter,
        "key": hex(key),
        "nonce": hex(nonce),
    });
    match &mut kind {
        Some(SignalKind::Custom(custom)) => {
            let (kind, payload) = (custom.kind.clone(), custom.payload.clone());
            let signed = signed::Signal { group_id: &group_id, epoch, leaf, sent_at_ms, counter, kind: &kind, payload: &payload };
            add_signature(&mut case, &author, &signed.to_bytes());
            custom.signature = author.sign(&signed.to_bytes()).to_bytes().to_vec().into();
            case["custom"] = json!({ "kind": kind, "payload": hex(&payload) });
        }
        Some(SignalKind::Typing(typing)) => case["typing"] = json!({ "active": typing.active }),
        None => {}
    }
    let content = v1::SignalContent { leaf, epoch, sent_at_ms, counter, kind, padding: Bytes::new() };
    let plaintext = signal::encode(content.clone());
    let associated_data = signal::associated_data(&group_id, epoch);
    let cipher = ChaCha20Poly1305::new(&key.into());
    let payload = Payload { msg: &plaintext, aad: &associated_data };
    let sealed = cipher.encrypt(Nonce::from_slice(&nonce), payload).expect("a key seals");
    let payload = Payload { msg: &sealed, aad: &associated_data };
    let opened = cipher.decrypt(Nonce::from_slice(&nonce), payload).expect("a key opens what it sealed");
    let read = v1::SignalContent::decode(opened.as_slice()).expect("it reads back");
    assert!(v1::SignalContent { padding: Bytes::new(), ..read } == content, "{what}");
    case["plaintext"] = hex(&plaintext).into();
    case["associated_data"] = hex(associated_data).into();
    case["ciphertext"] = hex([nonce.as_slice(), &sealed].concat()).into();
    case
}

/// The vectors of `name` are what the file of that name says.
fn holds(name: &str, vectors: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name).with_extension("json");
    let text = format!("{}\n", serde_json::to_string_pretty(vectors).expect("JSON values can be written"));
    if env::var_os("SOVEREIGN_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
    }
    let stands = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    let stands: Value = serde_json::from_str(&stands).unwrap_or_else(|error| panic!("vectors/{name}.json is no JSON: {error}"));
    assert_eq!(*vectors, stands, "the code makes other bytes than vectors/{name}.json: the contract was changed");
}

fn manifest_case(body: &Body, signer: &SigningKey, signed_by: &str) -> Value {
    let bytes = body.encode();
    assert_eq!(Body::decode(&bytes).map(|decoded| decoded.encode()), Ok(bytes.clone()));
    let devices = body.devices.iter().map(
        |device| json!({ "device_id": hex(device.device_id), "device_key": hex(device.device_key), "signer": device.signer }),
    );
    let mut case = json!({
        "account_id": hex(body.account_id),
        "version": body.version,
        "previous": hex(body.previous),
        "issued_at_ms": body.issued_at_ms,
        "devices": devices.collect::<Vec<_>>(),
        "body": hex(&bytes),
        "hash": hex(Body::hash(&bytes)),
        "signed_by": signed_by,
    });
    add_signature(&mut case, signer, &signed::manifest(&bytes));
    case
}

/// Adds who signs (the seed is public, so that signers can be tested as well as verifiers), what, and the signature.
fn add_signature(case: &mut Value, key: &SigningKey, bytes: &[u8]) {
    let signature = key.sign(bytes);
    key.verifying_key().verify(bytes, &signature).expect("a key verifies what it signed");
    case["seed"] = hex(key.to_bytes()).into();
    case["public_key"] = hex(key.verifying_key().to_bytes()).into();
    case["signed_bytes"] = hex(bytes).into();
    case["signature"] = hex(signature.to_bytes()).into();
}

fn device(number: u8, signer: bool) -> Device {
    Device { device_id: [number; 16], device_key: device_key(number).verifying_key().to_bytes(), signer }
}

fn device_key(number: u8) -> SigningKey {
    key(number << 4)
}

/// The key whose seed counts up from `first`.
fn key(first: u8) -> SigningKey {
    SigningKey::from_bytes(&count_from(first))
}

fn count_from<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|index| first.wrapping_add(u8::try_from(index).expect("N is at most 32")))
}

fn cut(body: &Body) -> Vec<u8> {
    let bytes = body.encode();
    bytes[..bytes.len() - 1].to_vec()
}

fn changed(body: &Body, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = body.encode();
    change(&mut bytes);
    bytes
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}
