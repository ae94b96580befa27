//! Away for longer than anything is kept: the gap is said exactly, and the way back into the group is found.

use sovereign_client::{Client, Options, Policy};
use tempfile::TempDir;

use crate::harness::{Carrier, TestServer, eventually};

over_both!(a_device_away_for_longer_than_commits_are_kept_finds_its_way_back);

async fn join(server: &TestServer, username: &str) -> (Client, TempDir) {
    let home = tempfile::tempdir().expect("a temporary directory");
    let link = server.invite().await;
    let client = Client::join(home.path(), &link, username, None, Options::default()).await.expect("joined");
    client.wait_reachable().await.expect("reachable");
    (client, home)
}

/// The texts that `client` has of the group, once `last` is among them.
async fn texts_until(client: &Client, group: [u8; 32], last: &str) -> Vec<String> {
    eventually(last, || async {
        let texts: Vec<String> = client.history(group, 1000).await.ok()?.into_iter().map(|message| message.text).collect();
        texts.iter().any(|text| text == last).then_some(texts)
    })
    .await
}

async fn a_device_away_for_longer_than_commits_are_kept_finds_its_way_back(carrier: Carrier) {
    let mut server = TestServer::over(carrier, &[]).await;
    let (ada, _adas_home) = join(&server, "ada").await;
    let (bob, bobs_home) = join(&server, "bob").await;
    let group = ada.create_group("Family", &["bob".to_owned()], Policy::Equal).await.expect("a group");
    ada.send(group, "before").await.expect("sent");
    texts_until(&bob, group, "before").await;
    bob.close().await;

    for _ in 0..3 {
        ada.update(group).await.expect("a commit");
        ada.send(group, "missed").await.expect("sent");
    }
    server.terminate().await;
    server.set_arguments(&["--clock-offset-seconds", &(120 * 24 * 3600).to_string()]);
    server.restart().await;
    ada.wait_live().await.expect("live again");

    let bob = Client::open(bobs_home.path(), Options::default()).await.expect("Bob's home opens");
    bob.wait_live().await.expect("live");
    let epoch = eventually("Bob's way back into the group", || async {
        ada.send(group, "are you there?").await.ok()?;
        let (adas, bobs) = (ada.epoch_authenticator(group).await.ok()?, bob.epoch_authenticator(group).await.ok()?);
        (adas == bobs).then_some(adas.0)
    })
    .await;
    assert!(epoch > 4, "he came back by a commit of his own");
    ada.send(group, "welcome back").await.expect("sent");
    let texts = texts_until(&bob, group, "welcome back").await;
    assert!(!texts.contains(&"missed".to_owned()), "what was sent in epochs he never had stays unread");
    bob.send(group, "thank you").await.expect("sent");
    texts_until(&ada, group, "thank you").await;
}
