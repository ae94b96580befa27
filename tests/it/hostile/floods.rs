//! Devices that send without pause: they are cut off as quickly as anybody, and others are served all the same.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sovereign::entropy;
use sovereign_proto::{
    signed::{PURPOSE_CHANGE_PASSWORD, PURPOSE_ENROL, PURPOSE_ISSUE_TOKEN},
    v1::{
        self, ChangePasswordRequest, Envelope, FailureCode, IssueTokenRequest, ListManifestsRequest, PingRequest,
        PublishManifestRequest, SignInWithPasswordRequest, envelope, notice,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tokio_websockets::Message;

use crate::harness::{
    Carrier, Raw, TestServer,
    raw::{Carry, Keys},
    scene::{Person, claim_request, pair},
};

/// Ends a test that hangs: the promise is a second or two, on a machine with nothing else to do.
const CUT: Duration = Duration::from_mins(1);

/// The payload as a masked binary frame, with the mask 0, which changes nothing.
pub fn masked(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).expect("a short payload");
    [&[0x82, 0x80 | length, 0, 0, 0, 0][..], payload].concat()
}

/// The same as often as fits 256 KiB.
pub fn frames(payload: &[u8]) -> Vec<u8> {
    let frame = masked(payload);
    frame.repeat((256 << 10) / frame.len())
}

fn acknowledge(positions: Vec<v1::Position>) -> Vec<u8> {
    let body = Some(notice::Body::Acknowledge(v1::Acknowledge { positions }));
    Envelope { request_id: 0, body: Some(envelope::Body::Notice(v1::Notice { body })) }.encode_to_vec()
}

/// Writes the frames over and over, reading whatever comes, until the server ends the connection.
pub async fn flood_until_cut(raw: &mut Raw, frames: &[u8]) {
    let (mut reader, mut writer) = tokio::io::split(raw.stream());
    let writing = async { while writer.write_all(frames).await.is_ok() {} };
    let reading = async {
        let mut waste = vec![0; 64 << 10];
        while reader.read(&mut waste).await.is_ok_and(|length| length > 0) {}
    };
    tokio::select! { () = writing => {}, () = reading => {} }
}

/// A second device of Ada's that she has approved.
pub async fn further_device(server: &TestServer, ada: &mut Raw, keys: &Keys) -> Keys {
    let proof = Some(keys.proof(&ada.hello, keys.account, PURPOSE_CHANGE_PASSWORD));
    let password = "a password".to_owned();
    let request = ChangePasswordRequest { old_password: String::new(), new_password: password.clone(), proof };
    ada.call(request).await.expect("a password is set");
    let (device, mut raw) = (keys.further_device(), Raw::connect(server).await);
    let request = SignInWithPasswordRequest {
        username: "ada".into(),
        password,
        device_id: device.device.to_vec().into(),
        device_key: device.key.verifying_key().to_bytes().to_vec().into(),
        proof: Some(device.proof(&raw.hello, [0; 16], PURPOSE_ENROL)),
    };
    raw.call(request).await.expect("enrolled");
    let approved = keys.next_manifest(&keys.genesis(), &[keys, &device]);
    ada.call(PublishManifestRequest { manifest: Some(approved) }).await.expect("approved");
    device
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_never_pauses_is_closed_at_its_deadline() {
    let server = TestServer::over(Carrier::WebSocket, &["--authentication-deadline-seconds", "1"]).await;
    let mut raw = Raw::connect(&server).await;
    let body = Some(v1::request::Body::Ping(PingRequest { client_time_ms: 0 }));
    let ping = Envelope { request_id: 1, body: Some(envelope::Body::Request(v1::Request { body })) }.encode_to_vec();
    let flood = frames(&ping);
    timeout(CUT, flood_until_cut(&mut raw, &flood)).await.expect("the guest is closed");
}

#[tokio::test]
async fn pings_and_pongs_without_end_are_abuse() {
    // Control frames are a WebSocket's.
    let server = TestServer::over(Carrier::WebSocket, &[]).await;
    for message in [Message::ping(Bytes::new()), Message::pong(Bytes::new())] {
        let mut raw = Raw::connect(&server).await;
        for _ in 0..1000 {
            raw.message(message.clone()).await;
        }
        assert_eq!(raw.ended().await.code, Some(4008));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_empty_fragments_without_end_is_closed_at_the_guests_deadline() {
    // And so are fragments.
    let server = TestServer::over(Carrier::WebSocket, &["--authentication-deadline-seconds", "1"]).await;
    let mut raw = Raw::connect(&server).await;
    raw.stream().write_all(&[0x02, 0x80, 0, 0, 0, 0]).await.expect("the message begins");
    let flood = [0x00, 0x80, 0, 0, 0, 0].repeat(40_000);
    timeout(CUT, flood_until_cut(&mut raw, &flood)).await.expect("the guest is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_device_that_never_pauses_is_cut_off() {
    let server = TestServer::over(Carrier::WebSocket, &[]).await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let device = further_device(&server, &mut ada, &keys).await;
    let (mut lost, _) = Raw::sign_in(&server, &device).await;
    let flood = frames(&acknowledge(Vec::new()));
    let revoke = async {
        for _ in 0..20 {
            ada.call(PingRequest { client_time_ms: 0 }).await.expect("answered");
        }
        let request = ListManifestsRequest { account_id: keys.account.to_vec().into(), after_version: 0 };
        let chain = ada.call(request).await.expect("the chain").manifests;
        let manifest = keys.next_manifest(chain.last().expect("a manifest"), &[&keys]);
        ada.call(PublishManifestRequest { manifest: Some(manifest) }).await.expect("published");
    };
    let ((), cut) = tokio::join!(revoke, timeout(CUT, flood_until_cut(&mut lost, &flood)));
    cut.expect("the revoked device is cut off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledging_without_pause_keeps_nobody_from_sending() {
    let server = TestServer::over(Carrier::WebSocket, &[]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let (mut eve, _) = Raw::sign_up(&server, "eve").await;
    let flood = frames(&acknowledge(vec![v1::Position { group_id: Vec::new().into(), seq: 1 }]));
    let flooding = async {
        for _ in 0..8 {
            eve.stream().write_all(&flood).await.expect("Eve is not cut off");
        }
    };
    let sending = async {
        for _ in 0..200 {
            ada.person.send(&mut ada.group, "through").await;
            assert_eq!(bob.person.next_text(&mut bob.group).await, "through");
        }
    };
    tokio::join!(flooding, sending);
    eve.call(PingRequest { client_time_ms: 0 }).await.expect("what Eve did is allowed, if silly");
}

#[tokio::test]
async fn acknowledging_groups_that_are_none_takes_nobodys_room() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let (mut eve, _) = Raw::sign_up(&server, "eve").await;
    for _ in 0..600 {
        let position = |_| v1::Position { group_id: entropy::random::<32>().to_vec().into(), seq: 1 };
        eve.frame(acknowledge((0..256).map(position).collect())).await;
    }
    eve.call(PingRequest { client_time_ms: 0 }).await.expect("answered");
    ada.person.send(&mut ada.group, "hello").await;
    assert_eq!(bob.person.next_text(&mut bob.group).await, "hello");
    bob.person.raw.call(PingRequest { client_time_ms: 0 }).await.expect("the acknowledgement is read by now");
    let (_bob, session) = Raw::sign_in(&server, &bob.person.keys).await;
    assert!(session.logs.is_empty(), "Bob's acknowledgement counts");
}

#[tokio::test]
async fn claims_are_bounded_for_each_claimer_and_target() {
    let server = TestServer::start().await;
    let (mut ada, mut eve) = (Person::new(&server, "ada").await, Person::new(&server, "eve").await);
    let mut bob = Person::new(&server, "bob").await;
    bob.publish(90).await;
    let (adas, eves) = (ada.create_group().await, eve.create_group().await);
    let mut refused = None;
    for _ in 0..100 {
        refused = eve.raw.call(claim_request(eves.group_id().as_slice(), &[&bob.keys])).await.err();
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("Bob has a hundred, and Eve does not get all of them");
    assert_eq!(refused.code(), FailureCode::RateLimited);
    let day = 24 * 60 * 60 * 1000;
    assert!(
        (day / 2..=day).contains(&refused.retry_after_ms),
        "it says when its first claim expires: {}",
        refused.retry_after_ms
    );
    let claimed = ada.claim(&adas, &[&bob.keys]).await;
    assert_eq!(claimed.len(), 1, "Eve has not emptied Bob's stock, and Ada is served");
}

#[tokio::test]
async fn a_device_that_asks_for_token_after_token_keeps_the_newest_few() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut tokens = Vec::new();
    for _ in 0..40 {
        let proof = Some(keys.proof(&ada.hello, keys.account, PURPOSE_ISSUE_TOKEN));
        let request = IssueTokenRequest { token: String::new(), proof };
        tokens.push(ada.call(request).await.expect("issued").token);
    }
    let mut raw = Raw::connect_with(&server, Carry::Header(&tokens[0])).await.expect("the upgrade is taken");
    assert_eq!(raw.ended().await.code, Some(4002), "the oldest is gone");
    let mut raw = Raw::connect_with(&server, Carry::Header(&tokens[39])).await.expect("the upgrade is taken");
    raw.signed_in().await;
}
