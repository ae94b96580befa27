//! Orderly ends and second starts.

use crate::harness::{Carrier, Raw, TestServer};

over_both!(sigterm_says_goodbye_and_exits_with_0);

async fn sigterm_says_goodbye_and_exits_with_0(carrier: Carrier) {
    let mut server = TestServer::over(carrier, &[]).await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    ada.until_live().await;
    let (exit, ended) = tokio::join!(server.terminate(), ada.ended());
    assert_eq!((exit, ended.code), (Some(0), Some(1012)));
    assert!(!server.data().join("ready.json").exists(), "ready.json goes with the process");
    server.restart().await;
    Raw::sign_in(&server, &keys).await;
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused() {
    let server = TestServer::start().await;
    let (code, _, error) = server.try_operate(&["serve", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(code, Some(75), "{error}");
    Raw::connect(&server).await;
}

#[tokio::test]
async fn what_is_made_on_disk_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = TestServer::start().await;
    let (_ada, _) = Raw::sign_up(&server, "ada").await;
    let mut open = vec![server.data()];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let mode = std::fs::symlink_metadata(&path).expect("it is there").permissions().mode() & 0o777;
        let directory = path.is_dir();
        assert_eq!(mode, if directory { 0o700 } else { 0o600 }, "{}", path.display());
        seen += 1;
        if directory {
            open.extend(std::fs::read_dir(&path).expect("readable").map(|entry| entry.expect("an entry").path()));
        }
    }
    assert!(seen > 5, "the data directory holds more than {seen} things");
}
