//! The engine against a server in memory.

mod commits;
mod counters;
mod crash;
mod devices;
mod fake;
mod messages;
mod receipts;
mod relations;
mod resets;
mod restores;
mod signals;
mod trust;

use std::{future::Future, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use self::fake::FakeServer;
use super::{records::AccountRecord, *};
use crate::{
    Client, Options,
    client::open_core,
    enrolment::keep_account,
    identity::{Pin, genesis},
    join_link::Endpoint,
    mls::DeviceRef,
    model::{GroupState, Message, Policy},
    vault::{Space, Vault},
};

/// Somebody with a vault of their own.
struct Person {
    home: tempfile::TempDir,
    server: FakeServer,
    pub(self) device: DeviceRef,
}

impl Person {
    /// A new account at this server.
    fn new(server: &FakeServer, name: &str) -> Self {
        let (identity, key) = (DeviceKey::generate(), DeviceKey::generate());
        let device = DeviceRef { account: entropy::random(), device: entropy::random() };
        let manifest = genesis(&identity, device.account, device.device, &key, 1);
        let mut pin = Pin::new(device.account, name.to_owned(), identity.public());
        pin.extend(&manifest).expect("our own");
        server.add_account(device.account, name, identity.public(), manifest);
        Self::with_vault(server, name, device, &key, Some(&pin))
    }

    fn with_vault(server: &FakeServer, name: &str, device: DeviceRef, key: &DeviceKey, pin: Option<&Pin>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut vault = Vault::create(home.path(), None).expect("a vault");
        let record = AccountRecord {
            username: name.to_owned(),
            account_id: device.account,
            device_id: device.device,
            device_secret: *key.secret(),
            identity_secret: None,
            endpoint: Endpoint { host: "test".to_owned(), port: 1, server_id: [0; 32], ca_pin: None },
        };
        keep_account(&mut vault, &record, pin).expect("kept");
        Self { home, server: server.clone(), device }
    }

    /// Opens the vault and connects.
    async fn open(&self) -> Client {
        let client = self.open_now();
        client.wait_live().await.expect("live");
        client
    }

    fn open_now(&self) -> Client {
        let (core, record, key) = self.unlock();
        let (remote, events) = self.server.connect(self.device);
        Client::start_on(core, &record, key, remote, events, Options::default())
    }

    fn unlock(&self) -> (Core, AccountRecord, Arc<DeviceKey>) {
        let mut vault = Vault::open(self.home.path(), None).expect("the vault");
        let record: Result<Option<AccountRecord>, crate::vault::VaultError> = vault.transaction(|tx| tx.get(Space::Account, b""));
        let record = record.expect("readable").expect("an account");
        let key = Arc::new(DeviceKey::from_secret(&Zeroizing::new(record.device_secret)));
        (open_core(vault, &record, &key, &Options::default()), record, key)
    }
}

/// Waits, by time that passes only when nothing else does, until something holds.
async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..5000 {
        if holds().await {
            return;
        }
        tokio::time::advance(Duration::from_millis(20)).await;
        tokio::task::yield_now().await;
    }
    panic!("never happened: {what}");
}

async fn texts(client: &Client) -> Vec<String> {
    client.unlistened(10_000).await.expect("readable").into_iter().map(|message| message.text).collect()
}

async fn until_texts(client: &Client, expected: &[&str]) -> Vec<Message> {
    until(&format!("{expected:?} arrive"), || async { texts(client).await.len() >= expected.len() }).await;
    assert_eq!(texts(client).await, expected);
    client.unlistened(10_000).await.expect("readable")
}

/// All of them are active in the group, at the same epoch, with the same secret.
async fn until_agreed(group: [u8; 32], clients: &[&Client]) {
    until("all agree", || async {
        let mut states = Vec::new();
        for client in clients {
            let groups = client.groups().await.expect("readable");
            let active = groups.iter().any(|info| info.id == group && info.state == GroupState::Active);
            if !active {
                return false;
            }
            states.push(client.epoch_authenticator(group).await.expect("active"));
        }
        states.windows(2).all(|pair| pair[0] == pair[1])
    })
    .await;
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
