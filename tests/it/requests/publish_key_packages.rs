//! `PublishKeyPackages`.

use bytes::Bytes;
use openmls::prelude::Lifetime;
use sovereign_proto::v1::{FailureCode, PublishKeyPackagesRequest, failure::Details};

use crate::harness::{Member, Raw, TestServer, raw::Keys};

fn publish(key_packages: Vec<Bytes>) -> PublishKeyPackagesRequest {
    PublishKeyPackagesRequest { key_packages, last_resort: Bytes::new(), replace: false }
}

#[tokio::test]
async fn the_stock_counts_what_was_published_and_replace_starts_over() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let member = Member::new(&keys);
    let stock =
        ada.call(publish(vec![member.key_package(), member.key_package()])).await.expect("published").stock.expect("a stock");
    assert_eq!(stock.available, 2);
    let anew = PublishKeyPackagesRequest { replace: true, ..publish(vec![member.key_package()]) };
    assert_eq!(ada.call(anew).await.expect("published").stock.expect("a stock").available, 1);
}

#[tokio::test]
async fn a_bad_one_is_named_by_its_index_and_none_of_the_batch_is_kept() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let member = Member::new(&keys);
    let good = || member.key_package();
    let stranger = Member::new(&Keys::new());
    let mut flipped = good().to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let repeated = good();
    ada.call(publish(vec![repeated.clone()])).await.expect("published");
    let century = Lifetime::new(100 * 365 * 24 * 3600);
    let bad: Vec<(&str, Bytes)> = vec![
        ("somebody else's", stranger.key_package()),
        ("a broken signature", flipped.into()),
        ("a lifetime of a century", member.key_package_with(century)),
        ("published before", repeated),
        ("junk", Bytes::from_static(b"junk")),
        ("nothing", Bytes::new()),
        ("trailing bytes", [good().as_ref(), b"\0"].concat().into()),
    ];
    for (what, bad) in bad {
        let failure = ada.call(publish(vec![good(), bad, good()])).await.err().unwrap_or_else(|| panic!("{what} was taken"));
        assert_eq!(failure.code(), FailureCode::InvalidArgument, "{what}: {}", failure.message);
        let Some(Details::InvalidItem(item)) = failure.details else { panic!("{what}: no index") };
        assert_eq!(item.index, 1, "{what}");
    }
    let count = ada.call(sovereign_proto::v1::CountKeyPackagesRequest {}).await.expect("a count").stock.expect("a stock");
    assert_eq!(count.available, 1, "only the first upload stands");
}

#[tokio::test]
async fn the_stock_is_bounded() {
    let server = TestServer::start().await;
    let (mut ada, keys) = Raw::sign_up(&server, "ada").await;
    let member = Member::new(&keys);
    for _ in 0..2 {
        ada.call(publish((0..100).map(|_| member.key_package()).collect())).await.expect("published");
    }
    assert_eq!(ada.refused(publish(vec![member.key_package()])).await, FailureCode::QuotaExceeded);
}

#[tokio::test]
async fn an_over_long_batch_is_refused() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    assert_eq!(ada.refused(publish(vec![Bytes::from_static(b"x"); 101])).await, FailureCode::TooLarge);
}
