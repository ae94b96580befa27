//! `GetGroupInfo`.

use bytes::Bytes;
use sovereign_proto::v1::{FailureCode, GetGroupInfoRequest};

use crate::harness::{
    TestServer,
    scene::{Person, pair},
};

#[tokio::test]
async fn members_get_the_current_one_and_strangers_nothing() {
    let server = TestServer::start().await;
    let (mut ada, mut bob) = pair(&server).await;
    let mut stranger = Person::new(&server, "mallory").await;
    let bundle = ada.person.member.update(&mut ada.group);
    let seq = ada.person.submit(&mut ada.group, &bundle).await;
    let request = GetGroupInfoRequest { group_id: Bytes::copy_from_slice(ada.group.group_id().as_slice()) };
    let info = bob.person.raw.call(request.clone()).await.expect("a GroupInfo");
    assert_eq!((info.epoch, info.seq), (ada.group.epoch().as_u64(), seq));
    assert_eq!(info.group_info, bundle.group_info);
    assert_eq!(stranger.raw.refused(request).await, FailureCode::NotFound);
    let none = GetGroupInfoRequest { group_id: Bytes::from_static(&[9; 32]) };
    assert_eq!(stranger.raw.refused(none).await, FailureCode::NotFound);
}
