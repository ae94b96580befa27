//! `ListAccounts`.

use sovereign_proto::v1::{AccountState, FailureCode, ListAccountsRequest, SetAccountEnabledRequest};

use crate::harness::{Raw, TestServer, control::Control};

#[tokio::test]
async fn operators_see_every_account_in_pages() {
    let server = TestServer::start().await;
    let (_ada, _) = Raw::sign_up(&server, "ada").await;
    let (bob, _) = Raw::sign_up(&server, "bob").await;
    let (_cid, _) = Raw::sign_up(&server, "cid").await;
    let mut operator = Control::connect(&server).await;
    drop(bob);
    operator.call(SetAccountEnabledRequest { username: "cid".into(), enabled: false }).await.expect("disabled");
    let first = operator.call(ListAccountsRequest { after: String::new(), limit: 2 }).await.expect("a page");
    let names: Vec<&str> = first.accounts.iter().map(|account| account.username.as_str()).collect();
    assert_eq!((names, first.more), (vec!["ada", "bob"], true));
    let ada = &first.accounts[0];
    assert_eq!((ada.state(), ada.devices_active, ada.connections), (AccountState::Enabled, 1, 1));
    let rest = operator.call(ListAccountsRequest { after: "bob".into(), limit: 0 }).await.expect("a page");
    assert_eq!((rest.accounts.len(), rest.more), (1, false));
    assert_eq!(rest.accounts[0].state(), AccountState::Disabled);
}

#[tokio::test]
async fn no_device_may_ask() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    assert_eq!(ada.refused(ListAccountsRequest::default()).await, FailureCode::Forbidden);
}
