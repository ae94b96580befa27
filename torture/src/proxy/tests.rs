use std::{path::PathBuf, sync::Arc};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A server that says everything back, and a device on a lane to it.
async fn echo() -> (Lane, TcpStream, tempfile::TempDir) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ended = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let directory = tempfile::tempdir().expect("a directory");
    let path: PathBuf = directory.path().join("history");
    let lane = Lane::open(port, 1, Arc::new(History::create(&path).expect("a file"))).await.expect("a lane");
    let device = TcpStream::connect((Ipv4Addr::LOCALHOST, lane.port)).await.expect("connected");
    (lane, device, directory)
}

async fn say(device: &mut TcpStream, word: &[u8; 4]) {
    device.write_all(word).await.expect("written");
}

async fn hear(device: &mut TcpStream) -> [u8; 4] {
    let mut word = [0; 4];
    device.read_exact(&mut word).await.expect("read");
    word
}

#[tokio::test]
async fn bytes_pass_and_wait_and_come_in_order() {
    let (lane, mut device, _directory) = echo().await;
    say(&mut device, b"aaaa").await;
    assert_eq!(&hear(&mut device).await, b"aaaa");

    lane.change(|weather| weather.down = Way::Hold);
    say(&mut device, b"bbbb").await;
    let mut word = [0; 4];
    let early = timeout(Duration::from_millis(50), device.read_exact(&mut word)).await;
    assert!(early.is_err(), "what is held does not come");
    lane.heal();
    assert_eq!(&hear(&mut device).await, b"bbbb");

    lane.change(|weather| (weather.up, weather.down) = (Way::Loss(50), Way::Trickle(1)));
    say(&mut device, b"cccc").await;
    assert_eq!(&hear(&mut device).await, b"cccc");
}

#[tokio::test]
async fn what_is_swallowed_never_comes_and_a_cut_is_a_reset() {
    let (lane, mut device, _directory) = echo().await;
    say(&mut device, b"aaaa").await;
    assert_eq!(&hear(&mut device).await, b"aaaa");
    lane.change(|weather| weather.down = Way::Swallow);
    say(&mut device, b"bbbb").await;
    lane.cut();
    let mut rest = Vec::new();
    let ended = device.read_to_end(&mut rest).await;
    assert!(ended.is_err() && rest.is_empty(), "a reset, not a goodbye: {ended:?}");
}

#[tokio::test]
async fn a_silenced_connection_looks_alive_to_the_device() {
    let (lane, mut device, _directory) = echo().await;
    say(&mut device, b"aaaa").await;
    assert_eq!(&hear(&mut device).await, b"aaaa");
    lane.silence();
    say(&mut device, b"bbbb").await;
    let mut word = [0; 4];
    let answer = timeout(Duration::from_millis(50), device.read_exact(&mut word)).await;
    assert!(answer.is_err(), "nobody answers, nobody hangs up");
    lane.cut();
    assert!(device.read(&mut word).await.is_err(), "until the lane is cut");
}

#[tokio::test]
async fn the_last_byte_is_that_of_the_connections_there_were() {
    let (lane, mut device, _directory) = echo().await;
    say(&mut device, b"aaaa").await;
    assert_eq!(&hear(&mut device).await, b"aaaa");
    assert_eq!(lane.last_down(), None, "nobody has asked");
    lane.watch_connections();
    let mut later = TcpStream::connect((Ipv4Addr::LOCALHOST, lane.port)).await.expect("connected");
    say(&mut later, b"bbbb").await;
    assert_eq!(&hear(&mut later).await, b"bbbb");
    assert_eq!(lane.last_down(), None, "a later connection is none of those");
    say(&mut device, b"cccc").await;
    assert_eq!(&hear(&mut device).await, b"cccc");
    assert!(lane.last_down().is_some());
}
