//! Signals from those who should not send them, too many of them, and too large ones: dropped in silence, at nobody
//! else's cost.

use std::time::Duration;

use sovereign::clock::monotonic;
use sovereign_proto::{
    manifest::Body,
    v1::{ListManifestsRequest, PingRequest, PublishManifestRequest},
};
use tokio::io::AsyncWriteExt as _;

use super::{
    floods::{frames, further_device},
    memory::{Peak, TOLERATED},
};
use crate::harness::{
    Carrier, Member, Raw, TestServer,
    raw::signal_frame,
    scene::{Person, Seat, pair},
    within,
};

/// A server that relays whatever comes.
async fn patient_server() -> TestServer {
    TestServer::over(Carrier::WebSocket, &["--signals-per-second-max", "1000000"]).await
}

/// The same for payloads that are too long for a short frame.
fn large_frames(payload: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(payload.len()).expect("a payload of some thousand bytes").to_be_bytes();
    let frame = [&[0x82, 0xfe, high, low, 0, 0, 0, 0][..], payload].concat();
    frame.repeat((256 << 10) / frame.len())
}

/// How many frames of the same length these are.
fn frames_in(flood: &[u8]) -> usize {
    flood.len() / (usize::from(flood[1] & 0x7f) + 6)
}

/// Writes the frames twenty times a second until the server ends the connection: more than anybody signals, and not so
/// much that who hears it does nothing else.
async fn flood_in_bursts_until_cut(raw: &mut Raw, frames: &[u8]) {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while raw.stream().write_all(frames).await.is_ok() {
        ticks.tick().await;
    }
}

/// Ada and Bob, who have heard each other.
async fn talking(server: &TestServer) -> (Seat, Seat, Vec<u8>) {
    let (mut ada, mut bob) = pair(server).await;
    ada.person.send(&mut ada.group, "hello").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "hello");
    let id = ada.group.group_id().to_vec();
    ada.person.raw.signal(&id, b"first").await;
    assert_eq!(bob.person.raw.next_signal().await.ciphertext, "first");
    (ada, bob, id)
}

