//! What a device does where it learns on from which state a group goes after a restore of the server.

use sovereign_proto::v1;

use super::*;
use crate::engine::records::Stage;

/// A device that stood in epoch 1 when it noticed the restore is told that the group, by now further than that, went on
/// from an epoch; what becomes of the group here.
async fn told(revived_epoch: Option<u64>) -> Stage {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (as_ann, as_ben) = (ann.open().await, ben.open().await);
    let group = as_ann.create_group("tea", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&as_ann, &as_ben]).await;
    as_ann.close().await;

    let (mut core, ..) = ann.unlock();
    core.run(|work| work.notice_generation(1)).expect("the first");
    core.run(|work| work.notice_generation(2)).expect("noticed");
    let told = v1::ReviveGroupResponse { epoch: 3, revived_epoch, ..v1::ReviveGroupResponse::default() };
    core.run(|work| work.goes_on(&group, 1, &told)).expect("decided");
    let (record, _) = core.run(|work| work.known_group(&group)).expect("readable");
    assert!(!record.restored, "nothing is left to be asked");
    record.stage
}

#[tokio::test(start_paused = true)]
async fn who_stands_where_the_group_went_on_goes_on() {
    assert_eq!(told(Some(1)).await, Stage::Active);
    assert_eq!(told(Some(2)).await, Stage::Active);
    assert_eq!(told(None).await, Stage::Active, "a server that does not say so");
}

#[tokio::test(start_paused = true)]
async fn who_was_further_than_that_comes_in_again() {
    assert_eq!(told(Some(0)).await, Stage::Outside);
}
