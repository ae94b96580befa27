//! Decoders that are functions of their bytes alone.

use std::fs;

use bytes::Bytes;
use prost::Message as _;
use sovereign::{
    auth::{manifest::check_manifest, secret},
    codec::{self, FromClient},
    config::{self, Sources},
};
use sovereign_client::join_link::JoinLink;
use sovereign_proto::{credential, exchange as body, manifest::Body, mls::Roles, v1};

use crate::{people::ada, seeds};

/// A client's frame.
pub(crate) fn envelope(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    if let Ok(FromClient::Request { id, .. }) = codec::decode(&frame) {
        assert_ne!(id, 0, "a request without an id was taken");
    }
}

/// The body of an exchange.
pub(crate) fn exchange(data: &[u8]) {
    let whole = Bytes::copy_from_slice(data);
    if let Some(frames) = body::split(&whole) {
        assert_eq!(body::join(frames), whole, "frames are lost or made");
    }
}

/// Tokens, tickets, invite codes.
pub(crate) fn secrets(data: &[u8]) {
    // A header that is no text never gets so far.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _known = secret::hash(text);
    assert!(!(secret::is_token(text) && secret::is_ticket(text)), "one secret passes for another");
}

/// A manifest, as the first of an account and behind another one.
pub(crate) fn manifest(data: &[u8]) {
    if let Ok(body) = Body::decode(data) {
        assert_eq!(body.encode(), data, "two encodings of one manifest");
    }
    if let Ok(manifest) = v1::Manifest::decode(data) {
        let ada = ada();
        let (identity, first) = (ada.identity.verifying_key().to_bytes(), Body::decode(&ada.genesis().body).ok());
        for previous in [None, first.as_ref()] {
            let _refused = check_manifest(&manifest, previous, &identity);
        }
    }
}

/// The small fixed layouts: roles, credentials.
pub(crate) fn layouts(data: &[u8]) {
    if let Ok(roles) = Roles::decode(data) {
        assert_eq!(roles.encode(), data, "two encodings of the same roles");
    }
    if let Some((account, device)) = credential::decode(data) {
        assert_eq!(&credential::encode(&account, &device)[..], data, "two encodings of one credential");
    }
}

/// An invite link.
pub(crate) fn join_link(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(link) = text.parse::<JoinLink>() {
        assert_eq!(link.to_string().parse().as_ref(), Ok(&link), "a link does not lead where it says");
    }
}

/// A configuration file.
pub(crate) fn config(data: &[u8]) {
    let directory = seeds::scratch();
    let file = directory.path().join("sovereign.toml");
    fs::write(&file, data).expect("the scratch directory can be written");
    let flags = vec![("data", directory.path().to_string_lossy().into_owned())];
    if let Err(error) = config::load(&Sources { file: Some(file), environment: Vec::new(), flags }) {
        assert!(!error.to_string().is_empty(), "a refusal says nothing");
    }
}

/// What members say to each other inside the ciphertext, and what a server pushes.
pub(crate) fn content(data: &[u8]) {
    let bytes = || Bytes::copy_from_slice(data);
    let _readable = sovereign_client::is_content(data);
    let _said = v1::SignalContent::decode(bytes());
    if let Ok(entries) = v1::Entries::decode(bytes()) {
        assert!(entries.encoded_len() <= data.len() * 2 + 16, "reading makes more of it than there is");
    }
}
