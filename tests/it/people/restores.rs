//! The drill: people talk, a backup is made, they talk on and change who is in, the server dies and is restored from the
//! backup. Everybody comes back with what they hold, nobody loses or doubles any of it, and they go on.

use sovereign_client::{Alarm, Client, DeviceState, Event, GroupState, Policy};

use crate::harness::{Home, TestServer, eventually};

async fn texts(client: &Client, group: [u8; 32]) -> Vec<String> {
    let history = client.history(group, 1000).await.expect("a history");
    history.into_iter().map(|message| message.text).collect()
}

async fn until_texts(client: &Client, group: [u8; 32], wanted: &[&str]) {
    eventually(&format!("{wanted:?}"), || async { (texts(client, group).await == wanted).then_some(()) }).await;
}

async fn joined(client: &Client, group: [u8; 32]) {
    eventually("the group", || async { client.epoch_authenticator(group).await.ok() }).await;
}

async fn state(client: &Client, group: [u8; 32]) -> Option<GroupState> {
    let groups = client.groups().await.expect("groups");
    groups.into_iter().find(|known| known.id == group).map(|known| known.state)
}

/// The alarms that came, but for the one line about the restore.
fn other_alarms(events: &mut tokio::sync::broadcast::Receiver<Event>) -> Vec<String> {
    let mut alarms = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::Alarm { alarm, .. } = event
            && alarm != Alarm::ServerRestored
        {
            alarms.push(alarm.to_string());
        }
    }
    alarms
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_server_goes_on_where_its_members_stand() {
    let mut server = TestServer::start().await;
    let mut homes = Vec::new();
    for name in ["ada", "bob", "carol", "dave", "eve"] {
        homes.push(Home::join(&server, name).await);
    }
    let [ada, bob, carol, dave, eve] = homes.try_into().unwrap_or_else(|_| panic!("five homes"));
    let (as_ada, as_bob, as_carol, as_dave, as_eve) =
        (ada.client().await, bob.client().await, carol.client().await, dave.client().await, eve.client().await);
    let others = ["bob", "carol", "dave"].map(str::to_owned);
    let tea = as_ada.create_group("Tea", &others, Policy::Equal).await.expect("a group");
    for client in [&as_bob, &as_carol, &as_dave] {
        joined(client, tea).await;
    }
    as_ada.send(tea, "one").await.expect("accepted");
    for client in [&as_bob, &as_carol, &as_dave] {
        until_texts(client, tea, &["one"]).await;
    }
    as_dave.close().await;
    let backup = server.backup("backup").await;

    // What the backup does not know.
    as_bob.send(tea, "two").await.expect("accepted");
    until_texts(&as_carol, tea, &["one", "two"]).await;
    as_ada.remove(tea, &["carol".to_owned()]).await.expect("removed");
    as_ada.add(tea, &["eve".to_owned()]).await.expect("added");
    joined(&as_eve, tea).await;
    as_eve.send(tea, "three").await.expect("accepted");
    for client in [&as_ada, &as_bob] {
        until_texts(client, tea, &["one", "two", "three"]).await;
    }
    eventually("the removal", || async { (state(&as_carol, tea).await == Some(GroupState::Left)).then_some(()) }).await;
    let (before, _) = as_ada.epoch_authenticator(tea).await.expect("a member");
    for client in [as_ada, as_bob, as_carol, as_eve] {
        client.close().await;
    }
    server.kill().await;
    server.restore(&backup).await;

    let (as_ada, as_bob, as_carol, as_eve) =
        (ada.client_offline().await, bob.client_offline().await, carol.client_offline().await, eve.client_offline().await);
    let (mut adas, mut bobs) = (as_ada.events(), as_bob.events());
    // Said while the group waits for its members; it goes as soon as that is over.
    as_ada.send(tea, "four").await.expect("accepted");
    assert_eq!(as_ada.epoch_authenticator(tea).await.expect("a member").0, before, "the group was taken as it was");
    for client in [&as_ada, &as_bob] {
        until_texts(client, tea, &["one", "two", "three", "four"]).await;
    }
    until_texts(&as_eve, tea, &["three", "four"]).await;
    assert_eq!(state(&as_carol, tea).await, Some(GroupState::Left), "who was removed does not come back");
    assert_eq!((other_alarms(&mut adas), other_alarms(&mut bobs)), (Vec::new(), Vec::new()));

    // Who was away has what the backup has, and what is said from now on.
    let as_dave = dave.client().await;
    eventually("Dave's way back", || async {
        let members = as_ada.epoch_authenticator(tea).await.ok()?;
        (as_dave.epoch_authenticator(tea).await.ok()? == members).then_some(())
    })
    .await;
    as_bob.send(tea, "five").await.expect("accepted");
    until_texts(&as_dave, tea, &["one", "five"]).await;
    as_dave.send(tea, "six").await.expect("accepted");
    until_texts(&as_ada, tea, &["one", "two", "three", "four", "five", "six"]).await;
    until_texts(&as_eve, tea, &["three", "four", "five", "six"]).await;
    as_ada.update(tea).await.expect("commits go on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_with_somebody_the_server_has_forgotten_is_reset_by_itself() {
    let mut server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let (a, b) = (ada.client().await, bob.client().await);
    let tea = a.create_group("Tea", &["bob".to_owned()], Policy::Equal).await.expect("a group");
    joined(&b, tea).await;
    a.send(tea, "one").await.expect("accepted");
    until_texts(&b, tea, &["one"]).await;
    let backup = server.backup("backup").await;
    let zoe = Home::join(&server, "zoe").await;
    let z = zoe.client().await;
    a.add(tea, &["zoe".to_owned()]).await.expect("added");
    joined(&z, tea).await;
    z.send(tea, "two").await.expect("accepted");
    until_texts(&b, tea, &["one", "two"]).await;
    for client in [a, b, z] {
        client.close().await;
    }
    server.kill().await;
    server.restore(&backup).await;

    let (a, b) = (ada.client_offline().await, bob.client_offline().await);
    let new = a.send(tea, "three").await.expect("accepted where the conversation goes on").group;
    assert_ne!(new, tea);
    for client in [&a, &b] {
        eventually("the successor", || async {
            let groups = client.groups().await.expect("groups");
            (groups.len() == 1 && groups[0].id == new && groups[0].former == [tea]).then_some(())
        })
        .await;
        until_texts(client, new, &["one", "two", "three"]).await;
    }
    let mut names: Vec<String> =
        a.groups().await.expect("groups")[0].members.iter().map(|member| member.username.clone()).collect();
    names.sort_unstable();
    assert_eq!(names, ["ada", "bob"]);
    b.send(new, "four").await.expect("accepted");
    until_texts(&a, new, &["one", "two", "three", "four"]).await;
}

/// Who is alone in a state comes in again from outside, into an epoch of the same number. What it had on its way was
/// encrypted for the state that nobody else has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_on_its_way_in_a_state_that_is_lost_is_read_by_all() {
    ada_was_alone(0).await;
}

