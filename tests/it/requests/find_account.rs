//! `FindAccount`.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, FindAccountRequest, RelationChange, find_account_request::By};

use crate::harness::{
    Raw, TestServer,
    scene::{pair, relate},
};

fn find(by: By) -> FindAccountRequest {
    FindAccountRequest { by: Some(by) }
}

#[tokio::test]
async fn finds_by_exact_name_and_by_id_and_nothing_else() {
    let server = TestServer::start().await;
    let (_bob, keys) = Raw::sign_up(&server, "bob").await;
    let (mut ada, _) = Raw::sign_up(&server, "ada").await;
    let by_name = ada.call(find(By::Username("Bob".into()))).await.expect("found");
    let by_id = ada.call(find(By::AccountId(Bytes::copy_from_slice(&keys.account)))).await.expect("found");
    assert_eq!(by_name.account_id, by_id.account_id);
    assert_eq!(by_id.identity_key, keys.identity.verifying_key().as_bytes().as_slice());
    for name in ["bo", "bob2", "b_b", "b%b"] {
        let code = ada.refused(find(By::Username(name.into()))).await;
        assert!(matches!(code, FailureCode::NotFound | FailureCode::InvalidArgument), "{name}: {code:?}");
    }
    assert_eq!(ada.refused(find(By::AccountId(Bytes::from_static(&[9; 16])))).await, FailureCode::NotFound);
    assert_eq!(ada.refused(FindAccountRequest { by: None }).await, FailureCode::InvalidArgument);
}

#[tokio::test]
async fn who_has_blocked_the_asker_is_not_found_but_by_id_in_a_common_group() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let (adas, bobs) = (ada.person.keys.clone(), bob.person.keys.clone());
    let by_id = || find(By::AccountId(Bytes::copy_from_slice(&bobs.account)));
    relate(&mut bob.person, &adas, RelationChange::Block).await;
    let blocker = ada.person.raw.call(find(By::Username("bob".into()))).await.map(drop);
    let nobody = ada.person.raw.call(find(By::Username("bop".into()))).await.map(drop);
    assert!(blocker.is_err() && blocker == nobody, "the same bytes");
    ada.person.raw.call(by_id()).await.expect("a member has to check the other members");
    bob.person.raw.call(find(By::Username("ada".into()))).await.expect("it hides nobody from the blocker");

    let leaf = crate::harness::Member::leaf(&ada.group, &bobs);
    let removal = ada.person.member.remove(&mut ada.group, &[leaf]);
    ada.person.submit(&mut ada.group, &removal).await;
    let blocker = ada.person.raw.call(by_id()).await.map(drop);
    assert!(blocker.is_err() && blocker == nobody, "no common group any more");
    relate(&mut bob.person, &adas, RelationChange::Remove).await;
    ada.person.raw.call(by_id()).await.expect("found again");
}
