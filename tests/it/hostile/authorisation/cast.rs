//! Everybody who asks, what they have of their own, and what they would like to have of Ada's.

use std::collections::HashMap;

use bytes::Bytes;
use openmls::prelude::{MlsGroup, OpenMlsProvider as _};
use sovereign_proto::{
    signed::{PURPOSE_CHANGE_PASSWORD, PURPOSE_ISSUE_TOKEN},
    v1::{self, Manifest, PresenceState, RelationChange},
};

use crate::{
    harness::{
        Member, Raw, TestServer,
        control::Control,
        raw::Keys,
        scene::{Person, relate},
    },
    requests::sign_in_with_password::enrol,
};

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Connected, and nobody yet.
    Guest,
    /// A device of Bob's that knows the password and was not approved.
    Pending,
    /// Whose account the operator has disabled.
    Disabled,
    /// A device that Bob has struck from his manifest.
    Revoked,
    /// On the control socket.
    Operator,
    /// Bob, who is in a group with Ada.
    Member,
    /// Carol, who was.
    Former,
    /// Dave, who never was.
    Stranger,
    /// Eve, whom Ada has blocked.
    Blocked,
    /// Frank, an administrator, who is a stranger all the same.
    Administrator,
}

impl Role {
    /// In the order of the table's columns.
    pub const ALL: [Self; 10] = [
        Self::Guest,
        Self::Pending,
        Self::Disabled,
        Self::Revoked,
        Self::Operator,
        Self::Member,
        Self::Former,
        Self::Stranger,
        Self::Blocked,
        Self::Administrator,
    ];

    /// Whose things are its own: those without any of their own go by Bob's.
    pub fn part(self) -> Self {
        match self {
            Self::Guest | Self::Pending | Self::Disabled | Self::Revoked | Self::Operator => Self::Member,
            other => other,
        }
    }
}

/// Whose the thing is that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Own,
    /// Ada's.
    Others,
    /// As Ada's but for one bit: it does not exist.
    Nobodys,
}

impl Whose {
    pub const ALL: [Self; 3] = [Self::Own, Self::Others, Self::Nobodys];
}

/// A person with a device, a group of its own with nobody else in it, and what further requests need.
pub struct Part {
    pub person: Person,
    pub username: &'static str,
    pub password: String,
    pub group: MlsGroup,
    /// A group id that nothing was created under.
    pub reserved: Bytes,
    pub manifest: Manifest,
    /// A session token that was not used.
    pub token: String,
}

/// The whole company.
pub struct Cast {
    pub server: TestServer,
    pub operator: Control,
    pub ada: Part,
    pub parts: HashMap<Role, Part>,
    /// Nina, who has nothing against anybody.
    pub nina: Person,
    /// Ada's and Bob's group, as each of them holds it.
    pub common: MlsGroup,
    pub bobs_common: MlsGroup,
    /// A group that Ada has made and the server knows nothing of; its id is that of `common` but for one bit.
    pub nowhere: MlsGroup,
    pub pending: Raw,
    pub revoked: Keys,
    pub disabled: Keys,
    /// Good for further people.
    pub invite_code: String,
    /// The id of an invite.
    pub invite: String,
    /// Ada's live session.
    pub session: u64,
}

/// Another one of what exists, which does not exist.
pub fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    *bytes.last_mut().expect("an id has bytes") ^= 1;
    bytes
}

impl Part {
    async fn new(server: &TestServer, username: &'static str) -> Self {
        let person = Person::new(server, username).await;
        Self::of(person, username).await
    }

    async fn of(mut person: Person, username: &'static str) -> Self {
        let group = person.create_group().await;
        let reserved = person.raw.call(v1::ReserveGroupRequest {}).await.expect("an id").group_id;
        let proof = Some(person.keys.proof(&person.raw.hello, person.keys.account, PURPOSE_ISSUE_TOKEN));
        let request = v1::IssueTokenRequest { token: String::new(), proof };
        let token = person.raw.call(request).await.expect("a token").token;
        let manifest = person.keys.genesis();
        Self { person, username, password: String::new(), group, reserved, manifest, token }
    }

    /// The `GroupInfo` of a new group under this id.
    pub fn epoch_zero(&self, group_id: &[u8]) -> Bytes {
        let member = Member::new(&self.person.keys);
        member.group_info(&member.create(group_id))
    }

    async fn set_password(&mut self, new: &str) {
        let (keys, hello) = (&self.person.keys, &self.person.raw.hello);
        let proof = Some(keys.proof(hello, keys.account, PURPOSE_CHANGE_PASSWORD));
        let request = v1::ChangePasswordRequest { old_password: self.password.clone(), new_password: new.to_owned(), proof };
        self.person.raw.call(request).await.expect("a password is set");
        new.clone_into(&mut self.password);
    }

    /// A further device that knows the password.
    async fn further_device(&self, server: &TestServer) -> (Raw, Keys) {
        let (mut raw, keys) = (Raw::connect(server).await, self.person.keys.further_device());
        let request = enrol(&raw, &keys, self.username, &self.password);
        raw.call(request).await.expect("enrolled");
        (raw, keys)
    }

    async fn publish(&mut self, devices: &[&Keys]) {
        let manifest = self.person.keys.next_manifest(&self.manifest, devices);
        let request = v1::PublishManifestRequest { manifest: Some(manifest.clone()) };
        self.person.raw.call(request).await.expect("published");
        self.manifest = manifest;
    }
}

