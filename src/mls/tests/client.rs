//! A device with its secrets, and a server that follows its groups.

use openmls::{
    group::{
        CommitBuilder, CommitMessageBundle, Initial, MlsGroup, MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY,
        StagedWelcome,
    },
    prelude::{
        BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, Extension, ExtensionType, Extensions, GroupContext,
        KeyPackage, KeyPackageBuilder, LeafNodeIndex, Lifetime, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
        OpenMlsProvider as _, ProposalType, RequiredCapabilitiesExtension, UnknownExtension,
        tls_codec::{Deserialize as _, Serialize as _},
    },
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use sovereign_proto::{
    credential,
    mls::{KEY_PACKAGE_LIFETIME_SECONDS, ROLES_EXTENSION, Roles},
};

use crate::{
    clock::Clock,
    ids::{AccountId, DeviceId, GroupId, Leaf},
    mls::{CommitChecked, CommitInput, PublicState, Refused, SUITE, check_commit, check_new_group},
};

pub(super) const GROUP: GroupId = GroupId([7; 32]);

/// A device with its secrets.
pub(super) struct Client {
    pub(super) leaf: Leaf,
    pub(super) provider: OpenMlsRustCrypto,
    pub(super) signer: SignatureKeyPair,
    pub(super) suite: Ciphersuite,
    /// What it can propose beside RFC 9420's own types.
    pub(super) proposals: Vec<ProposalType>,
}

/// A commit with what goes with it.
#[derive(Clone)]
pub(super) struct Bundle {
    pub(super) commit: Vec<u8>,
    pub(super) welcome: Vec<u8>,
    pub(super) group_info: Vec<u8>,
}

pub(super) fn now_ms() -> u64 {
    Clock::default().now_ms()
}

pub(super) fn bytes(message: &MlsMessageOut) -> Vec<u8> {
    message.tls_serialize_detached().expect("openmls encodes what it made")
}

pub(super) fn body(bytes: &[u8]) -> MlsMessageBodyIn {
    MlsMessageIn::tls_deserialize_exact(bytes).expect("openmls decodes what it made").extract()
}

/// A context's extensions: what every group requires, and roles.
pub(super) fn context(roles: Option<&Roles>) -> Extensions<GroupContext> {
    let kind = ExtensionType::from(ROLES_EXTENSION);
    let required = Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(&[kind], &[], &[]));
    let roles = roles.map(|roles| Extension::Unknown(ROLES_EXTENSION, UnknownExtension(roles.encode())));
    Extensions::from_vec(std::iter::once(required).chain(roles).collect()).expect("both belong in a context")
}

pub(super) fn lifetime() -> Lifetime {
    let now = now_ms() / 1000;
    Lifetime::init(now - 3600, now + KEY_PACKAGE_LIFETIME_SECONDS)
}

impl Client {
    pub(super) fn new(account: u8, device: u8) -> Self {
        Self::of(Leaf { account_id: AccountId([account; 16]), device_id: DeviceId([device; 16]) })
    }

    /// The `n`th of many: an account of its own.
    pub(super) fn numbered(n: u16) -> Self {
        let id: Vec<u8> = n.to_be_bytes().into_iter().cycle().take(16).collect();
        let id: [u8; 16] = id.try_into().expect("16 were taken");
        Self::of(Leaf { account_id: AccountId(id), device_id: DeviceId(id) })
    }

    fn of(leaf: Leaf) -> Self {
        let signer = SignatureKeyPair::new(SUITE.signature_algorithm()).expect("keys can be made");
        Self { leaf, provider: OpenMlsRustCrypto::default(), signer, suite: SUITE, proposals: vec![ProposalType::SelfRemove] }
    }

    pub(super) fn key(&self) -> [u8; 32] {
        self.signer.public().try_into().expect("an Ed25519 key has 32 bytes")
    }

