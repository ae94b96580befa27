//! The clear headers of messages, read without openmls: enough to find the group and to refuse what is hopeless.

use super::{
    Refused,
    wire::{PRIVATE_MESSAGE, PUBLIC_MESSAGE, Reader},
};
use crate::ids::{Epoch, GroupId};

/// The clear header of an application message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader {
    /// The group that it is for.
    pub group: GroupId,
    /// The epoch whose keys encrypt it.
    pub epoch: Epoch,
}

/// The header of a handshake message. Nothing of it is verified yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeHeader {
    /// The group that it is for.
    pub group: GroupId,
    /// The epoch that it starts from.
    pub epoch: Epoch,
    /// What it carries.
    pub kind: HandshakeKind,
    /// Who it says sent it.
    pub sender: HandshakeSender,
}

/// The content type of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeKind {
    /// A proposal, to be committed by somebody.
    Proposal,
    /// A commit.
    Commit,
}

/// The sender types that may stand in a handshake message here; RFC 9420's external senders and joining proposals are
/// refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeSender {
    /// The member at this leaf index.
    Member(u32),
    /// A joiner, by an external commit.
    NewMemberCommit,
}

const APPLICATION: u8 = 1;
const PROPOSAL: u8 = 2;
const COMMIT: u8 = 3;
const MEMBER: u8 = 1;
const NEW_MEMBER_COMMIT: u8 = 4;

/// AES-128-GCM's tag in bytes: no ciphertext is shorter.
const TAG_LENGTH: usize = 16;
/// Encrypted sender data of suite 0x0001 in bytes: leaf index, generation and reuse guard, and the tag.
const SENDER_DATA_LENGTH: usize = 12 + TAG_LENGTH;

/// Reads the clear header of an `MLSMessage` of wire format `mls_private_message` with application content
/// (RFC 9420, section 6.3). The whole framing is checked to the last byte, the ciphertexts are opaque.
pub fn inspect_message(bytes: &[u8]) -> Result<MessageHeader, Refused> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != PRIVATE_MESSAGE {
        return Err(Refused::Malformed);
    }
    let (group, epoch) = group_and_epoch(&mut reader)?;
    if reader.u8()? != APPLICATION {
        return Err(Refused::Policy("handshake messages travel as public messages"));
    }
    let _authenticated_data = reader.vector()?;
    let sender_data = reader.vector()?;
    let ciphertext = reader.vector()?;
    if sender_data.len() != SENDER_DATA_LENGTH || ciphertext.len() <= TAG_LENGTH || !reader.is_empty() {
        return Err(Refused::Malformed);
    }
    Ok(MessageHeader { group, epoch })
}

/// Reads the header of an `MLSMessage` of wire format `mls_public_message` (RFC 9420, section 6.2) that carries a
/// commit or a proposal. What follows the header is not looked at; [`super::check_commit`] and
/// [`super::check_proposal`] do that.
pub fn inspect_handshake(bytes: &[u8]) -> Result<HandshakeHeader, Refused> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != PUBLIC_MESSAGE {
        return Err(Refused::Malformed);
    }
    let (group, epoch) = group_and_epoch(&mut reader)?;
    let sender = match reader.u8()? {
        MEMBER => HandshakeSender::Member(reader.u32()?),
        NEW_MEMBER_COMMIT => HandshakeSender::NewMemberCommit,
        2 | 3 => return Err(Refused::Policy("only members and joiners send handshake messages")),
        _ => return Err(Refused::Malformed),
    };
    let _authenticated_data = reader.vector()?;
    let kind = match reader.u8()? {
        PROPOSAL => HandshakeKind::Proposal,
        COMMIT => HandshakeKind::Commit,
        APPLICATION => return Err(Refused::Policy("application messages are encrypted")),
        _ => return Err(Refused::Malformed),
    };
    if kind == HandshakeKind::Proposal && sender == HandshakeSender::NewMemberCommit {
        return Err(Refused::Malformed);
    }
    Ok(HandshakeHeader { group, epoch, kind, sender })
}

fn group_and_epoch(reader: &mut Reader<'_>) -> Result<(GroupId, Epoch), Refused> {
    let group = GroupId::try_from(reader.vector()?).map_err(|_| Refused::WrongGroup)?;
    Ok((group, reader.u64()?))
}
