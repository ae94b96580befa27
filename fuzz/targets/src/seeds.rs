//! Makes the corpus: what clients, servers and members of a group really send, a few KiB a target.

use std::{fs, io, path::Path};

use bytes::Bytes;
use openmls::prelude::{LeafNodeParameters, MlsGroup, OpenMlsProvider as _};
use prost::Message as _;
use sovereign::{auth::secret, clock::Clock};
use sovereign_proto::{
    Call as _, credential, exchange,
    manifest::Body,
    mls::{Policy, Roles},
    v1::{self, Envelope, content::Kind, entry, envelope, push, request, response},
};
use tempfile::TempDir;

use crate::{
    joined,
    member::{Bundle, Member},
    people::{GROUP, ada, bob},
};

/// A directory that goes when this goes.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Writes the seeds of all targets below `directory`.
pub fn write(directory: &Path) -> io::Result<()> {
    let put = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(directory.join(target))?;
        fs::write(directory.join(target).join(name), bytes)
    };
    fs::create_dir_all(directory)?;
    fs::write(directory.join("made_at_ms"), format!("{}\n", Clock::default().now_ms()))?;
    let group = Group::new();
    for (name, bytes) in group.seeds() {
        let (target, name) = name.split_once('/').expect("a seed has a target");
        put(target, name, &bytes)?;
    }
    plain(&put)?;
    web(&put)?;
    put("client", "catching_up", &catching_up(&group.message))?;
    put("client", "refused", &joined([&b"hello"[..], &failure()]))?;
    put("session", "guest", &[&[0][..], &joined([&frame(1, v1::PingRequest { client_time_ms: 1 }.into_body())[..]])].concat())?;
    put("session", "talk", &[&[1][..], &group.talk()].concat())
}

fn plain(put: &impl Fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    put("envelope", "ping", &frame(1, v1::PingRequest { client_time_ms: 1 }.into_body()))?;
    put("envelope", "newer", &[0x08, 5, 0x12, 3, 0xa2, 0x1f, 0])?;
    let positions = vec![v1::Position { group_id: Bytes::copy_from_slice(&GROUP.0), seq: 3 }; 4];
    put("envelope", "acknowledge", &notice(v1::notice::Body::Acknowledge(v1::Acknowledge { positions })))?;
    put("exchange", "two", &exchange::join([Bytes::from_static(b"one"), Bytes::from_static(b"two")].iter()))?;
    put("secrets", "token", secret::token().as_bytes())?;
    put("secrets", "ticket", secret::ticket().as_bytes())?;
    put("secrets", "invite", secret::invite_code().as_bytes())?;
    let manifest = ada().genesis();
    put("manifest", "body", &manifest.body)?;
    put("manifest", "genesis", &manifest.encode_to_vec())?;
    let body = Body::decode(&manifest.body).expect("it was just made");
    let mut devices = body.devices.clone();
    devices.extend(Body::decode(&bob().genesis().body).expect("it was just made").devices);
    let previous = Body::hash(&manifest.body);
    put("manifest", "second", &Body { version: 2, previous, devices, ..body }.encode())?;
    put("layouts", "roles", &Roles { policy: Policy::Administered, administrators: vec![[1; 16], [2; 16]] }.encode())?;
    put("layouts", "credential", &credential::encode(&ada().account, &ada().device))?;
    let id = "jq39HYUmA1W2QXJF92PWiEvrAMZV3PeXW1GtVE3Q_Hk";
    let link = format!("https://chat.example:8443/join#v=1&c=BC2MWN0JEG9G37D3GVPQBW1W14&s={id}&p={id}");
    put("join_link", "local", link.as_bytes())?;
    put("join_link", "address", format!("https://[::1]:8443/join#v=1&s={id}").as_bytes())?;
    put("config", "usual", b"server_name = \"Family\"\nlisten = \"0.0.0.0:8443\"\nretention_days = 30\n# a comment\n")?;
    put(
        "config",
        "lists",
        b"allowed_origins = [\"https://chat.example\"]\nregistration_mode = \"invite\"\nlog_level = \"info\"\n",
    )?;
    let kind = Some(Kind::Text(v1::Text { text: "hello".to_owned() }));
    let content = v1::Content { version: 1, sender_counter: 1, seen_seq: 3, sent_at_ms: 7, kind, ..v1::Content::default() };
    put("content", "text", &content.encode_to_vec())?;
    let kind = Some(Kind::GroupProfile(v1::GroupProfile { name: "Family".to_owned(), ..v1::GroupProfile::default() }));
    put("content", "profile", &v1::Content { version: 1, kind, ..v1::Content::default() }.encode_to_vec())
}