    pub(super) fn credential(&self) -> CredentialWithKey {
        let identity = credential::encode(self.leaf.account_id.as_bytes(), self.leaf.device_id.as_bytes());
        CredentialWithKey {
            credential: BasicCredential::new(identity.to_vec()).into(),
            signature_key: self.signer.public().into(),
        }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities::builder()
            .ciphersuites(vec![self.suite])
            .extensions(vec![ExtensionType::from(ROLES_EXTENSION), ExtensionType::LastResort])
            .proposals(self.proposals.clone())
            .build()
    }

    pub(super) fn package(&self) -> KeyPackage {
        self.package_with(|builder| builder)
    }

    pub(super) fn package_with(&self, with: impl FnOnce(KeyPackageBuilder) -> KeyPackageBuilder) -> KeyPackage {
        with(KeyPackage::builder().key_package_lifetime(lifetime()).leaf_node_capabilities(self.capabilities()))
            .build(self.suite, &self.provider, &self.signer, self.credential())
            .expect("a key package can be made")
            .into_key_package()
    }

    pub(super) fn create(&self, roles: Option<&Roles>) -> MlsGroup {
        self.create_with(GROUP, context(roles), lifetime())
    }

    pub(super) fn create_with(&self, id: GroupId, context: Extensions<GroupContext>, lifetime: Lifetime) -> MlsGroup {
        MlsGroup::builder()
            .with_group_id(openmls::group::GroupId::from_slice(id.as_bytes()))
            .ciphersuite(self.suite)
            .with_wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .lifetime(lifetime)
            .with_capabilities(self.capabilities())
            .with_group_context_extensions(context)
            .build(&self.provider, &self.signer, self.credential())
            .expect("a group can be made")
    }

    pub(super) fn group_info(&self, group: &MlsGroup) -> Vec<u8> {
        bytes(&group.export_group_info(self.provider.crypto(), &self.signer, true).expect("a GroupInfo can be made"))
    }

    /// Stages a commit; [`MlsGroup::merge_pending_commit`] or [`MlsGroup::clear_pending_commit`] follows.
    pub(super) fn commit(
        &self,
        group: &mut MlsGroup,
        with: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
    ) -> Bundle {
        let bundle = with(group.commit_builder())
            .load_psks(self.provider.storage())
            .expect("no pre-shared key is missing")
            .use_ratchet_tree_extension(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("the commit can be built")
            .stage_commit(&self.provider)
            .expect("the commit can be staged");
        Bundle::of(bundle)
    }

    /// The same as [`Self::commit`], merged at once.
    pub(super) fn commit_now(
        &self,
        group: &mut MlsGroup,
        with: impl for<'a> FnOnce(CommitBuilder<'a, Initial>) -> CommitBuilder<'a, Initial>,
    ) -> Bundle {
        let bundle = self.commit(group, with);
        group.merge_pending_commit(&self.provider).expect("an own commit merges");
        bundle
    }

    pub(super) fn join(&self, welcome: &[u8]) -> MlsGroup {
        let MlsMessageBodyIn::Welcome(welcome) = body(welcome) else { panic!("a Welcome") };
        StagedWelcome::build_from_welcome(&self.provider, &join_config(), welcome)
            .expect("the Welcome is for this device")
            .build()
            .expect("the Welcome is good")
            .into_group(&self.provider)
            .expect("the group can be joined")
    }

