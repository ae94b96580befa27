//! What a device does where it learns on from which state a group goes after a restore of the server.

use sovereign_proto::v1::{self, entry::Body};

use super::*;
use crate::{
    engine::{apply::Need, records::Stage},
    event::{Alarm, Event},
};

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

/// Ben has read a message, and its log goes on with the same once more; what he is told.
async fn sent_again(restored: bool) -> Vec<Event> {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (as_ann, as_ben) = (ann.open().await, ben.open().await);
    let group = as_ann.create_group("tea", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&as_ann, &as_ben]).await;
    as_ann.send(group, "once").await.expect("sent");
    until_texts(&as_ben, &["once"]).await;
    as_ben.close().await;

    let (mut core, ..) = ben.unlock();
    let (log, _) = core.run(|work| work.log(&group)).expect("readable");
    let cursor = log.expect("a log").cursor;
    let message = server.world().groups[&group].log[usize::try_from(cursor).expect("small") - 1].entry.clone();
    assert!(matches!(message.body, Some(Body::Message(_))), "the last entry is the message");
    let skipped = v1::Skipped { to: 1000, reason: v1::SkippedReason::Restored.into(), running_hash: vec![7; 32].into() };
    let skipped = v1::Entry { seq: cursor + 1, body: Some(Body::Skipped(skipped)), ..v1::Entry::default() };
    let entries =
        if restored { vec![skipped, v1::Entry { seq: 1001, ..message }] } else { vec![v1::Entry { seq: cursor + 1, ..message }] };
    let (need, effects) = core.run(|work| work.apply(&group, &entries, &[])).expect("applied");
    assert_eq!(need, Need::Nothing);
    let (log, _) = core.run(|work| work.log(&group)).expect("readable");
    assert_eq!(log.expect("a log").cursor, entries.last().expect("one").seq, "the log goes on behind it");
    effects.events
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_and_is_sent_again_behind_a_restore_is_passed_over() {
    let told = sent_again(true).await;
    assert!(!told.iter().any(|event| matches!(event, Event::Message(_) | Event::Alarm { .. })), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_without_a_restore_raises_an_alarm() {
    let told = sent_again(false).await;
    assert!(told.iter().any(|event| matches!(event, Event::Alarm { alarm: Alarm::Unreadable { .. }, .. })), "{told:?}");
}
