//! What all groups of this client have in common (docs/protocol/mls.md).

use openmls::group::MlsGroupBuilder;
use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialType, Extension, ExtensionType, Extensions, GroupContext, GroupId, Lifetime, MlsGroup,
    MlsGroupJoinConfig, PURE_PLAINTEXT_WIRE_FORMAT_POLICY, RequiredCapabilitiesExtension, SenderRatchetConfiguration,
    UnknownExtension,
};
use sovereign_proto::mls::{
    KEY_PACKAGE_LIFETIME_SECONDS, KEY_PACKAGE_NOT_BEFORE_MARGIN_SECONDS, MAX_PAST_EPOCHS, MAXIMUM_FORWARD_DISTANCE,
    OUT_OF_ORDER_TOLERANCE, ROLES_EXTENSION, Roles,
};

use super::{MlsError, invalid};

pub(super) const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

/// Handshakes in the clear, so that the server can check them; trees inside Welcome and `GroupInfo`.
pub(super) fn group() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .max_past_epochs(MAX_PAST_EPOCHS)
        .sender_ratchet_configuration(ratchets())
        .build()
}

/// A group of one's own, at epoch 0.
pub(super) fn creation(id: &[u8], roles: &Roles, now_ms: u64) -> Result<MlsGroupBuilder, MlsError> {
    Ok(MlsGroup::builder()
        .with_group_id(GroupId::from_slice(id))
        .ciphersuite(SUITE)
        .with_wire_format_policy(PURE_PLAINTEXT_WIRE_FORMAT_POLICY)
        .use_ratchet_tree_extension(true)
        .max_past_epochs(MAX_PAST_EPOCHS)
        .sender_ratchet_configuration(ratchets())
        .lifetime(lifetime(now_ms))
        .with_capabilities(capabilities())
        .with_group_context_extensions(context(roles)?))
}

fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER_TOLERANCE, MAXIMUM_FORWARD_DISTANCE)
}

/// What every leaf of ours can do.
pub(super) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .ciphersuites(vec![SUITE])
        .extensions(vec![ExtensionType::LastResort, ExtensionType::Unknown(ROLES_EXTENSION)])
        .credentials(vec![CredentialType::Basic])
        .build()
}

/// 180 days, from an hour ago.
pub(super) fn lifetime(now_ms: u64) -> Lifetime {
    let now = now_ms / 1000;
    Lifetime::init(now.saturating_sub(KEY_PACKAGE_NOT_BEFORE_MARGIN_SECONDS), now + KEY_PACKAGE_LIFETIME_SECONDS)
}

/// The group context's extensions: the roles, and that every member must know them.
pub(super) fn context(roles: &Roles) -> Result<Extensions<GroupContext>, MlsError> {
    let required = RequiredCapabilitiesExtension::new(&[ExtensionType::Unknown(ROLES_EXTENSION)], &[], &[CredentialType::Basic]);
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required),
        Extension::Unknown(ROLES_EXTENSION, UnknownExtension(roles.encode())),
    ])
    .map_err(invalid)
}
