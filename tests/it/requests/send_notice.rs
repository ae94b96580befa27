//! `SendNotice`.

use sovereign_proto::v1::{FailureCode, FetchEntriesRequest, SendNoticeRequest, entry::Body};

use crate::harness::{Raw, TestServer, control::Control};

fn notice(username: &str, text: &str) -> SendNoticeRequest {
    SendNoticeRequest { username: username.into(), text: text.into() }
}

#[tokio::test]
async fn a_notice_stands_on_the_own_log_of_everybody_it_is_for() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let (mut bob, bobs) = Raw::sign_up(&server, "bob").await;
    ada.until_live().await;
    bob.until_live().await;
    let mut operator = Control::connect(&server).await;
    let sent = operator.call(notice("", "Back at 18:00.")).await.expect("sent");
    assert_eq!((sent.devices, sent.complete), (2, true));
    assert_eq!(operator.call(notice("Bob", "You, too.")).await.expect("sent").devices, 1);

    let entries = ada.entries(&[]).await;
    let Some(Body::ServerNotice(heard)) = &entries[0].body else { panic!("no notice") };
    assert_eq!((heard.text.as_str(), heard.time_ms), ("Back at 18:00.", entries[0].time_ms));
    let all = ada.call(FetchEntriesRequest::default()).await.expect("a page");
    assert_eq!(all.entries.len(), 1, "the one to Bob is not for Ada");

    // Both came while Bob was connected, and come again until he acknowledges them.
    drop(bob);
    let (mut bob, session) = Raw::sign_in(&server, &bobs).await;
    assert_eq!(session.logs[0].head, 2);
    let seen = bob.until_live().await;
    let texts = seen.iter().flat_map(|entries| &entries.entries).map(|entry| match &entry.body {
        Some(Body::ServerNotice(notice)) => notice.text.as_str(),
        _ => panic!("something else"),
    });
    assert_eq!(texts.collect::<Vec<_>>(), ["Back at 18:00.", "You, too."]);
}

#[tokio::test]
async fn texts_names_and_callers_are_checked() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let mut operator = Control::connect(&server).await;
    for wrong in ["", &"x".repeat(4097), "\u{1b}[2J"] {
        let refused = operator.call(notice("", wrong)).await.err().expect("refused");
        assert_eq!(refused.code(), FailureCode::InvalidArgument);
    }
    let unknown = operator.call(notice("adda", "hello")).await.err().expect("refused");
    assert_eq!(unknown.code(), FailureCode::NotFound);
    assert_eq!(ada.refused(notice("", "I am the server")).await, FailureCode::Forbidden);
    server.operate(&["user", "disable", "ada"]).await;
    let nobody = operator.call(notice("ada", "hello")).await.err().expect("refused");
    assert_eq!(nobody.code(), FailureCode::Conflict);
}
