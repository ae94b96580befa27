//! `BackUp`.

use sovereign_proto::v1::{BackUpRequest, FailureCode};

use crate::harness::{Raw, TestServer, control::Control, eventually};

#[tokio::test]
async fn operators_copy_the_database_of_a_running_server() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("UTF-8").to_owned();
    let mut operator = Control::connect(&server).await;
    let mut told = operator.call(BackUpRequest { directory: path.clone() }).await.expect("begun");
    while !told.complete {
        assert!(told.pages_left <= told.pages);
        told = operator.call(BackUpRequest { directory: path.clone() }).await.expect("goes on");
    }
    assert_eq!((told.accounts, told.devices, told.groups), (1, 1, 0));
    let header = std::fs::read(directory.path().join("sovereign.db")).expect("the copy is there");
    assert_eq!(&header[..15], b"SQLite format 3");
    assert_eq!(header[18], 1, "it needs no write-ahead log");
    // Once told, the next one is a new one.
    let again = eventually("another copy", || async {
        let told = Control::connect(&server).await.call(BackUpRequest { directory: path.clone() }).await.expect("begun");
        told.complete.then_some(told)
    })
    .await;
    assert_eq!(again.accounts, 1);
    assert_eq!(ada.refused(BackUpRequest { directory: path }).await, FailureCode::Forbidden);
}

#[tokio::test]
async fn a_place_that_is_none_is_refused_and_disturbs_nobody() {
    let server = TestServer::start().await;
    let mut operator = Control::connect(&server).await;
    for place in ["", "relative/place", "/does/not/exist"] {
        let refused = operator.call(BackUpRequest { directory: place.to_owned() }).await.err().expect("refused");
        assert_eq!(refused.code(), FailureCode::InvalidArgument, "{place:?}");
    }
    // A directory in the file's place.
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("sovereign.db")).expect("made");
    let path = directory.path().to_str().expect("UTF-8").to_owned();
    let refused = operator.call(BackUpRequest { directory: path }).await.err().expect("refused");
    assert_eq!(refused.code(), FailureCode::Unavailable);
    Raw::sign_up(&server, "ada").await;
}
