//! `GetUsage`, and the quotas that it tells of.

use std::time::Duration;

use bytes::Bytes;
use sovereign_proto::v1::{self, FailureCode, GetUsageRequest, failure::Details};

use crate::harness::{
    TestServer,
    scene::{Person, Seat, pair, send_request},
    within,
};

const LIMIT: u64 = 1 << 20;

fn request(group_id: &[u8]) -> GetUsageRequest {
    GetUsageRequest { group_id: Bytes::copy_from_slice(group_id) }
}

/// Sends until there is no room; the refusal.
async fn fill(seat: &mut Seat) -> v1::Failure {
    let (id, text) = (seat.group.group_id().to_vec(), "x".repeat(50_000));
    for _ in 0..100 {
        let message = seat.person.member.message(&mut seat.group, &text);
        if let Err(failure) = seat.person.raw.call(send_request(&id, message)).await {
            return failure;
        }
    }
    panic!("a hundred messages of 50 kB do not fit a megabyte");
}

fn quota(failure: &v1::Failure) -> (bool, u64, u64) {
    assert_eq!(failure.code(), FailureCode::QuotaExceeded);
    assert!(failure.retry_after_ms > 0, "it says when to ask again");
    let Some(Details::QuotaExceeded(details)) = &failure.details else { panic!("no details: {}", failure.message) };
    let quota = details.quota.as_ref().expect("a quota");
    (details.of_group, quota.used_bytes, quota.limit_bytes)
}

#[tokio::test]
async fn an_account_that_is_full_is_told_so_and_sees_it_and_others_go_on() {
    let server = TestServer::start_with(&["--account-bytes-max", "1048576"]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let id = ada.group.group_id().to_vec();
    let (of_group, used, limit) = quota(&fill(&mut ada).await);
    assert!(!of_group && limit == LIMIT && (LIMIT - 60_000..=LIMIT).contains(&used), "{used} of {limit}");
    bob.person.send(&mut bob.group, "Bob has room of his own").await;

    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    within("Ada sees it", async {
        loop {
            ticks.tick().await;
            // Every acknowledgement is a transaction, with which the numbers are written.
            bob.person.raw.acknowledge(&id, 1).await;
            let usage = ada.person.raw.call(request(&id)).await.unwrap_or_else(|failure| panic!("{}", failure.message));
            let (account, group) = (usage.account.expect("told"), usage.group.expect("told"));
            if account.used_bytes == used {
                assert!(group.used_bytes > used && group.limit_bytes > LIMIT, "Bob's message stands there, too");
                break;
            }
        }
    })
    .await;
    let shown = server.operate(&["user", "show", "ada", "--json"]).await;
    assert!(shown.contains(&format!("\"stored_bytes\":{used}")), "{shown}");
}

#[tokio::test]
async fn a_group_that_is_full_is_full_for_all_its_members() {
    let server = TestServer::start_with(&["--group-bytes-max", "1048576"]).await;
    let (mut ada, mut bob) = pair(&server).await;
    let (of_group, used, limit) = quota(&fill(&mut ada).await);
    assert!(of_group && limit == LIMIT && used <= LIMIT);
    let (of_group, ..) = quota(&fill(&mut bob).await);
    assert!(of_group);
}

#[tokio::test]
async fn who_is_not_a_member_learns_nothing_of_a_group() {
    let server = TestServer::start().await;
    let (ada, _bob) = pair(&server).await;
    let mut eve = Person::new(&server, "eve").await;
    assert_eq!(eve.raw.refused(request(ada.group.group_id().as_slice())).await, FailureCode::NotFound);
    assert_eq!(eve.raw.refused(request(&[9; 32])).await, FailureCode::NotFound);
    assert_eq!(eve.raw.refused(request(b"short")).await, FailureCode::InvalidArgument);
    let usage = eve.raw.call(request(b"")).await.unwrap_or_else(|failure| panic!("{}", failure.message));
    assert!(usage.group.is_none() && usage.account.is_some_and(|account| account.used_bytes == 0));
}
