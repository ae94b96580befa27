//! What was processed is acknowledged, once and last.

use bytes::Bytes;
use sovereign_proto::v1::{self, envelope, notice};

use super::start;

#[tokio::test(start_paused = true)]
async fn acknowledgements_are_coalesced_and_survive_a_reconnect() {
    let mut bench = start(0);
    let acknowledge = |seq| {
        let positions = vec![v1::Position { group_id: Bytes::from_static(&[4; 32]), seq }];
        v1::Notice { body: Some(notice::Body::Acknowledge(v1::Acknowledge { positions })) }
    };
    for seq in [1, 3, 2] {
        bench.connection.notify(acknowledge(seq));
    }
    let mut peer = bench.live_peer().await;
    let envelope = peer.next().await.expect("a notice");
    let Some(envelope::Body::Notice(v1::Notice { body: Some(notice::Body::Acknowledge(notice)) })) = envelope.body else {
        panic!("an acknowledgement")
    };
    assert_eq!((envelope.request_id, notice.positions.len(), notice.positions[0].seq), (0, 1, 3));
    assert!(peer.is_quiet().await);
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_leaves_before_the_goodbye() {
    let mut bench = start(0);
    let mut peer = bench.live_peer().await;
    let positions = vec![v1::Position { group_id: Bytes::new(), seq: 9 }];
    bench.connection.notify(v1::Notice { body: Some(notice::Body::Acknowledge(v1::Acknowledge { positions })) });
    let last = async {
        let envelope = peer.next().await.expect("a notice");
        assert!(matches!(envelope.body, Some(envelope::Body::Notice(_))));
        assert!(peer.next().await.is_none());
    };
    tokio::join!(bench.connection.stop(), last);
}
