//! `PublishManifest`.

use sovereign_proto::{
    signed::PURPOSE_CHANGE_PASSWORD,
    v1::{ChangePasswordRequest, DeviceState, FailureCode, Manifest, PublishManifestRequest},
};

use super::sign_in_with_password::enrol;
use crate::harness::{Raw, TestServer, raw::Keys};

fn publish(manifest: Manifest) -> PublishManifestRequest {
    PublishManifestRequest { manifest: Some(manifest) }
}

/// Ada, and a second device of hers that is pending.
async fn two_devices(server: &TestServer) -> (Raw, Keys, Raw, Keys) {
    let (mut ada, keys) = Raw::sign_up(server, "ada").await;
    let proof = Some(keys.proof(&ada.hello, keys.account, PURPOSE_CHANGE_PASSWORD));
    let request = ChangePasswordRequest { old_password: String::new(), new_password: "a password".into(), proof };
    ada.call(request).await.expect("a password is set");
    let second = keys.further_device();
    let mut raw = Raw::connect(server).await;
    let request = enrol(&raw, &second, "ada", "a password");
    raw.call(request).await.expect("enrolled");
    (ada, keys, raw, second)
}

#[tokio::test]
async fn approving_makes_a_pending_device_active_and_striking_it_cuts_it_off() {
    let server = TestServer::start().await;
    let (mut ada, keys, mut pending, second) = two_devices(&server).await;
    let approved = keys.next_manifest(&keys.genesis(), &[&keys, &second]);
    ada.call(publish(approved.clone())).await.expect("published");
    assert_eq!(pending.ended().await.code, Some(4004), "it signs in again, as an active device");
    let (mut active, session) = Raw::sign_in(&server, &second).await;
    assert_eq!((session.device_state(), session.manifest_version), (DeviceState::Active, 2));

    let struck = keys.next_manifest(&approved, &[&keys]);
    ada.call(publish(struck)).await.expect("published");
    assert_eq!(active.ended().await.code, Some(4004));
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_in_request(&second);
    assert_eq!(raw.refused(request).await, FailureCode::Unauthenticated);
}

#[tokio::test]
async fn forged_unchained_and_repeated_manifests_are_refused() {
    let server = TestServer::start().await;
    let (mut ada, keys, _pending, second) = two_devices(&server).await;
    let good = keys.next_manifest(&keys.genesis(), &[&keys, &second]);

    let by_the_pending_device = second.next_manifest(&keys.genesis(), &[&keys, &second]);
    assert_eq!(ada.refused(publish(by_the_pending_device)).await, FailureCode::InvalidArgument);

    let mut flipped = good.clone();
    let mut signature = flipped.signature.to_vec();
    signature[0] ^= 1;
    flipped.signature = signature.into();
    assert_eq!(ada.refused(publish(flipped)).await, FailureCode::InvalidArgument);

    let skipping = keys.next_manifest(&good, &[&keys, &second]);
    assert_eq!(ada.refused(publish(skipping)).await, FailureCode::InvalidArgument, "version 3 on top of version 1");

    let stranger = keys.further_device();
    let unknown = keys.next_manifest(&keys.genesis(), &[&keys, &stranger]);
    assert_eq!(ada.refused(publish(unknown)).await, FailureCode::InvalidArgument, "a device nobody enrolled");

    ada.call(publish(good.clone())).await.expect("published");
    let code = ada.refused(publish(good)).await;
    assert!(matches!(code, FailureCode::Conflict | FailureCode::InvalidArgument), "{code:?}");
}

#[tokio::test]
async fn an_account_changes_its_devices_a_thousand_times_at_most() {
    let server = TestServer::start_with(&["--requests-per-second-max", "1000000"]).await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let mut newest = keys.genesis();
    for _ in 1..1024 {
        newest = keys.next_manifest(&newest, &[&keys]);
        ada.call(publish(newest.clone())).await.expect("published");
    }
    let next = keys.next_manifest(&newest, &[&keys]);
    assert_eq!(ada.refused(publish(next)).await, FailureCode::QuotaExceeded);
}
