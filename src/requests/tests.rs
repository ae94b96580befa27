//! What the gate answers in a handler's place.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use prost::Message as _;
use sovereign_proto::v1::{FailureCode, OutgoingMessage, PingRequest, SendMessageRequest, request};

use super::{bounded, handle};
use crate::{
    caller::{Connection, Device, Identity},
    clock::monotonic,
    hub::Inbox,
    ids::{AccountId, DeviceId, GroupId},
    limits::HANDLER_DEADLINE,
    refusal::Refusal,
    server::tests::server,
};

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_answered() {
    let mut handling = bounded(monotonic(), std::future::pending::<Result<(), Refusal>>());
    tokio::time::advance(HANDLER_DEADLINE.saturating_sub(Duration::from_millis(1))).await;
    assert!((&mut handling).now_or_never().is_none(), "too early");
    tokio::time::advance(Duration::from_millis(1)).await;
    let result = handling.now_or_never().expect("its time is up");
    assert_eq!(result.err().map(|refusal| refusal.code()), Some(FailureCode::DeadlineExceeded));
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_with_an_incident() {
    let result =
        bounded::<BoxFuture<'_, Result<(), Refusal>>>(monotonic(), Box::pin(async { panic!("a handler's fault") })).await;
    let failure = result.expect_err("refused").into_failure();
    assert_eq!(failure.code(), FailureCode::Internal);
    assert!(failure.message.contains("incident") && !failure.message.contains("fault"), "nothing internal leaves");
}

#[tokio::test]
async fn a_draining_server_takes_no_new_requests() {
    let (server, _directory) = server();
    let server = Arc::new(server);
    let connection = connection(Identity::Guest);
    let ping = || request::Body::Ping(PingRequest { client_time_ms: 1 });
    assert!(handle(Arc::clone(&server), Arc::clone(&connection), ping()).await.is_ok());
    server.drain();
    let failure = handle(Arc::clone(&server), Arc::clone(&connection), ping()).await.err().expect("refused").into_failure();
    assert_eq!(failure.code(), FailureCode::Unavailable);
    assert!(failure.retry_after_ms > 0, "it says when to come back");
}

#[tokio::test]
async fn who_may_not_see_a_group_does_not_learn_that_it_is_busy() {
    let (server, _directory) = server();
    let server = Arc::new(server);
    let eve = Device { account: AccountId([1; 16]), device: DeviceId([1; 16]), key: [0; 32], challenge: [0; 32] };
    let connection = connection(Identity::Active(eve));
    let now = monotonic();
    let (busy, rate) = (GroupId([7; 32]), server.settings.limits.in_group(true));
    server.rates.group(busy, now).messages.spend(rate.at_once, rate, server.rates.at(now));
    let send = |group: GroupId, id: u8| {
        let message = OutgoingMessage { client_id: vec![id; 16].into(), ..OutgoingMessage::default() };
        request::Body::SendMessage(SendMessageRequest {
            group_id: group.0.to_vec().into(),
            message: Some(message),
            in_order: false,
            anew: false,
        })
    };
    let refused = handle(server, connection, send(busy, 1)).await.err().expect("refused").into_failure();
    assert_eq!(refused.encode_to_vec(), Refusal::not_found().into_failure().encode_to_vec());
}

fn connection(identity: Identity) -> Arc<Connection> {
    Arc::new(Connection {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        challenge: [0; 32],
        attempt: Mutex::new(false),
        admission: Mutex::new(None),
        inbox: Arc::new(Inbox::default()),
        identity,
        purses: None,
        in_order: Arc::default(),
    })
}
