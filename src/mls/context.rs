//! What a `GroupContext` may hold (RFC 9420, section 8.1).

use openmls::{
    group::GroupContext,
    prelude::{CredentialType, Extension, ExtensionType, Extensions, ProposalType, ProtocolVersion},
};
use sovereign_proto::mls::{Policy, ROLES_EXTENSION, Roles};

use super::{Refused, SUITE};
use crate::limits::LEAVES_PER_GROUP;

/// The roles that a context sets; without the extension all members are equal.
pub(super) fn roles(extensions: &Extensions<GroupContext>) -> Result<Roles, Refused> {
    let Some(content) = extensions.unknown(ROLES_EXTENSION) else {
        return Ok(Roles { policy: Policy::Equal, administrators: Vec::new() });
    };
    let roles = Roles::decode(&content.0).map_err(|_| Refused::Policy("the roles extension is malformed"))?;
    if roles.administrators.len() > LEAVES_PER_GROUP {
        return Err(Refused::Policy("the roles extension names more administrators than a group has leaves"));
    }
    Ok(roles)
}

/// A context of this server's suite whose extensions are the required capabilities and, if any, the roles. The required
/// capabilities name the roles extension, so that roles can be set later, and nothing that a leaf could lack.
pub(super) fn check(context: &GroupContext) -> Result<(), Refused> {
    if context.ciphersuite() != SUITE || context.protocol_version() != ProtocolVersion::Mls10 {
        return Err(Refused::WrongSuite);
    }
    check_extensions(context.extensions())
}

/// The part of [`check`] that a `GroupContextExtensions` proposal can change.
pub(super) fn check_extensions(extensions: &Extensions<GroupContext>) -> Result<(), Refused> {
    let known = |extension: &Extension| {
        let kind = extension.extension_type();
        kind == ExtensionType::RequiredCapabilities || kind == ExtensionType::from(ROLES_EXTENSION)
    };
    if !extensions.iter().all(known) {
        return Err(Refused::Policy("a group's context holds its required capabilities and roles only"));
    }
    let required = extensions.required_capabilities().ok_or(Refused::Policy("a group requires the roles extension"))?;
    let proposals_known = required.proposal_types().iter().all(|kind| *kind == ProposalType::SelfRemove);
    let credentials_known = required.credential_types().iter().all(|kind| *kind == CredentialType::Basic);
    if required.extension_types() != [ExtensionType::from(ROLES_EXTENSION)] || !proposals_known || !credentials_known {
        return Err(Refused::Policy("a group requires the roles extension and nothing unusual"));
    }
    roles(extensions).map(|_| ())
}
