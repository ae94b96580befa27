//! Sessions that have to end, passwords that are not good, and crowds at the door.

use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt as _};

use futures_util::future::join_all;
use prost::Message as _;
use sovereign::clock::monotonic;
use sovereign_proto::{
    signed::{PURPOSE_CHANGE_PASSWORD, PURPOSE_ISSUE_TOKEN},
    v1::{
        ChangePasswordRequest, FailureCode, IssueTokenRequest, ListManifestsRequest, PingRequest, PublishManifestRequest,
        SetAccountEnabledRequest,
    },
};

use crate::{
    harness::{
        Raw, TestServer,
        control::Control,
        raw::{Carry, Keys},
        scene::pair,
    },
    requests::sign_in_with_password::enrol,
};

const PASSWORD: &str = "correct horse battery staple";

/// An account with five live devices, and a token of each.
async fn crowd(server: &TestServer) -> Vec<(Raw, Keys, String)> {
    let (mut raw, keys) = (Raw::connect(server).await, Keys::new());
    let mut request = raw.sign_up_request(&keys, "carol", &server.invite_code().await);
    PASSWORD.clone_into(&mut request.password);
    raw.call(request).await.expect("signed up");
    let (mut manifest, mut all) = (keys.genesis(), vec![keys.clone()]);
    for _ in 0..4 {
        let device = keys.further_device();
        let mut guest = Raw::connect(server).await;
        let request = enrol(&guest, &device, "carol", PASSWORD);
        guest.call(request).await.expect("enrolled");
        all.push(device);
        manifest = keys.next_manifest(&manifest, &all.iter().collect::<Vec<_>>());
        raw.call(PublishManifestRequest { manifest: Some(manifest.clone()) }).await.expect("approved");
    }
    let mut crowd = Vec::new();
    for device in all {
        let (mut raw, _) = Raw::sign_in(server, &device).await;
        raw.until_live().await;
        let proof = Some(device.proof(&raw.hello, device.account, PURPOSE_ISSUE_TOKEN));
        let token = raw.call(IssueTokenRequest { token: String::new(), proof }).await.expect("a token").token;
        crowd.push((raw, device, token));
    }
    crowd
}

