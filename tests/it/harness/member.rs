//! A member of groups made of openmls and a raw connection, without the project's own client: a second opinion on every
//! byte, and a hand that can do wrong.

use bytes::Bytes;
use openmls::prelude::{
    tls_codec::{Deserialize as _, Serialize as _},
    *,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use sovereign::entropy;
use sovereign_proto::{
    credential,
    mls::{KEY_PACKAGE_LIFETIME_SECONDS, Policy, ROLES_EXTENSION, Roles},
    v1::{self, OutgoingMessage},
};

use super::raw::Keys;

/// The suite of all groups here.
pub const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// The MLS side of a device.
pub struct Member {
    /// Storage in memory.
    pub provider: OpenMlsRustCrypto,
    /// The device key.
    pub signer: SignatureKeyPair,
    /// Basic, `account || device`.
    pub credential: CredentialWithKey,
    /// Whose it is.
    #[allow(dead_code, reason = "the benches ask for it")]
    pub keys: Keys,
}

/// What `SubmitCommit` takes, still apart.
pub struct Bundle {
    pub commit: Bytes,
    pub welcome: Bytes,
    pub group_info: Bytes,
}

impl Bundle {
    /// The request of it.
    pub fn request(&self, group_id: &[u8]) -> v1::SubmitCommitRequest {
        v1::SubmitCommitRequest {
            group_id: Bytes::copy_from_slice(group_id),
            commit: self.commit.clone(),
            welcome: self.welcome.clone(),
            group_info: self.group_info.clone(),
            messages: Vec::new(),
        }
    }
}

impl Member {
    /// The member that a device's keys make.
    pub fn new(keys: &Keys) -> Self {
        let public = keys.key.verifying_key().to_bytes().to_vec();
        let signer = SignatureKeyPair::from_raw(SignatureScheme::ED25519, keys.key.to_bytes().to_vec(), public.clone());
        let identity = credential::encode(&keys.account, &keys.device).to_vec();
        let credential = CredentialWithKey { credential: BasicCredential::new(identity).into(), signature_key: public.into() };
        Self { provider: OpenMlsRustCrypto::default(), signer, credential, keys: keys.clone() }
    }

    fn capabilities() -> Capabilities {
        let extensions = vec![ExtensionType::Unknown(ROLES_EXTENSION), ExtensionType::LastResort];
        Capabilities::builder().extensions(extensions).build()
    }

    /// A key package as it is published.
    pub fn key_package(&self) -> Bytes {
        self.key_package_with(Lifetime::new(KEY_PACKAGE_LIFETIME_SECONDS))
    }

    /// The same with a lifetime of one's own.
    pub fn key_package_with(&self, lifetime: Lifetime) -> Bytes {
        self.build(KeyPackage::builder().key_package_lifetime(lifetime))
    }

    /// A last-resort one.
    #[allow(dead_code, reason = "the benches need none")]
    pub fn last_resort(&self) -> Bytes {
        let lifetime = Lifetime::new(KEY_PACKAGE_LIFETIME_SECONDS);
        self.build(KeyPackage::builder().key_package_lifetime(lifetime).mark_as_last_resort())
    }

    fn build(&self, builder: KeyPackageBuilder) -> Bytes {
        let bundle = builder
            .leaf_node_capabilities(Self::capabilities())
            .build(SUITE, &self.provider, &self.signer, self.credential.clone())
            .expect("a key package");
        wire(&MlsMessageOut::from(bundle.key_package().clone()))
    }

    /// A group at epoch 0 with the equal policy.
    pub fn create(&self, group_id: &[u8]) -> MlsGroup {
        self.create_with(group_id, &Roles { policy: Policy::Equal, administrators: Vec::new() })
    }

    /// A group at epoch 0.
    pub fn create_with(&self, group_id: &[u8], roles: &Roles) -> MlsGroup {
        let required = RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROLES_EXTENSION)], &[], &[]);
        let roles = Extension::Unknown(ROLES_EXTENSION, UnknownExtension(roles.encode()));
        let extensions =
            Extensions::from_vec(vec![Extension::RequiredCapabilities(required), roles]).expect("distinct extensions");
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(SUITE)
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .capabilities(Self::capabilities())
            .with_group_context_extensions(extensions)
            .build();
        MlsGroup::new_with_group_id(&self.provider, &self.signer, &config, GroupId::from_slice(group_id), self.credential.clone())
            .expect("a group")
    }

    /// The group's current `GroupInfo` with its tree.
    pub fn group_info(&self, group: &MlsGroup) -> Bytes {
        wire(&group.export_group_info(self.provider.crypto(), &self.signer, true).expect("a GroupInfo"))
    }

    /// Stages a commit that adds the owners of these key packages.
    pub fn add(&self, group: &mut MlsGroup, key_packages: &[Bytes]) -> Bundle {
        let key_packages = key_packages.iter().map(|bytes| self.read_key_package(bytes));
        let builder = group.commit_builder().propose_adds(key_packages);
        Self::stage(self, builder)
    }

    /// Stages a commit that removes these leaves.
    pub fn remove(&self, group: &mut MlsGroup, leaves: &[LeafNodeIndex]) -> Bundle {
        let builder = group.commit_builder().propose_removals(leaves.iter().copied());
        Self::stage(self, builder)
    }

    /// Stages a commit that only renews this member's own path.
    pub fn update(&self, group: &mut MlsGroup) -> Bundle {
        let builder = group.commit_builder().force_self_update(true);
        Self::stage(self, builder)
    }

    /// Stages a commit of the proposals that are pending.
    pub fn commit_pending(&self, group: &mut MlsGroup) -> Bundle {
        let builder = group.commit_builder();
        Self::stage(self, builder)
    }

    fn stage(&self, builder: CommitBuilder<'_, Initial>) -> Bundle {
        let bundle = builder
            .load_psks(self.provider.storage())
            .expect("no pre-shared keys")
            .create_group_info(true)
            .use_ratchet_tree_extension(true)
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("a commit")
            .stage_commit(&self.provider)
            .expect("the commit is staged");
        let (commit, welcome, group_info) = bundle.into_messages();
        Bundle {
            commit: wire(&commit),
            welcome: welcome.map(|welcome| wire(&welcome)).unwrap_or_default(),
            group_info: group_info.map(|info| wire(&info)).unwrap_or_default(),
        }
    }

    /// Joins by an external commit (RFC 9420, section 12.4.3.2); adopts it at once.
    pub fn join_externally(&self, group_info: &[u8]) -> (MlsGroup, Bundle) {
        let message = MlsMessageIn::tls_deserialize_exact(group_info).expect("an MLSMessage");
        let MlsMessageBodyIn::GroupInfo(info) = message.extract() else { panic!("no GroupInfo") };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let leaf = LeafNodeParameters::builder().with_capabilities(Self::capabilities()).build();
        let (mut group, bundle) = MlsGroup::external_commit_builder()
            .with_config(config)
            .build_group(&self.provider, info, self.credential.clone())
            .expect("the group can be joined")
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())
            .expect("no pre-shared keys")
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .expect("an external commit")
            .finalize(&self.provider)
            .expect("the commit is staged");
        let (commit, ..) = bundle.into_contents();
        self.merge(&mut group);
        let group_info = self.group_info(&group);
        let commit = wire(&commit);
        (group, Bundle { commit, welcome: Bytes::new(), group_info })
    }

    /// The leaf of a device.
    pub fn leaf(group: &MlsGroup, keys: &Keys) -> LeafNodeIndex {
        let identity = credential::encode(&keys.account, &keys.device);
        let found = group.members().find(|member| member.credential.serialized_content() == identity);
        found.expect("the device is a member").index
    }

    /// Adopts the commit that was staged last.
    pub fn merge(&self, group: &mut MlsGroup) {
        group.merge_pending_commit(&self.provider).expect("the staged commit merges");
    }

    /// Joins by a Welcome.
    pub fn join(&self, welcome: &[u8]) -> MlsGroup {
        let message = MlsMessageIn::tls_deserialize_exact(welcome).expect("an MLSMessage");
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else { panic!("no Welcome") };
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
            .use_ratchet_tree_extension(true)
            .build();
        let staged =
            StagedWelcome::new_from_welcome(&self.provider, &config, welcome, None).expect("the Welcome is for this member");
        staged.into_group(&self.provider).expect("the group is joined")
    }

    /// Encrypts a message under a fresh client id.
    pub fn message(&self, group: &mut MlsGroup, text: &str) -> OutgoingMessage {
        let message = group.create_message(&self.provider, &self.signer, text.as_bytes()).expect("a message");
        let client_id = Bytes::copy_from_slice(&entropy::random::<16>());
        OutgoingMessage { client_id, ciphertext: wire(&message), ..OutgoingMessage::default() }
    }

    /// Applies an entry; the text, if it is a message.
    pub fn apply(&self, group: &mut MlsGroup, entry: &v1::Entry) -> Option<String> {
        use v1::entry::Body;
        let (Body::Message(bytes) | Body::Commit(bytes) | Body::Proposal(bytes)) = entry.body.as_ref()? else { return None };
        let message = MlsMessageIn::tls_deserialize_exact(bytes).expect("an MLSMessage");
        let message = message.try_into_protocol_message().expect("a protocol message");
        match group.process_message(&self.provider, message).expect("the entry can be processed").into_content() {
            ProcessedMessageContent::ApplicationMessage(text) => Some(String::from_utf8(text.into_bytes()).expect("text")),
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(&self.provider, *commit).expect("the commit merges");
                None
            }
            ProcessedMessageContent::ProposalMessage(proposal) => {
                group.store_pending_proposal(self.provider.storage(), *proposal).expect("the proposal is kept");
                None
            }
            _ => None,
        }
    }

    fn read_key_package(&self, bytes: &[u8]) -> KeyPackage {
        let message = MlsMessageIn::tls_deserialize_exact(bytes).expect("an MLSMessage");
        let MlsMessageBodyIn::KeyPackage(key_package) = message.extract() else { panic!("no key package") };
        key_package.validate(self.provider.crypto(), ProtocolVersion::Mls10).expect("a valid key package")
    }
}

/// The bytes as they travel.
pub fn wire(message: &MlsMessageOut) -> Bytes {
    message.tls_serialize_detached().expect("it serializes").into()
}

/// The epoch in the clear header of a handshake message.
pub fn epoch_of(bytes: &[u8]) -> u64 {
    let message = MlsMessageIn::tls_deserialize_exact(bytes).expect("an MLSMessage");
    message.try_into_protocol_message().expect("a protocol message").epoch().as_u64()
}