fn web(put: &impl Fn(&str, &str, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let upgrade = "GET /v1/ws HTTP/1.1\nhost: chat.example\nconnection: Upgrade\nupgrade: websocket\nsec-websocket-version: 13\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\nsec-websocket-protocol: sovereign.v1";
    let upgrade = upgrade.replacen(" HTTP/1.1", "", 1);
    let token = secret::token();
    let by_protocol = format!("{upgrade}, sovereign.token.{}\norigin: https://chat.example", *token);
    let by_header = format!("{upgrade}\nauthorization: Bearer {}", *token);
    let by_ticket = upgrade.replacen("/v1/ws", &format!("/v1/ws?ticket={}", *secret::ticket()), 1);
    for (name, request) in [("upgrade", &upgrade), ("protocol", &by_protocol), ("header", &by_header), ("ticket", &by_ticket)] {
        put("web", name, &joined([request.as_bytes()]))?;
    }
    let open = b"POST /v1/exchange\nsovereign-received: 0\nsovereign-sent: 0\nsovereign-wait: 0\n\n";
    let say = |sent: u8, closed: &str| {
        let head = format!("POST /v1/exchange\nsovereign-session: $SESSION\nsovereign-sent: {sent}\n{closed}\n");
        [head.as_bytes(), &exchange::join([Bytes::from_static(b"hi")].iter())].concat()
    };
    let parts = [open.to_vec(), say(0, ""), say(0, ""), say(1, ""), say(2, "sovereign-closed: 1000\n"), say(3, "")];
    put("web", "exchange", &joined(parts.iter().map(Vec::as_slice)))
}

/// A group of two at epoch 1, and one of Ada alone, with everything that is said in them.
struct Group {
    bob: Member,
    new_info: Bytes,
    pair_info: Bytes,
    added: Bundle,
    renewed: Bundle,
    removed: Bundle,
    leaves: Bytes,
    updates: Bytes,
    message: Bytes,
    /// In the group of Ada alone.
    alone: (Bundle, Bytes),
}

impl Group {
    fn new() -> Self {
        // The group of the session's store goes its own way.
        let sole = Member::new(&ada());
        let mut own = sole.create(&GROUP.0);
        let new_info = sole.group_info(&own);
        let renewal = sole.update(&mut own);
        sole.merge(&mut own);
        let alone = (renewal, sole.message(&mut own, "alone").ciphertext);

        let (ada, bob) = (Member::new(&ada()), Member::new(&bob()));
        let mut group = ada.create(&GROUP.0);
        let added = ada.add(&mut group, &[bob.key_package()]);
        ada.merge(&mut group);
        let pair_info = ada.group_info(&group);
        let renewed = drop_after(&ada, &mut group, Member::update);
        let bobs = Member::leaf(&group, &crate::people::bob());
        let removed = drop_after(&ada, &mut group, |ada, group| ada.remove(group, &[bobs]));
        let mut bobs = bob.join(&added.welcome);
        let message = bob.message(&mut bobs, "hello").ciphertext;
        let (updates, _) =
            bobs.propose_self_update(&bob.provider, &bob.signer, LeafNodeParameters::default()).expect("an update is proposed");
        let updates = crate::member::wire(&updates);
        let leaves = crate::member::wire(&bobs.leave_group(&bob.provider, &bob.signer).expect("a removal is proposed"));
        Self { bob, new_info, pair_info, added, renewed, removed, leaves, updates, message, alone }
    }

    fn seeds(&self) -> Vec<(&'static str, Vec<u8>)> {
        let bundle = |bundle: &Bundle| joined([&bundle.commit[..], &bundle.welcome, &bundle.group_info]);
        vec![
            ("headers/message", self.message.to_vec()),
            ("headers/commit", self.renewed.commit.to_vec()),
            ("headers/proposal", self.leaves.to_vec()),
            ("key_package/usual", self.bob.key_package().to_vec()),
            ("key_package/last_resort", self.bob.last_resort().to_vec()),
            ("group_info/new", self.new_info.to_vec()),
            ("group_info/pair", self.pair_info.to_vec()),
            ("proposal/leave", self.leaves.to_vec()),
            ("proposal/update", self.updates.to_vec()),
            ("commit/renew", bundle(&self.renewed)),
            ("commit/remove", bundle(&self.removed)),
            ("commit/add", bundle(&self.added)),
            ("content/entries", self.entries().encode_to_vec()),
        ]
    }

    fn entries(&self) -> v1::Entries {
        let entry = |seq, body| v1::Entry { seq, time_ms: 7, body: Some(body), ..v1::Entry::default() };
        let entries = vec![
            entry(1, entry::Body::Commit(self.added.commit.clone())),
            entry(2, entry::Body::Message(self.message.clone())),
            entry(3, entry::Body::Skipped(v1::Skipped { to: 9, reason: 2, running_hash: Bytes::from_static(&[3; 32]) })),
        ];
        v1::Entries { group_id: Bytes::copy_from_slice(&GROUP.0), entries }
    }

    /// Ada in the store's group: a renewal, a message, a page of the log, a signal, an acknowledgement.
    fn talk(&self) -> Vec<u8> {
        let group_id = Bytes::copy_from_slice(&GROUP.0);
        let message = v1::OutgoingMessage {
            client_id: Bytes::from_static(&[4; 16]),
            ciphertext: self.alone.1.clone(),
            ..v1::OutgoingMessage::default()
        };
        let fetch = v1::FetchEntriesRequest { group_id: group_id.clone(), from_seq: 0, backward: false, limit: 0 };
        let signal = v1::Signal { group_id: group_id.clone(), epoch: 1, ciphertext: Bytes::from_static(&[9; 40]) };
        let positions = vec![v1::Position { group_id: group_id.clone(), seq: 1 }];
        let frames = [
            frame(1, self.alone.0.request(&GROUP.0).into_body()),
            frame(2, v1::SendMessageRequest { group_id, message: Some(message), in_order: false, anew: false }.into_body()),
            frame(3, fetch.into_body()),
            notice(v1::notice::Body::Signal(signal)),
            notice(v1::notice::Body::Acknowledge(v1::Acknowledge { positions })),
            frame(4, v1::SignOutRequest { forget_tokens: false }.into_body()),
        ];
        joined(frames.iter().map(Vec::as_slice))
    }
}

/// A commit that is made and dropped.
fn drop_after(member: &Member, group: &mut MlsGroup, make: impl FnOnce(&Member, &mut MlsGroup) -> Bundle) -> Bundle {
    let bundle = make(member, group);
    group.clear_pending_commit(member.provider.storage()).expect("a staged commit can be dropped");
    bundle
}

/// A server that answers the sign-in and lets its client catch up.
fn catching_up(message: &Bytes) -> Vec<u8> {
    let session = v1::Session {
        account_id: Bytes::copy_from_slice(&ada().account),
        device_id: Bytes::copy_from_slice(&ada().device),
        username: "ada".to_owned(),
        ..v1::Session::default()
    };
    let body = Some(response::Body::SignIn(v1::SignInResponse { session: Some(session) }));
    let signed_in = Envelope { request_id: 1, body: Some(envelope::Body::Response(v1::Response { body })) }.encode_to_vec();
    let entry = v1::Entry { seq: 1, body: Some(entry::Body::Message(message.clone())), ..v1::Entry::default() };
    let entries = v1::Entries { group_id: Bytes::copy_from_slice(&GROUP.0), entries: vec![entry] };
    let said = |body| Envelope { request_id: 0, body: Some(envelope::Body::Push(v1::Push { body: Some(body) })) }.encode_to_vec();
    let closing = v1::Closing { code: 1012, ..v1::Closing::default() };
    let frames =
        [signed_in, said(push::Body::Entries(entries)), said(push::Body::Live(v1::Live {})), said(push::Body::Closing(closing))];
    joined([&b"hello"[..]].into_iter().chain(frames.iter().map(Vec::as_slice)))
}

fn failure() -> Vec<u8> {
    let failure = v1::Failure { code: 3, message: "no".to_owned(), ..v1::Failure::default() };
    Envelope { request_id: 1, body: Some(envelope::Body::Failure(failure)) }.encode_to_vec()
}

fn frame(request_id: u64, body: request::Body) -> Vec<u8> {
    Envelope { request_id, body: Some(envelope::Body::Request(v1::Request { body: Some(body) })) }.encode_to_vec()
}

fn notice(body: v1::notice::Body) -> Vec<u8> {
    Envelope { request_id: 0, body: Some(envelope::Body::Notice(v1::Notice { body: Some(body) })) }.encode_to_vec()
}