#[tokio::test]
async fn signals_for_foreign_groups_and_of_no_form_go_nowhere_and_are_not_answered() {
    let server = TestServer::start().await;
    let (mut ada, mut bob, id) = talking(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    let eves = eve.create_group().await;
    let sizes = [0, 1281, 60_000];
    for (group, size) in [(&id[..], 5), (&[9; 32], 5), (&id[..31], 5), (&[], 5)] {
        eve.raw.signal(group, &vec![7; size]).await;
    }
    for size in sizes {
        eve.raw.signal(eves.group_id().as_slice(), &vec![7; size]).await;
        ada.person.raw.signal(&id, &vec![7; size]).await;
    }
    assert!(eve.raw.signals().await.is_empty());
    ada.person.raw.signal(&id, &[8; 1280]).await;
    assert_eq!(bob.person.raw.next_signal().await.ciphertext, vec![8; 1280], "the largest that is relayed");
    assert!(bob.person.raw.signals().await.is_empty(), "and the only one");
    ada.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("nothing of it ends a connection");
}

#[tokio::test]
async fn a_guest_is_closed_for_a_signal() {
    let server = TestServer::start().await;
    let mut guest = Raw::connect(&server).await;
    guest.signal(&[1; 32], b"typing").await;
    assert_eq!(guest.ended().await.code, Some(4006));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_beyond_the_allowance_is_dropped_and_far_beyond_it_closed() {
    const ALLOWED: usize = 100;
    let server = TestServer::over(Carrier::WebSocket, &["--signals-per-second-max", &ALLOWED.to_string()]).await;
    let (mut ada, mut bob, id) = talking(&server).await;
    let flood = frames(&signal_frame(&id, &[7; 40]));
    let some = flood.chunks(flood.len() / frames_in(&flood)).take(1500).collect::<Vec<_>>().concat();
    let began = monotonic();
    ada.person.raw.stream().write_all(&some).await.expect("the connection stands");
    ada.person.raw.signals().await;
    let heard = bob.person.raw.signals().await;
    // Twice the allowance at once, and what it grows by meanwhile.
    let most = ALLOWED * (2 + usize::try_from(began.elapsed().as_secs() + 1).expect("a test is short"));
    assert!((64..=most).contains(&heard.len()), "{} of 1500 came through in {:?}", heard.len(), began.elapsed());
    for _ in 0..8 {
        let _closed = ada.person.raw.stream().write_all(&flood).await;
    }
    assert_eq!(ada.person.raw.ended().await.code, Some(4008));
    bob.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("nobody else is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_nobody_messages_and_little_memory() {
    let server = patient_server().await;
    let (mut ada, mut bob, id) = talking(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    ada.person.add(&mut ada.group, &[&eve.keys]).await;
    let mut eves = eve.join().await;
    ada.person.send(&mut ada.group, "welcome").await;
    assert_eq!(eve.next_text(&mut eves).await, "welcome");
    assert_eq!(bob.person.next_text(&mut bob.group).await, "welcome");
    let peak = Peak::of(&server);
    // Bob floods and Eve reads nothing, while Ada talks.
    let flood = large_frames(&signal_frame(&id, &[7; 1200]));
    let flooding = async {
        for _ in 0..200 {
            bob.person.raw.stream().write_all(&flood).await.expect("Bob is not closed");
        }
    };
    let talking = async {
        for number in 0..100 {
            ada.person.send(&mut ada.group, &format!("text {number}")).await;
        }
    };
    tokio::join!(flooding, talking);
    assert!(peak.growth() < TOLERATED, "a flood of signals holds {} bytes", peak.growth());
    for (person, group) in [(&mut bob.person, &mut bob.group), (&mut eve, &mut eves)] {
        let mut seen = 0;
        while seen < 100 {
            let entries = person.raw.entries(&id).await;
            seen += entries.iter().filter_map(|entry| person.member.apply(group, entry)).count();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_that_floods_is_heard_no_more_once_the_revocation_is_answered() {
    let server = patient_server().await;
    let (mut ada, mut bob, id) = talking(&server).await;
    let keys = ada.person.keys.clone();
    let device = further_device(&server, &mut ada.person.raw, &keys).await;
    let (raw, _) = Raw::sign_in(&server, &device).await;
    let mut lost = Person { raw, keys: device.clone(), member: Member::new(&device) };
    lost.raw.until_live().await;
    lost.publish(2).await;
    let package = ada.person.claim(&ada.group, &[&device]).await;
    let bundle = ada.person.member.add(&mut ada.group, &package);
    ada.person.submit(&mut ada.group, &bundle).await;
    let _group = lost.join().await;
    ada.person.send(&mut ada.group, "both of us").await;
    lost.raw.entries(&id).await;
    lost.raw.signal(&id, b"lost").await;
    while bob.person.raw.next_signal().await.ciphertext != "lost" {}

    let flood = frames(&signal_frame(&id, b"lost"));
    let revoke = async {
        for _ in 0..20 {
            ada.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("answered");
        }
        let request = ListManifestsRequest { account_id: keys.account.to_vec().into(), after_version: 0 };
        let chain = ada.person.raw.call(request).await.expect("the chain").manifests;
        assert_eq!(Body::decode(&chain[1].body).expect("good").devices.len(), 2);
        let manifest = keys.next_manifest(&chain[1], &[&keys]);
        ada.person.raw.call(PublishManifestRequest { manifest: Some(manifest) }).await.expect("published");
        ada.person.raw.signal(&id, b"revoked").await;
    };
    within("the revocation under the flood", async { tokio::join!(revoke, flood_in_bursts_until_cut(&mut lost.raw, &flood)) })
        .await;
    while bob.person.raw.next_signal().await.ciphertext != "revoked" {}
    assert!(bob.person.raw.signals().await.is_empty(), "nothing comes after the answer");
}
