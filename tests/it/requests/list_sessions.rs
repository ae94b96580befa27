//! `ListSessions`.

use sovereign_proto::v1::{FailureCode, ListSessionsRequest};

use crate::harness::{Raw, TestServer, control::Control};

#[tokio::test]
async fn operators_see_who_is_connected_in_pages() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let (_bob, _) = Raw::sign_up(&server, "bob").await;
    let _guest = Raw::connect(&server).await;
    let mut operator = Control::connect(&server).await;
    let request = |username: &str, after, limit| ListSessionsRequest { username: username.into(), after, limit };
    let first = operator.call(request("", 0, 1)).await.expect("a page");
    let [session] = &first.sessions[..] else { panic!("one session") };
    assert_eq!((session.username.as_str(), &session.device_id[..], first.more), ("ada", &keys.device[..], true));
    assert!(session.since_ms > 1_700_000_000_000);
    let rest = operator.call(request("", session.id, 0)).await.expect("a page");
    assert_eq!((rest.sessions.len(), rest.more), (1, false), "guests are nobody yet");
    assert_eq!(operator.call(request("bob", 0, 0)).await.expect("a page").sessions.len(), 1);
    let unknown = operator.call(request("eve", 0, 0)).await.err().expect("refused");
    assert_eq!(unknown.code(), FailureCode::NotFound);
    assert_eq!(ada.refused(request("", 0, 0)).await, FailureCode::Forbidden);
}
