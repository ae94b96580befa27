//! Further devices of an account, and what identity protects.

use super::*;
use crate::identity::{PinnedDevice, next};

#[tokio::test(start_paused = true)]
async fn an_approved_device_comes_in_from_outside_and_learns_the_name() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    let key = DeviceKey::generate();
    let device = DeviceRef { account: ann.device.account, device: entropy::random() };
    let second = Person::with_vault(&server, "ann", device, &key, None);
    let manifest = a.engine_run(|work| {
        let pin = work.pin(&work.me().account)?.expect("the own one");
        let mut devices = pin.devices.clone();
        devices.push(PinnedDevice { device_id: device.device, key: key.public(), signer: true });
        Ok(next(&pin, devices, work.me().device, &a.engine_key(), 2))
    });
    a.engine_publish(manifest).await;
    let a2 = second.open().await;
    until_agreed(group, &[&a, &b, &a2]).await;
    until("it learns the name", || async { a2.groups().await.expect("readable")[0].name.as_deref() == Some("pair") }).await;
    a2.send(group, "from my phone").await.expect("sent");
    assert_eq!(until_texts(&b, &["from my phone"]).await[0].from, "ann");
    until_texts(&a, &["from my phone"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_server_gets_nobody_removed_who_did_not_ask_and_was_not_struck() {
    let server = FakeServer::default();
    let people: Vec<Person> = ["ann", "ben", "cleo"].iter().map(|name| Person::new(&server, name)).collect();
    let (a, b, c) = (people[0].open().await, people[1].open().await, people[2].open().await);
    let group = a.create_group("three", &names(&["ben", "cleo"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b, &c]).await;
    let needed = |who: &Person| {
        let device =
            v1::DeviceRef { account_id: who.device.account.to_vec().into(), device_id: who.device.device.to_vec().into() };
        v1::push::Body::CommitNeeded(v1::CommitNeeded {
            group_id: group.to_vec().into(),
            remove: vec![device],
            ..v1::CommitNeeded::default()
        })
    };
    let learned = || server.world().counts["FindAccount"];
    let before = learned();
    server.push(people[0].device, needed(&people[1]));
    until("ann has looked", || async { learned() > before }).await;
    a.send(group, "still three").await.expect("sent");
    until_texts(&b, &["still three"]).await;
    c.leave(group).await.expect("asked");
    assert!(c.send(group, "more").await.is_err());
    until("ann sees it", || async { a.groups().await.expect("readable")[0].members.iter().any(|member| member.leaving) }).await;
    server.push(people[0].device, needed(&people[2]));
    until("cleo is out", || async { c.groups().await.expect("readable")[0].state == GroupState::Left }).await;
    until_agreed(group, &[&a, &b]).await;
    assert_eq!(a.groups().await.expect("readable")[0].members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_changed_identity_blocks_sending() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let (a, b) = (ann.open().await, ben.open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    server.world().change_identity("ben", [7; 32]);
    assert!(a.add(group, &names(&["ben"])).await.is_ok(), "nothing to do");
    a.learn(ben.device.account).await;
    assert_eq!(a.send(group, "secret").await, Err(crate::Error::IdentityChanged("ben".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_key_packages_is_named_and_added_at_the_next_send() {
    let server = FakeServer::default();
    let (ann, ben) = (Person::new(&server, "ann"), Person::new(&server, "ben"));
    let a = ann.open().await;
    let to = names(&["ben"]);
    let failed = a.send_to(&to, "too early").await.expect_err("ben has never been here");
    assert!(failed.to_string().contains("ben"), "{failed}");
    let b = ben.open().await;
    until("ben has key packages", || async { server.world().counts["PublishKeyPackages"] >= 2 }).await;
    let sent = a.send_to(&to, "now").await.expect("sent");
    assert_eq!(until_texts(&b, &["now"]).await[0].group, sent.group);
}