impl Cast {
    pub async fn assemble() -> Self {
        let server = TestServer::start().await;
        let mut operator = Control::connect(&server).await;
        let (mut ada, mut bob) = (Part::new(&server, "ada").await, Part::new(&server, "bob").await);
        let (mut carol, dave) = (Part::new(&server, "carol").await, Part::new(&server, "dave").await);
        let eve = Part::new(&server, "eve").await;
        let frank = administrator(&server, &mut operator, "frank").await;
        let mut nina = Person::new(&server, "nina").await;
        nina.publish(60).await;

        let mut common = ada.person.create_group().await;
        ada.person.add(&mut common, &[&bob.person.keys]).await;
        let mut bobs_common = bob.person.join().await;
        bob.person.accept(&common).await;
        ada.person.raw.show(PresenceState::Online).await;
        ada.person.add(&mut common, &[&carol.person.keys]).await;
        let _carols = carol.person.join().await;
        ada.person.send(&mut common, "hello").await;
        let leaf = Member::leaf(&common, &carol.person.keys);
        let bundle = ada.person.member.remove(&mut common, &[leaf]);
        ada.person.submit(&mut common, &bundle).await;
        follow(&mut bob.person, &mut bobs_common, common.epoch().as_u64()).await;
        relate(&mut ada.person, &eve.person.keys, RelationChange::Block).await;
        let nowhere = ada.person.member.create(&flipped(common.group_id().as_slice()));

        bob.set_password("a password of Bob's").await;
        let (_revoked_raw, revoked) = bob.further_device(&server).await;
        let own = bob.person.keys.clone();
        bob.publish(&[&own, &revoked]).await;
        bob.publish(&[&own]).await;
        let (pending, _) = bob.further_device(&server).await;

        let (_gone, disabled) = Raw::sign_up(&server, "dora").await;
        operator.call(v1::SetAccountEnabledRequest { username: "dora".into(), enabled: false }).await.expect("disabled");
        let session = session(&mut operator, "ada").await;
        let invite_code = server.invite_code().await;
        let invite = operator.call(v1::ListInvitesRequest {}).await.expect("the list").invites[0].id.clone();

        let parts = vec![
            (Role::Member, bob),
            (Role::Former, carol),
            (Role::Stranger, dave),
            (Role::Blocked, eve),
            (Role::Administrator, frank),
        ];
        let parts = parts.into_iter().collect();
        Self {
            server,
            operator,
            ada,
            parts,
            nina,
            common,
            bobs_common,
            nowhere,
            pending,
            revoked,
            disabled,
            invite_code,
            invite,
            session,
        }
    }

    /// The person whose things are the role's own.
    pub fn part(&mut self, role: Role) -> &mut Part {
        self.parts.get_mut(&role.part()).expect("everybody has a part")
    }

    /// The id of the account that is asked about.
    pub fn account(&mut self, role: Role, whose: Whose) -> Bytes {
        let ada = self.ada.person.keys.account;
        match whose {
            Whose::Own => Bytes::copy_from_slice(&self.part(role).person.keys.account),
            Whose::Others => Bytes::copy_from_slice(&ada),
            Whose::Nobodys => flipped(&ada).into(),
        }
    }

    /// The name that is asked about.
    pub fn username(&mut self, role: Role, whose: Whose) -> String {
        match whose {
            Whose::Own => self.part(role).username.to_owned(),
            Whose::Others => "ada".to_owned(),
            Whose::Nobodys => "adb".to_owned(),
        }
    }

    /// The group that is asked about, and whoever can say something in it that is in order.
    pub fn group(&mut self, role: Role, whose: Whose) -> (&Member, &mut MlsGroup) {
        match whose {
            Whose::Own => {
                let part = self.part(role);
                (&part.person.member, &mut part.group)
            }
            Whose::Others if role == Role::Member => {
                let bob = self.parts.get(&Role::Member).expect("everybody has a part");
                (&bob.person.member, &mut self.bobs_common)
            }
            Whose::Others => (&self.ada.person.member, &mut self.common),
            Whose::Nobodys => (&self.ada.person.member, &mut self.nowhere),
        }
    }

    /// Adopts the commit that was asked to be taken, or drops it, with whatever else is not decided.
    pub fn settle(&mut self, role: Role, whose: Whose, taken: bool) {
        let (member, group) = self.group(role, whose);
        if taken {
            member.merge(group);
        }
        group.clear_pending_commit(member.provider.storage()).expect("the staged commit is dropped");
        group.clear_pending_proposals(member.provider.storage()).expect("so are the proposals");
    }
}

/// An account that may administer the server.
async fn administrator(server: &TestServer, operator: &mut Control, username: &'static str) -> Part {
    let request = v1::CreateInviteRequest { uses: 1, expires_in_seconds: 3600, administrator: true };
    let code = operator.call(request).await.expect("an invite").code;
    let (mut raw, keys) = (Raw::connect(server).await, Keys::new());
    let request = raw.sign_up_request(&keys, username, &code);
    let session = raw.call(request).await.expect("signed up").session.expect("a session");
    assert!(session.administrator);
    raw.until_live().await;
    let member = Member::new(&keys);
    Part::of(Person { raw, keys, member }, username).await
}

/// The live session of somebody.
async fn session(operator: &mut Control, username: &str) -> u64 {
    let request = v1::ListSessionsRequest { username: username.to_owned(), ..v1::ListSessionsRequest::default() };
    operator.call(request).await.expect("the list").sessions[0].id
}

/// Applies what comes up to an epoch.
async fn follow(person: &mut Person, group: &mut MlsGroup, epoch: u64) {
    let id = group.group_id().to_vec();
    while group.epoch().as_u64() < epoch {
        for entry in person.raw.entries(&id).await {
            person.member.apply(group, &entry);
        }
    }
}
