//! The client's connection against a server that says anything: what it introduces itself with, how it answers, what it
//! pushes. A first part of `hello` stands for a good introduction, since only the real server can sign one.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use prost::Message as _;
use sha2::{Digest as _, Sha256};
use sovereign_client::{
    ConnectionState,
    connection::{Connection, ConnectionEvent, Credentials, Endpoint, Pipes},
    device_key::DeviceKey,
};
use sovereign_proto::{
    signed,
    v1::{self, Envelope, envelope, push},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::{Builder, Runtime},
};

use crate::{parts, people::ada};

/// Bytes on their way in one direction.
const PIPE: usize = 1 << 20;

pub(crate) fn frames(data: &[u8]) {
    static RUNTIME: LazyLock<Mutex<Runtime>> =
        LazyLock::new(|| Mutex::new(Builder::new_current_thread().enable_all().build().expect("a runtime")));
    let mut bytes = Vec::new();
    for (index, part) in parts(data).into_iter().enumerate() {
        let hello = if index == 0 && part == b"hello" { Some(introduction()) } else { None };
        frame(&mut bytes, hello.as_deref().unwrap_or(part));
    }
    let runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    runtime.block_on(async {
        let ended = tokio::time::timeout(Duration::from_secs(30), connect(bytes)).await;
        ended.expect("a connection that the server has ended is seen to have ended");
    });
}

/// Connects once, to somebody who says these bytes and goes.
async fn connect(bytes: Vec<u8>) {
    let (near, mut far) = tokio::io::duplex(PIPE);
    let near = Mutex::new(Some(near));
    let pipes = Pipes::new(move || match near.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(near) => Ok(Box::new(near)),
        None => Err(io::ErrorKind::ConnectionRefused.into()),
    });
    let server = tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(&mut far);
        let write = async {
            let _gone = writer.write_all(&bytes).await;
            let _gone = writer.shutdown().await;
        };
        let read = async {
            let mut waste = [0; 4096];
            while reader.read(&mut waste).await.is_ok_and(|length| length > 0) {}
        };
        tokio::join!(write, read);
    });
    let ada = ada();
    let credentials = Credentials {
        account_id: ada.account,
        device_id: ada.device,
        signing_key: Arc::new(DeviceKey::from_secret(&ada.key.to_bytes())),
        incarnation: 1,
    };
    let endpoint = Endpoint { host: "localhost".to_owned(), port: 443, server_id: server_id(), ca_pin: None };
    let (connection, mut events) = Connection::start(endpoint, Some(pipes), credentials, Box::new(Vec::new));
    while let Some(event) = events.recv().await {
        if let ConnectionEvent::State(ConnectionState::Backoff { .. } | ConnectionState::Stopped, _) = event {
            break;
        }
    }
    // Whatever still comes is taken, so that nobody waits.
    tokio::join!(connection.stop(), async { while events.recv().await.is_some() {} });
    server.abort();
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

fn server_id() -> [u8; 32] {
    Sha256::digest(key().verifying_key().as_bytes()).into()
}

/// The frame of a good Hello.
fn introduction() -> Vec<u8> {
    let (name, challenge, time) = ("fuzzed", [3; 32], 1000);
    let signature = key().sign(&signed::hello(&server_id(), name, &challenge, time)).to_bytes();
    let hello = v1::Hello {
        server_name: name.to_owned(),
        server_id: Bytes::copy_from_slice(&server_id()),
        server_key: Bytes::copy_from_slice(key().verifying_key().as_bytes()),
        challenge: Bytes::copy_from_slice(&challenge),
        server_time_ms: time,
        signature: Bytes::copy_from_slice(&signature),
        ..v1::Hello::default()
    };
    let body = Some(envelope::Body::Push(v1::Push { body: Some(push::Body::Hello(hello)) }));
    Envelope { request_id: 0, body }.encode_to_vec()
}

/// A binary frame of a server (RFC 6455, section 5.2).
fn frame(bytes: &mut Vec<u8>, payload: &[u8]) {
    bytes.push(0x82);
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => bytes.push(length),
        _ => {
            bytes.push(126);
            bytes.extend(u16::try_from(payload.len()).expect("a part is short").to_be_bytes());
        }
    }
    bytes.extend(payload);
}