    /// Joins by an external commit, which removes an own old leaf if there is one.
    pub(super) fn join_externally(&self, group_info: &[u8]) -> (MlsGroup, Bundle) {
        let MlsMessageBodyIn::GroupInfo(info) = body(group_info) else { panic!("a GroupInfo") };
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_config(join_config())
            .build_group(&self.provider, info, self.credential())
            .expect("the GroupInfo is good")
            .leaf_node_parameters(openmls::prelude::LeafNodeParameters::builder().with_capabilities(self.capabilities()).build())
            .load_psks(self.provider.storage())
            .expect("no pre-shared key is missing")
            .use_ratchet_tree_extension(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("the commit can be built")
            .finalize(&self.provider)
            .expect("the group can be joined");
        (group, Bundle::of(bundle))
    }

    pub(super) fn input<'a>(&self, key: &'a [u8; 32], bundle: &'a Bundle) -> CommitInput<'a> {
        CommitInput {
            group: GROUP,
            committer: self.leaf,
            device_key: key,
            commit: &bundle.commit,
            welcome: &bundle.welcome,
            group_info: &bundle.group_info,
            removals: &[],
        }
    }

    pub(super) fn check(&self, server: &PublicState, bundle: &Bundle) -> Result<CommitChecked, Refused> {
        check_commit(server, &self.input(&self.key(), bundle), now_ms())
    }

    pub(super) fn refusal(&self, server: &PublicState, bundle: &Bundle) -> Refused {
        match self.check(server, bundle) {
            Ok(_) => panic!("the commit should have been refused"),
            Err(refused) => refused,
        }
    }
}

impl Bundle {
    pub(super) fn of(bundle: CommitMessageBundle) -> Self {
        let (commit, welcome, group_info) = bundle.into_messages();
        Self {
            commit: bytes(&commit),
            welcome: welcome.as_ref().map(bytes).unwrap_or_default(),
            group_info: bytes(&group_info.expect("a GroupInfo was asked for")),
        }
    }
}

pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder().wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY).use_ratchet_tree_extension(true).build()
}

/// A group of one as the server takes it.
pub(super) fn found(creator: &Client, roles: Option<&Roles>) -> (MlsGroup, PublicState) {
    let group = creator.create(roles);
    let info = creator.group_info(&group);
    let server = check_new_group(GROUP, creator.leaf, &creator.key(), &info).expect("the group is good");
    (group, server)
}

/// The server takes a commit; whom it added and removed. What is kept of it rebuilds the same state.
pub(super) fn take(server: &mut PublicState, committer: &Client, bundle: &Bundle) -> (Vec<Leaf>, Vec<Leaf>) {
    let checked = committer.check(server, bundle).expect("the commit is good");
    assert_eq!(checked.from_epoch, server.epoch());
    server.advance(checked.next).expect("the commit was checked against this state");
    let reloaded = PublicState::load(&bundle.group_info, &[]).expect("what was accepted can be loaded");
    assert_eq!((reloaded.epoch(), reloaded.members()), (server.epoch(), server.members()));
    assert_eq!(reloaded.group.group_context(), server.group.group_context());
    (checked.added.iter().map(|added| added.leaf).collect(), checked.removed)
}

/// A group of `clients`, the first of whom made it and added the others.
pub(super) fn group_of(clients: &[&Client], roles: Option<&Roles>) -> (Vec<MlsGroup>, PublicState, Bundle) {
    let (creator, others) = clients.split_first().expect("a group has a creator");
    let (mut group, mut server) = found(creator, roles);
    let packages: Vec<_> = others.iter().map(|client| client.package()).collect();
    let bundle = creator.commit_now(&mut group, |commit| commit.propose_adds(packages));
    take(&mut server, creator, &bundle);
    let mut groups = vec![group];
    groups.extend(others.iter().map(|client| client.join(&bundle.welcome)));
    (groups, server, bundle)
}

/// A member processes what the server has accepted.
pub(super) fn receive(client: &Client, group: &mut MlsGroup, message: &[u8]) {
    use openmls::prelude::ProcessedMessageContent;
    let message = MlsMessageIn::tls_deserialize_exact(message).expect("it was accepted");
    let message = message.try_into_protocol_message().expect("it is a handshake message");
    let processed = group.process_message(&client.provider, message).expect("members take what the server took");
    match processed.into_content() {
        ProcessedMessageContent::StagedCommitMessage(staged) => {
            group.merge_staged_commit(&client.provider, *staged).expect("it merges");
        }
        ProcessedMessageContent::ProposalMessage(queued) => {
            group.store_pending_proposal(client.provider.storage(), *queued).expect("it is kept");
        }
        _ => panic!("a handshake message"),
    }
}

pub(super) fn index(n: u32) -> LeafNodeIndex {
    LeafNodeIndex::new(n)
}
