//! The places for large frames: guests get none.

use sovereign::limits::LARGE_FRAME;
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Carrier, Raw, TestServer};

/// A masked head (with the mask 0, which changes nothing) of the first fragment of a binary message.
fn fragment(length: usize) -> Vec<u8> {
    [&[0x02, 0xff][..], &(length as u64).to_be_bytes(), &[0; 4]].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_get_no_place_however_they_cut_their_frames() {
    let server = TestServer::over(Carrier::WebSocket, &[]).await;
    // One frame that is too large by its head, and fragments that are so together.
    let mut raw = Raw::connect(&server).await;
    let _closed = raw.stream().write_all(&fragment(2 * LARGE_FRAME)).await;
    assert_eq!(raw.ended().await.code, Some(1009));
    let mut raw = Raw::connect(&server).await;
    let small = [vec![0x02, 0xfe, 0x10, 0, 0, 0, 0, 0], vec![7; 0x1000]].concat();
    let next = [vec![0x00, 0xfe, 0x10, 0, 0, 0, 0, 0], vec![7; 0x1000]].concat();
    let _closed = raw.stream().write_all(&[small, next.repeat(32)].concat()).await;
    assert_eq!(raw.ended().await.code, Some(1009));
    // And empty ones, of which any number fits the limit of a frame: no more is read of them than of any small one.
    let mut raw = Raw::connect(&server).await;
    let empty = [vec![0x02, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0].repeat(2 * LARGE_FRAME / 6)].concat();
    let _closed = raw.stream().write_all(&empty).await;
    raw.ended().await;
}
