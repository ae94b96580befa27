//! `SetPresence`.

use sovereign_proto::v1::{FailureCode, PresenceState, SetPresenceRequest};

use crate::harness::{
    Raw, TestServer,
    attendance::{acquainted, privacy},
};

#[tokio::test]
async fn a_connection_shows_itself_online_then_away() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = acquainted(&server).await;
    assert!(bob.person.raw.watch(&[&ada.person.keys]).await.is_empty(), "who has not said so is not there");
    for state in [PresenceState::Online, PresenceState::Away, PresenceState::Online] {
        let answer = ada.person.raw.call(SetPresenceRequest { state: state.into() }).await.expect("shown");
        assert!(!answer.hidden);
        bob.person.raw.until_shown(&ada.person.keys, state).await;
    }
}

#[tokio::test]
async fn says_when_the_account_hides() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    ada.call(privacy(Some(true), None)).await.expect("hidden");
    let answer = ada.call(SetPresenceRequest { state: PresenceState::Online.into() }).await.expect("taken");
    assert!(answer.hidden);
}

#[tokio::test]
async fn other_states_and_guests_are_refused() {
    let server = TestServer::start().await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    for state in [PresenceState::Unspecified as i32, PresenceState::Offline as i32, 99, -1] {
        assert_eq!(ada.refused(SetPresenceRequest { state }).await, FailureCode::InvalidArgument, "{state}");
    }
    let mut guest = Raw::connect(&server).await;
    let request = SetPresenceRequest { state: PresenceState::Online.into() };
    assert_eq!(guest.refused(request).await, FailureCode::Unauthenticated);
}
