//! The usual openings: a person with key packages, a group of some.

use bytes::Bytes;
use openmls::prelude::{MlsGroup, OpenMlsProvider as _};
use sovereign::entropy;
use sovereign_proto::v1::{self, entry::Body, submit_commit_response::Outcome};

use super::{Member, Raw, TestServer, member::Bundle, raw::Keys};

/// A device with its connection and its MLS side.
pub struct Person {
    pub raw: Raw,
    pub keys: Keys,
    pub member: Member,
}

/// A person in a group.
pub struct Seat {
    pub person: Person,
    pub group: MlsGroup,
}

impl Person {
    /// Signs up, publishes ten key packages and waits for `Live`.
    pub async fn new(server: &TestServer, username: &str) -> Self {
        let (mut raw, keys) = Raw::sign_up(server, username).await;
        raw.until_live().await;
        let member = Member::new(&keys);
        let mut person = Self { raw, keys, member };
        person.publish(10).await;
        person
    }

    /// Publishes fresh key packages.
    pub async fn publish(&mut self, count: usize) {
        let key_packages = (0..count).map(|_| self.member.key_package()).collect();
        let request = v1::PublishKeyPackagesRequest { key_packages, last_resort: Bytes::new(), replace: false };
        self.raw.call(request).await.unwrap_or_else(|failure| panic!("key packages refused: {}", failure.message));
    }

    /// Creates a group at epoch 0.
    pub async fn create_group(&mut self) -> MlsGroup {
        let reserved = self.raw.call(v1::ReserveGroupRequest {}).await.unwrap_or_else(|failure| panic!("{}", failure.message));
        let group = self.member.create(&reserved.group_id);
        let group_info = self.member.group_info(&group);
        let request = v1::CreateGroupRequest { group_id: reserved.group_id, group_info, direct_key: Bytes::new() };
        self.raw.call(request).await.unwrap_or_else(|failure| panic!("the group is refused: {}", failure.message));
        group
    }

    /// Claims a key package of every device of these accounts for a group.
    pub async fn claim(&mut self, group: &MlsGroup, accounts: &[&Keys]) -> Vec<Bytes> {
        let request = claim_request(group.group_id().as_slice(), accounts);
        let response = self.raw.call(request).await.unwrap_or_else(|failure| panic!("the claim is refused: {}", failure.message));
        response.key_packages.into_iter().map(|claimed| claimed.key_package).collect()
    }

    /// Submits a staged commit and adopts it; its seq.
    pub async fn submit(&mut self, group: &mut MlsGroup, bundle: &Bundle) -> u64 {
        let accepted = self.try_submit(group, bundle).await;
        let Some(Outcome::Accepted(accepted)) = accepted else { panic!("the commit lost a race") };
        self.member.merge(group);
        accepted.seq
    }

    /// Submits a staged commit.
    pub async fn try_submit(&mut self, group: &MlsGroup, bundle: &Bundle) -> Option<Outcome> {
        let request = bundle.request(group.group_id().as_slice());
        self.raw.call(request).await.unwrap_or_else(|failure| panic!("the commit is refused: {}", failure.message)).outcome
    }

    /// Adds these people to the group.
    pub async fn add(&mut self, group: &mut MlsGroup, accounts: &[&Keys]) -> u64 {
        let key_packages = self.claim(group, accounts).await;
        let bundle = self.member.add(group, &key_packages);
        self.submit(group, &bundle).await
    }

    /// Waits for a Welcome, joins and acknowledges it: the window is open then.
    pub async fn join(&mut self) -> MlsGroup {
        let (seq, welcome) = self.welcome().await;
        let group = self.member.join(&welcome.welcome);
        self.raw.acknowledge(&[], seq).await;
        // Nothing more is read of a connection before its acknowledgement of a Welcome is durable.
        let ping = self.raw.call(v1::PingRequest { client_time_ms: 0 }).await;
        ping.unwrap_or_else(|failure| panic!("no pong: {}", failure.message));
        group
    }

    /// Waits for a Welcome on the device's own log.
    pub async fn welcome(&mut self) -> (u64, v1::WelcomeEntry) {
        loop {
            for entry in self.raw.entries(&[]).await {
                if let Some(Body::Welcome(welcome)) = entry.body {
                    return (entry.seq, welcome);
                }
            }
        }
    }

    /// Sends a message; its answer.
    pub async fn send(&mut self, group: &mut MlsGroup, text: &str) -> v1::SendMessageResponse {
        let message = self.member.message(group, text);
        let request = send_request(group.group_id().as_slice(), message);
        self.raw.call(request).await.unwrap_or_else(|failure| panic!("the message is refused: {}", failure.message))
    }

    /// Applies and acknowledges what comes in this group up to the next text. What came together with it waits for the next
    /// call.
    pub async fn next_text(&mut self, group: &mut MlsGroup) -> String {
        let id = group.group_id().to_vec();
        loop {
            let mut entries = self.raw.entries(&id).await;
            let texts = entries.iter().map(|entry| self.member.apply(group, entry));
            let found = texts.enumerate().find_map(|(at, text)| Some((at, text?)));
            let rest = entries.split_off(found.as_ref().map_or(entries.len(), |(at, _)| at + 1));
            self.raw.acknowledge(&id, entries.last().map_or(0, |entry| entry.seq)).await;
            if !rest.is_empty() {
                self.raw.leave(&id, rest);
            }
            if let Some((_, text)) = found {
                return text;
            }
        }
    }
}

impl Seat {
    /// Drops the commit that was staged last.
    pub fn clear(&mut self) {
        self.group.clear_pending_commit(self.person.member.provider.storage()).expect("the staged commit is dropped");
    }
}

/// A claim of one key package for every device of these accounts.
pub fn claim_request(group_id: &[u8], accounts: &[&Keys]) -> v1::ClaimKeyPackagesRequest {
    v1::ClaimKeyPackagesRequest {
        group_id: Bytes::copy_from_slice(group_id),
        account_ids: accounts.iter().map(|keys| Bytes::copy_from_slice(&keys.account)).collect(),
        claim_id: Bytes::copy_from_slice(&entropy::random::<16>()),
        device_ids: Vec::new(),
    }
}

/// A change of the own side of a relation.
pub fn set_relation(other: &Keys, change: v1::RelationChange) -> v1::SetRelationRequest {
    let target = v1::set_relation_request::Target::AccountId(Bytes::copy_from_slice(&other.account));
    v1::SetRelationRequest { target: Some(target), change: change.into() }
}

/// Changes the own side of a relation; what it is then.
pub async fn relate(person: &mut Person, other: &Keys, change: v1::RelationChange) -> v1::Relation {
    let answer = person.raw.call(set_relation(other, change)).await;
    answer.unwrap_or_else(|failure| panic!("the relation is refused: {}", failure.message)).relation()
}

/// A message as a request.
pub fn send_request(group_id: &[u8], message: v1::OutgoingMessage) -> v1::SendMessageRequest {
    v1::SendMessageRequest { group_id: Bytes::copy_from_slice(group_id), message: Some(message), in_order: false, anew: false }
}

/// Ada and Bob in a group of two, both live.
pub async fn pair(server: &TestServer) -> (Seat, Seat) {
    let (mut ada, mut bob) = (Person::new(server, "ada").await, Person::new(server, "bob").await);
    let mut group = ada.create_group().await;
    ada.add(&mut group, &[&bob.keys]).await;
    let bobs = bob.join().await;
    (Seat { person: ada, group }, Seat { person: bob, group: bobs })
}
