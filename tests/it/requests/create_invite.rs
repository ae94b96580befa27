//! `CreateInvite`, as operators call it: `sovereign invite create`.

use sovereign_proto::v1::{CreateInviteRequest, FailureCode};

use crate::harness::{Raw, TestServer, raw::Keys};

#[tokio::test]
async fn prints_exactly_one_link_with_the_server_running_and_stopped() {
    let mut server = TestServer::start().await;
    let running = server.operate(&["invite", "create", "--uses", "3", "--expires", "1h"]).await;
    server.terminate().await;
    let stopped = server.operate(&["invite", "create"]).await;
    for output in [&running, &stopped] {
        assert_eq!(output.lines().count(), 1, "{output:?}");
        assert!(output.starts_with("https://localhost") && output.contains("/join#v=1&c="), "{output:?}");
        assert!(output.contains("&s=") && output.contains("&p="), "{output:?}");
    }
    server.restart().await;
    for (name, link) in [("ada", running), ("bob", stopped)] {
        let code = link.split(['#', '&']).find_map(|part| part.strip_prefix("c=")).expect("a code").trim().to_owned();
        let mut raw = Raw::connect(&server).await;
        let request = raw.sign_up_request(&Keys::new(), name, &code);
        raw.call(request).await.unwrap_or_else(|failure| panic!("{name}: {}", failure.message));
    }
}

#[tokio::test]
async fn an_admin_invite_makes_an_administrator_once() {
    let server = TestServer::start().await;
    let link = server.operate(&["invite", "create", "--admin"]).await;
    let code = link.trim().split(['#', '&']).find_map(|part| part.strip_prefix("c=")).expect("a code");
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_up_request(&Keys::new(), "ada", code);
    assert!(raw.call(request).await.expect("signed up").session.expect("a session").administrator);
    let mut raw = Raw::connect(&server).await;
    let request = raw.sign_up_request(&Keys::new(), "eve", code);
    assert_eq!(raw.refused(request).await, FailureCode::Forbidden);
}

#[tokio::test]
async fn no_device_may_ask_for_one() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let request = CreateInviteRequest { uses: 1, expires_in_seconds: 3600, administrator: true };
    assert_eq!(ada.refused(request).await, FailureCode::Forbidden);
}
