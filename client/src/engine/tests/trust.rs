//! A changed identity: shown, and accepted by whoever compared the fingerprints.

use sovereign_proto::v1;

use super::*;
use crate::Error;

async fn pair(server: &FakeServer) -> (Vec<Person>, Client, Client, [u8; 32]) {
    let people = vec![Person::new(server, "ann"), Person::new(server, "ben")];
    let (a, b) = (people[0].open().await, people[1].open().await);
    let group = a.create_group("pair", &names(&["ben"]), Policy::Equal).await.expect("made");
    until_agreed(group, &[&a, &b]).await;
    (people, a, b, group)
}

/// The chain of a new identity of this person that lists the same device.
fn renewed(person: &Person, b: &Client) -> ([u8; 32], Vec<v1::Manifest>) {
    let identity = DeviceKey::generate();
    (identity.public(), vec![genesis(&identity, person.device.account, person.device.device, &b.engine_key(), 2)])
}

#[tokio::test(start_paused = true)]
async fn an_accepted_identity_is_written_to_again() {
    let server = FakeServer::default();
    let (people, a, b, group) = pair(&server).await;
    let before = a.identity("ben").await.expect("known");
    assert!(!before.changed && before.known == before.offered);
    let (key, manifests) = renewed(&people[1], &b);
    server.world().replace_identity("ben", key, &manifests);
    a.learn(people[1].device.account).await;
    assert_eq!(a.send(group, "secret").await, Err(Error::IdentityChanged("ben".to_owned())));

    let shown = a.identity("Ben ").await.expect("known");
    assert!(shown.changed);
    assert_eq!((shown.username.as_str(), shown.known), ("ben", before.known));
    assert!(matches!(a.trust("ben", before.known).await, Err(Error::Identity(_))), "only what the server shows now");
    assert!(a.send(group, "secret").await.is_err());
    a.trust("ben", shown.offered).await.expect("accepted");
    a.send(group, "hello again").await.expect("sent");
    until_texts(&b, &["hello again"]).await;
    let after = a.identity("ben").await.expect("known");
    assert!(!after.changed && after.known == shown.offered);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_vouches_for_no_devices_is_not_accepted() {
    let server = FakeServer::default();
    let (people, a, _b, group) = pair(&server).await;
    server.world().change_identity("ben", [7; 32]);
    a.learn(people[1].device.account).await;
    let shown = a.identity("ben").await.expect("known");
    assert!(matches!(a.trust("ben", shown.offered).await, Err(Error::Identity(_))), "the old chain is of the old identity");
    assert_eq!(a.send(group, "secret").await, Err(Error::IdentityChanged("ben".to_owned())));
    assert!(matches!(a.trust("ann", [0; 32]).await, Err(Error::Usage(_))));
    assert!(matches!(a.identity("nobody").await, Err(Error::NotFound(_))));
}

#[tokio::test(start_paused = true)]
async fn the_server_that_shows_the_known_identity_again_is_accepted_too() {
    let server = FakeServer::default();
    let (people, a, b, group) = pair(&server).await;
    let (key, manifests) = renewed(&people[1], &b);
    let known = a.engine_run(|work| Ok(work.pin(&people[1].device.account)?.expect("pinned").identity_key));
    let before = server.world().manifests("ben");
    server.world().replace_identity("ben", key, &manifests);
    a.learn(people[1].device.account).await;
    server.world().replace_identity("ben", known, &before);
    let shown = a.identity("ben").await.expect("known");
    assert!(shown.changed && shown.known == shown.offered);
    a.trust("ben", shown.offered).await.expect("accepted");
    a.send(group, "back").await.expect("sent");
    until_texts(&b, &["back"]).await;
}

#[tokio::test(start_paused = true)]
async fn leaves_that_the_accepted_identity_does_not_list_are_removed() {
    let server = FakeServer::default();
    let (people, a, b, group) = pair(&server).await;
    let cleo = Person::new(&server, "cleo");
    let c = cleo.open().await;
    a.add(group, &names(&["cleo"])).await.expect("added");
    until_agreed(group, &[&a, &b, &c]).await;
    let (identity, key) = (DeviceKey::generate(), DeviceKey::generate());
    let manifest = genesis(&identity, people[1].device.account, entropy::random(), &key, 2);
    server.world().replace_identity("ben", identity.public(), &[manifest]);
    a.learn(people[1].device.account).await;
    let shown = a.identity("ben").await.expect("known");
    a.trust("ben", shown.offered).await.expect("accepted");
    until("the old device is out", || async { b.groups().await.expect("readable")[0].state == GroupState::Left }).await;
    a.send(group, "without it").await.expect("sent");
    until_texts(&c, &["without it"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_that_became_another_accounts_is_given_to_it() {
    let server = FakeServer::default();
    let (people, a, b, group) = pair(&server).await;
    server.world().rename("ben", "gone");
    let newcomer = Person::new(&server, "ben");
    let n = newcomer.open().await;
    a.learn_anyway(newcomer.device.account).await;
    let refused = a.send(group, "secret").await.expect_err("the name means somebody else");
    assert!(matches!(refused, Error::IdentityChanged(_)), "{refused}");
    let shown = a.identity("ben").await.expect("known");
    assert!(shown.changed);
    a.trust("ben", shown.offered).await.expect("accepted");
    a.send(group, "to whom it was before").await.expect("sent");
    until_texts(&b, &["to whom it was before"]).await;
    a.send_to(&names(&["ben"]), "to the new one").await.expect("sent");
    until_texts(&n, &["to the new one"]).await;
    let former = data_encoding::HEXLOWER.encode(&people[1].device.account);
    let infos = a.groups().await.expect("readable");
    assert!(infos.iter().any(|info| info.id == group && info.members.iter().any(|member| member.username == former)));
}
