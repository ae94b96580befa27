//! Counts what a handshake message holds before openmls makes structs of it: a blank node of one byte, or a proposal of
//! seven, becomes one of many times its size. What is counted here is in proportion to the bytes, so decoding is.

use super::{
    Refused,
    wire::{GROUP_INFO, KEY_PACKAGE, PUBLIC_MESSAGE, Reader, WELCOME},
};
use crate::limits::{BYTES_PER_ITEM, LEAVES_PER_GROUP};

const TOO_MANY: Refused = Refused::Policy("it holds more than a group can have");

/// RFC 9420, section 17.3.
const RATCHET_TREE: u16 = 2;
/// See [`RATCHET_TREE`].
const EXTERNAL_SENDERS: u16 = 5;

/// Walks an `MLSMessage` that starts with `start` and refuses it if its nodes, extensions, proposals, secrets and
/// ciphertexts are more than a full group needs and its own length explains. Nothing is verified.
pub(super) fn measure(bytes: &[u8], start: [u8; 4]) -> Result<(), Refused> {
    let message = bytes.get(start.len()..).ok_or(Refused::Malformed)?;
    let reader = &mut Reader::new(message);
    let mut items = Items(2 * LEAVES_PER_GROUP + bytes.len() / BYTES_PER_ITEM);
    match start {
        PUBLIC_MESSAGE => public_message(reader, &mut items),
        WELCOME => welcome(reader, &mut items),
        GROUP_INFO => group_info(reader, &mut items),
        KEY_PACKAGE => key_package(reader, &mut items),
        _ => Ok(()),
    }
}

/// How many more there may be.
struct Items(usize);

impl Items {
    fn one(&mut self) -> Result<(), Refused> {
        self.0 = self.0.checked_sub(1).ok_or(TOO_MANY)?;
        Ok(())
    }

    /// Each item of a vector.
    fn each(
        &mut self,
        vector: &[u8],
        mut item: impl FnMut(&mut Reader<'_>, &mut Self) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut reader = Reader::new(vector);
        while !reader.is_empty() {
            self.one()?;
            item(&mut reader, self)?;
        }
        Ok(())
    }
}

/// RFC 9420, section 6.2, up to its commit or proposal.
fn public_message(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    let _group_id = reader.vector()?;
    let _epoch = reader.u64()?;
    if matches!(reader.u8()?, 1 | 2) {
        let _sender = reader.u32()?;
    }
    let _authenticated_data = reader.vector()?;
    match reader.u8()? {
        2 => proposal(reader, items),
        3 => commit(reader, items),
        _ => Ok(()),
    }
}

/// RFC 9420, section 12.4.
fn commit(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    items.each(reader.vector()?, |reader, items| match reader.u8()? {
        1 => proposal(reader, items),
        _ => reader.vector().map(drop),
    })?;
    if reader.u8()? == 0 {
        return Ok(());
    }
    leaf_node(reader, items)?;
    items.each(reader.vector()?, |reader, items| {
        let _encryption_key = reader.vector()?;
        items.each(reader.vector()?, |reader, _| ciphertext(reader))
    })
}

/// RFC 9420, section 12.1. Whether groups here take it is judged later.
fn proposal(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    const ADD: u16 = 1;
    const UPDATE: u16 = 2;
    const REMOVE: u16 = 3;
    const PRE_SHARED_KEY: u16 = 4;
    const REINIT: u16 = 5;
    const GROUP_CONTEXT_EXTENSIONS: u16 = 7;
    const SELF_REMOVE: u16 = 10;
    match reader.u16()? {
        ADD => key_package(reader, items),
        UPDATE => leaf_node(reader, items),
        REMOVE => reader.u32().map(drop),
        GROUP_CONTEXT_EXTENSIONS => extensions(reader, items),
        SELF_REMOVE => Ok(()),
        PRE_SHARED_KEY => pre_shared_key(reader),
        REINIT => {
            let _group_id = reader.vector()?;
            let _version_and_suite = reader.u32()?;
            extensions(reader, items)
        }
        _ => reader.vector().map(drop),
    }
}

/// RFC 9420, section 8.4.
fn pre_shared_key(reader: &mut Reader<'_>) -> Result<(), Refused> {
    const EXTERNAL: u8 = 1;
    if reader.u8()? == EXTERNAL {
        let _id = reader.vector()?;
    } else {
        let _usage = reader.u8()?;
        let _group_id = reader.vector()?;
        let _epoch = reader.u64()?;
    }
    reader.vector().map(drop)
}

/// RFC 9420, section 12.4.3.1.
fn welcome(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    let _suite = reader.u16()?;
    items.each(reader.vector()?, |reader, _| {
        let _new_member = reader.vector()?;
        ciphertext(reader)
    })
}

/// RFC 9420, section 12.4.3.
fn group_info(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    let _version_and_suite = reader.u32()?;
    let _group_id = reader.vector()?;
    let _epoch = reader.u64()?;
    let _tree_hash = reader.vector()?;
    let _transcript_hash = reader.vector()?;
    extensions(reader, items)?;
    extensions(reader, items)
}

/// RFC 9420, section 10.
fn key_package(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    let _version_and_suite = reader.u32()?;
    let _init_key = reader.vector()?;
    leaf_node(reader, items)?;
    extensions(reader, items)?;
    reader.vector().map(drop)
}

/// RFC 9420, section 7.2.
fn leaf_node(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    let _encryption_key = reader.vector()?;
    let _signature_key = reader.vector()?;
    credential(reader)?;
    for _capabilities in 0..5 {
        let _names = reader.vector()?;
    }
    match reader.u8()? {
        1 => reader.take(16).map(drop)?,
        3 => reader.vector().map(drop)?,
        _ => {}
    }
    extensions(reader, items)?;
    reader.vector().map(drop)
}

fn credential(reader: &mut Reader<'_>) -> Result<(), Refused> {
    let _type = reader.u16()?;
    reader.vector().map(drop)
}

fn ciphertext(reader: &mut Reader<'_>) -> Result<(), Refused> {
    let _kem_output = reader.vector()?;
    reader.vector().map(drop)
}

fn extensions(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    items.each(reader.vector()?, |reader, items| {
        let kind = reader.u16()?;
        let mut data = Reader::new(reader.vector()?);
        match kind {
            RATCHET_TREE => items.each(data.vector()?, node),
            EXTERNAL_SENDERS => items.each(data.vector()?, |reader, _| {
                let _signature_key = reader.vector()?;
                credential(reader)
            }),
            _ => Ok(()),
        }
    })
}

/// An `optional<Node>` (RFC 9420, section 7.8).
fn node(reader: &mut Reader<'_>, items: &mut Items) -> Result<(), Refused> {
    if reader.u8()? == 0 {
        return Ok(());
    }
    if reader.u8()? == 1 {
        return leaf_node(reader, items);
    }
    let _encryption_key = reader.vector()?;
    let _parent_hash = reader.vector()?;
    reader.vector().map(drop)
}