/// By number her state is an older one of the group then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_on_its_way_in_a_state_that_is_lost_is_read_by_all_who_have_gone_further() {
    ada_was_alone(2).await;
}

async fn ada_was_alone(updates: usize) {
    let mut server = TestServer::start().await;
    let (ada, bob, carol) =
        (Home::join(&server, "ada").await, Home::join(&server, "bob").await, Home::join(&server, "carol").await);
    let (as_ada, as_bob, as_carol) = (ada.client().await, bob.client().await, carol.client().await);
    let others = ["bob", "carol"].map(str::to_owned);
    let tea = as_ada.create_group("Tea", &others, Policy::Equal).await.expect("a group");
    for client in [&as_bob, &as_carol] {
        joined(client, tea).await;
    }
    as_ada.send(tea, "one").await.expect("accepted");
    for client in [&as_bob, &as_carol] {
        until_texts(client, tea, &["one"]).await;
    }
    let backup = server.backup("backup").await;
    as_bob.close().await;
    as_carol.close().await;
    as_ada.update(tea).await.expect("Ada is ahead of everybody");
    let (alone, _) = as_ada.epoch_authenticator(tea).await.expect("a member");
    server.signal(rustix::process::Signal::STOP);
    as_ada.queue(tea, "two").await.expect("queued");
    as_ada.queue(tea, "three").await.expect("queued");
    eventually("the message on its way", || async {
        (!as_ada.outbox(tea, 9).await.expect("an outbox").is_empty()).then_some(())
    })
    .await;
    as_ada.close().await;
    server.kill().await;
    server.restore(&backup).await;

    let (as_bob, as_carol) = (bob.client_offline().await, carol.client_offline().await);
    as_bob.send(tea, "four").await.expect("accepted without Ada");
    for _ in 0..updates {
        as_carol.update(tea).await.expect("accepted without Ada");
    }
    let as_ada = ada.client_offline().await;
    for client in [&as_bob, &as_carol] {
        until_texts(client, tea, &["one", "four", "two", "three"]).await;
    }
    assert!(as_ada.epoch_authenticator(tea).await.expect("a member").0 >= alone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backup_does_not_know_of_devices_and_removals_is_told_again() {
    let mut server = TestServer::start().await;
    let phone = Home::join_with_password(&server, "ada", "correct horse").await;
    let (bob, carol) = (Home::join(&server, "bob").await, Home::join(&server, "carol").await);
    let (on_phone, as_bob, as_carol) = (phone.client().await, bob.client().await, carol.client().await);
    let others = ["bob", "carol"].map(str::to_owned);
    let tea = on_phone.create_group("Tea", &others, Policy::Equal).await.expect("a group");
    for client in [&as_bob, &as_carol] {
        joined(client, tea).await;
    }
    on_phone.send(tea, "one").await.expect("accepted");
    for client in [&as_bob, &as_carol] {
        until_texts(client, tea, &["one"]).await;
    }
    as_carol.close().await;
    let backup = server.backup("backup").await;

    // Carol is removed while she is away, and Ada links a tablet.
    as_bob.remove(tea, &["carol".to_owned()]).await.expect("removed");
    let tablet = Home::new();
    let file = tablet.file("password", "correct horse");
    tablet.sov(&["login", &server.invite().await, "--username", "ada", "--password-file", &file]).await;
    let pending = eventually("the tablet", || async {
        let devices = on_phone.devices().await.expect("devices");
        devices.into_iter().find(|device| device.state == DeviceState::Pending)
    })
    .await;
    on_phone.approve_device(&data_encoding::HEXLOWER.encode(&pending.device_id)).await.expect("approved");
    let on_tablet = tablet.client().await;
    joined(&on_tablet, tea).await;
    on_tablet.send(tea, "two").await.expect("accepted");
    for client in [&on_phone, &as_bob] {
        until_texts(client, tea, &["one", "two"]).await;
    }
    for client in [on_phone, as_bob, on_tablet] {
        client.close().await;
    }
    server.kill().await;
    server.restore(&backup).await;

    let (on_phone, as_bob) = (phone.client().await, bob.client().await);
    on_phone.send(tea, "three").await.expect("accepted");
    until_texts(&as_bob, tea, &["one", "two", "three"]).await;
    let on_tablet = tablet.client().await;
    until_texts(&on_tablet, tea, &["two", "three"]).await;
    on_tablet.send(tea, "four").await.expect("accepted");
    until_texts(&as_bob, tea, &["one", "two", "three", "four"]).await;
    let as_carol = carol.client().await;
    eventually("Carol's removal", || async { (state(&as_carol, tea).await == Some(GroupState::Left)).then_some(()) }).await;
    assert_eq!(texts(&as_carol, tea).await, ["one"]);
}