/// All of these are cut off with this code, are told nothing more, and their tokens open nothing.
async fn are_out(server: &TestServer, crowd: &mut [(Raw, Keys, String)], code: u16) {
    for (raw, _, token) in crowd {
        assert_eq!(raw.ended().await.code, Some(code));
        let entries = raw.waiting_pushes().filter(|push| matches!(push, sovereign_proto::v1::push::Body::Entries(_))).count();
        assert_eq!(entries, 0, "something was delivered");
        let mut by_token = Raw::connect_with(server, Carry::Header(token)).await.expect("its form is good");
        assert_eq!(by_token.ended().await.code, Some(4002), "a token outlived its session");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_live_devices_are_out_at_once_whatever_ends_them() {
    let server = TestServer::start().await;
    let mut crowd = crowd(&server).await;

    // A changed password ends the other four sessions, and every token but those of who changed it.
    let (raw, keys, _) = &mut crowd[0];
    let proof = Some(keys.proof(&raw.hello, keys.account, PURPOSE_CHANGE_PASSWORD));
    let request =
        ChangePasswordRequest { old_password: PASSWORD.to_owned(), new_password: "another good password".to_owned(), proof };
    raw.call(request).await.expect("changed");
    are_out(&server, &mut crowd[1..], 4004).await;

    // They come back by their keys, and one manifest strikes all four.
    for (raw, keys, _) in &mut crowd[1..] {
        *raw = Raw::sign_in(&server, keys).await.0;
    }
    let (raw, keys, _) = &mut crowd[0];
    let request = ListManifestsRequest { account_id: keys.account.to_vec().into(), after_version: 0 };
    let chain = raw.call(request).await.expect("the chain").manifests;
    let struck = keys.next_manifest(chain.last().expect("a manifest"), &[keys]);
    raw.call(PublishManifestRequest { manifest: Some(struck) }).await.expect("struck");
    are_out(&server, &mut crowd[1..], 4004).await;
    for (_, keys, _) in &crowd[1..] {
        let mut raw = Raw::connect(&server).await;
        let request = raw.sign_in_request(keys);
        assert_eq!(raw.refused(request).await, FailureCode::Unauthenticated, "a struck device comes back");
    }

    // The last one goes with its account.
    let mut operator = Control::connect(&server).await;
    operator.call(SetAccountEnabledRequest { username: "carol".into(), enabled: false }).await.expect("disabled");
    are_out(&server, &mut crowd[..1], 4005).await;
}

#[tokio::test]
async fn every_password_that_is_not_good_is_refused_in_the_same_bytes() {
    let server = TestServer::start().await;
    let (mut raw, keys) = (Raw::connect(&server).await, Keys::new());
    let mut request = raw.sign_up_request(&keys, "carol", &server.invite_code().await);
    PASSWORD.clone_into(&mut request.password);
    raw.call(request).await.expect("signed up");
    let (mut disabled, its_keys) = (Raw::connect(&server).await, Keys::new());
    let mut request = disabled.sign_up_request(&its_keys, "dora", &server.invite_code().await);
    PASSWORD.clone_into(&mut request.password);
    disabled.call(request).await.expect("signed up");
    Raw::sign_up(&server, "bob").await;
    let mut operator = Control::connect(&server).await;
    operator.call(SetAccountEnabledRequest { username: "dora".into(), enabled: false }).await.expect("disabled");
    let long = "x".repeat(8000);
    let rows = [
        ("a wrong password", "carol", "wrong password"),
        ("an empty password", "carol", ""),
        ("a password of 8,000 bytes", "carol", &long),
        ("an unknown name", "nobody", PASSWORD),
        ("a disabled account", "dora", PASSWORD),
        ("a disabled account and a wrong password", "dora", "wrong password"),
        ("an account without a password", "bob", PASSWORD),
        ("what is no name", "%", PASSWORD),
    ];
    let mut said = HashSet::new();
    for (what, name, password) in rows {
        let mut guest = Raw::connect(&server).await;
        let request = enrol(&guest, &keys.further_device(), name, password);
        let failure = guest.call(request).await.err().unwrap_or_else(|| panic!("{what} is let in"));
        said.insert(failure.encode_to_vec());
        assert_eq!(guest.ended().await.code, Some(4002), "{what}");
    }
    assert_eq!(said.len(), 1, "one answer for all of them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_the_door_is_told_to_come_again_and_those_inside_go_on() {
    let server = TestServer::start_with(&["--authentication-deadline-seconds", "120"]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let (mut raw, keys) = (Raw::connect(&server).await, Keys::new());
    let mut request = raw.sign_up_request(&keys, "carol", &server.invite_code().await);
    PASSWORD.clone_into(&mut request.password);
    raw.call(request).await.expect("signed up");
    let mut guests = Vec::new();
    for number in 0..200 {
        let mut guest = Raw::connect(&server).await;
        // Every tenth knows a password; the others guess, each at a name of its own.
        let name = if number % 10 == 0 { "carol".to_owned() } else { format!("nobody{number}") };
        let request = enrol(&guest, &keys.further_device(), &name, PASSWORD);
        let id = guest.send(request).await;
        guests.push((guest, id));
    }
    let inside = async {
        for number in 0..20 {
            let text = format!("text {number}");
            ada.person.send(&mut ada.group, &text).await;
            assert_eq!(bob.person.next_text(&mut bob.group).await, text);
        }
    };
    let outside = join_all(guests.iter_mut().map(|(guest, id)| async {
        match guest.answer::<sovereign_proto::v1::SignInWithPasswordRequest>(*id).await {
            Ok(_) => "let in",
            Err(failure) => match failure.code() {
                FailureCode::Unavailable | FailureCode::RateLimited => {
                    assert!(failure.retry_after_ms > 0, "it says when to come again");
                    "come again"
                }
                FailureCode::Unauthenticated => "refused",
                // Eight may wait for their approval.
                FailureCode::Conflict => "too many wait",
                other => panic!("{other:?}: {}", failure.message),
            },
        }
    }));
    let ((), answers) = tokio::join!(inside, outside);
    let count = |what: &str| answers.iter().filter(|answer| **answer == what).count();
    println!("{} let in, {} refused, {} told to come again", count("let in"), count("refused"), count("come again"));
    assert!((1..=8).contains(&count("let in")), "as many as may wait for their approval");
    assert!(count("come again") > 0, "the queue before the hashes is bounded");
    raw.call(PingRequest { client_time_ms: 0 }).await.expect("Carol was never locked out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_that_come_at_once_are_no_more_than_guesses_that_come_one_by_one() {
    let server = TestServer::start_with(&["--authentication-deadline-seconds", "120"]).await;
    let (mut raw, keys) = (Raw::connect(&server).await, Keys::new());
    let mut request = raw.sign_up_request(&keys, "carol", &server.invite_code().await);
    PASSWORD.clone_into(&mut request.password);
    raw.call(request).await.expect("signed up");
    let mut guests = Vec::new();
    for number in 0..80 {
        let guest = Raw::connect(&server).await;
        let request = enrol(&guest, &keys.further_device(), "carol", &format!("guess number {number}"));
        guests.push((guest, request));
    }
    let began = monotonic();
    let try_one = |(mut guest, request): (Raw, _)| async move { guest.refused(request).await };
    let answers = join_all(guests.into_iter().map(try_one)).await;
    let checked = answers.iter().filter(|code| **code == FailureCode::Unauthenticated).count();
    assert!(answers.iter().all(|code| matches!(code, FailureCode::Unauthenticated | FailureCode::RateLimited)), "{answers:?}");
    println!("{checked} of 80 guesses were checked");
    // Ten are free, and up to three more may be under way when the tenth has turned out wrong. After a second the next are.
    let most = 13 + 4 * usize::try_from(began.elapsed().as_secs()).expect("a test is short");
    assert!(checked <= most, "{checked} guesses were checked in {:?}", began.elapsed());
    Raw::sign_in(&server, &keys).await;
}

#[tokio::test]
async fn of_all_who_race_to_be_the_first_administrator_the_one_with_the_link_is_it() {
    let mut server = TestServer::start_with(&["--registration-mode", "open"]).await;
    let file = server.data().join("setup-link");
    let mode = fs::metadata(&file).expect("the link is kept").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
    let link = fs::read_to_string(&file).expect("the link is kept");
    let code = link.trim().split(['#', '&']).find_map(|part| part.strip_prefix("c=")).expect("a code");
    let guess = sovereign::auth::secret::invite_code().to_string();
    let mut people = Vec::new();
    for (name, code) in [("early", ""), ("guessing", guess.as_str()), ("one", code), ("two", code), ("three", code)] {
        let mut raw = Raw::connect(&server).await;
        let request = raw.sign_up_request(&Keys::new(), name, code);
        let id = raw.send(request).await;
        people.push((name, raw, id));
    }
    let mut administrators = Vec::new();
    for (name, mut raw, id) in people {
        match raw.answer::<sovereign_proto::v1::SignUpRequest>(id).await {
            Ok(answer) if answer.session.as_ref().is_some_and(|session| session.administrator) => administrators.push(name),
            Ok(_) => assert_eq!(name, "early", "who comes without a link is nobody special"),
            Err(failure) => assert_eq!(failure.code(), FailureCode::Forbidden, "{name}"),
        }
    }
    assert!(matches!(administrators[..], ["one" | "two" | "three"]), "{administrators:?}");
    server.terminate().await;
    server.restart().await;
    assert!(!file.exists(), "a spent link is not kept");
}
