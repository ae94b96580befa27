//! `CountKeyPackages`.

use sovereign_proto::v1::CountKeyPackagesRequest;

use crate::harness::{Raw, TestServer};

#[tokio::test]
async fn an_empty_stock_says_how_many_are_wanted() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let stock = ada.call(CountKeyPackagesRequest {}).await.expect("a count").stock.expect("a stock");
    assert_eq!((stock.available, stock.has_last_resort), (0, false));
    assert!(stock.wanted > 0);
}
