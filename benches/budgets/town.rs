//! People with devices, and the groups they are in.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use openmls::prelude::MlsGroup;
use sovereign_proto::v1::{self, submit_commit_response::Outcome};

use crate::{
    client::{Connection, Mint, Peer},
    harness::{
        Member, TestServer,
        member::Bundle,
        raw::Keys,
        scene::{claim_request, set_relation},
    },
    scale::Scale,
};

/// Connections that are opened at the same time.
const AT_ONCE: usize = 16;
/// Accounts of one claim.
const CLAIMED_AT_ONCE: usize = 64;

/// A server as it is measured: whoever comes may sign up, all from one address, and may signal as fast as they can.
pub async fn server() -> TestServer {
    server_with(&[]).await
}

/// The same with further arguments.
pub async fn server_with(more: &[&str]) -> TestServer {
    let rates = ["messages", "requests", "sign-ins", "signals"].map(|what| format!("--{what}-per-second-max=1000000"));
    let arguments = ["--registration-mode", "open", "--connections-per-address-max", "20000"];
    let all = arguments.into_iter().chain(rates.iter().map(String::as_str)).chain(more.iter().copied());
    TestServer::start_with(&all.collect::<Vec<_>>()).await
}

/// Makes so many accounts, each with key packages for so many groups; nobody stays connected.
pub async fn settle(server: &TestServer, name: &str, count: usize, key_packages: usize) -> Vec<Keys> {
    let arrivals = (0..count).map(|index| async move {
        let keys = Keys::new();
        let mut connection = Connection::sign_up(server, format!("{name}{index:05}"), &keys).await;
        publish(&mut connection, &keys, key_packages).await;
        keys
    });
    stream::iter(arrivals).buffered(AT_ONCE).collect().await
}

async fn publish(connection: &mut Connection, keys: &Keys, count: usize) {
    if count > 0 {
        let member = Member::new(keys);
        let key_packages = (0..count).map(|_| member.key_package()).collect();
        connection.call(v1::PublishKeyPackagesRequest { key_packages, last_resort: Bytes::new(), replace: false }).await;
    }
}

/// Connects all of them and brings them up to date.
pub async fn gather(server: &TestServer, people: &[Keys]) -> Vec<Connection> {
    let arrivals = people.iter().map(|keys| async move {
        let mut connection = Connection::sign_in(server, keys).await;
        connection.until_live().await;
        connection
    });
    stream::iter(arrivals).buffered(AT_ONCE).collect().await
}

/// Has all of them accept somebody, who may write to a bounded number of strangers only.
pub async fn befriend(server: &TestServer, people: &[Keys], with: &Keys) {
    let calls = people.iter().map(|keys| async move {
        let mut connection = Connection::sign_in(server, keys).await;
        connection.call(set_relation(with, v1::RelationChange::Accept)).await;
    });
    stream::iter(calls).buffered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Somebody who makes groups and commits to them.
pub struct Founder {
    /// Live.
    pub connection: Connection,
    /// Its MLS side.
    pub member: Member,
}

impl Founder {
    /// A new account, live.
    pub async fn arrive(server: &TestServer, name: &str) -> Self {
        let keys = Keys::new();
        let mut connection = Connection::sign_up(server, name.to_owned(), &keys).await;
        connection.until_live().await;
        Self { connection, member: Member::new(&keys) }
    }

    /// Makes a group of this founder and these people.
    pub async fn found(&mut self, people: &[Keys]) -> MlsGroup {
        let reserved = self.connection.call(v1::ReserveGroupRequest {}).await;
        let mut group = self.member.create(&reserved.group_id);
        let group_info = self.member.group_info(&group);
        let request = v1::CreateGroupRequest { group_id: reserved.group_id.clone(), group_info, direct_key: Bytes::new() };
        self.connection.call(request).await;
        let mut key_packages = Vec::with_capacity(people.len());
        for some in people.chunks(CLAIMED_AT_ONCE) {
            let accounts: Vec<&Keys> = some.iter().collect();
            let claimed = self.connection.call(claim_request(&reserved.group_id, &accounts)).await;
            key_packages.extend(claimed.key_packages.into_iter().map(|claimed| claimed.key_package));
        }
        assert_eq!(key_packages.len(), people.len(), "everybody has a key package");
        let bundle = self.member.add(&mut group, &key_packages);
        self.submit(&mut group, &bundle).await;
        group
    }

    /// Submits a staged commit and goes on with it.
    pub async fn submit(&mut self, group: &mut MlsGroup, bundle: &Bundle) {
        let response = self.connection.call(bundle.request(group.group_id().as_slice())).await;
        assert!(matches!(response.outcome, Some(Outcome::Accepted(_))), "nobody else commits");
        self.member.merge(group);
    }
}

/// What a member of a group sends and sees there.
pub fn mint(group: &MlsGroup) -> Mint {
    let id = Bytes::copy_from_slice(group.group_id().as_slice());
    Mint::new(id, group.epoch().as_u64(), Scale::MESSAGE_BYTES)
}

/// Seats live devices in a group.
pub fn seat(connection: Connection, group: &MlsGroup) -> Peer {
    Peer { connection, mint: mint(group) }
}
