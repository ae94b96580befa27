//! The least that could relay: frames with their length before them, over TLS, from memory to memory. A process of its
//! own, so that its CPU is measured alone. It checks nothing and keeps nothing.
//!
//! A frame is `length (u32 BE) || kind || content`. The first one says which room the connection is in.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// To everybody else in the room.
pub const MESSAGE: u8 = 1;
/// Read and thrown away.
pub const ACKNOWLEDGEMENT: u8 = 2;
/// Tells whoever entered that it is in, and a sender that its message is on its way.
pub const ACCEPTED: u8 = 3;
/// The first frame; the content is the room.
pub const ENTER: u8 = 4;

/// To everybody else in the room, and nobody is told.
pub const SIGNAL: u8 = 5;

/// Bytes that wait for one reader; whoever writes to it waits then.
const OUTBOX: usize = 256 * 1024;
const READ: usize = 16 * 1024;

#[derive(Default)]
struct Outbox {
    bytes: Mutex<Vec<u8>>,
    filled: Notify,
    emptied: Notify,
}

type Rooms = Arc<Mutex<HashMap<Vec<u8>, Vec<Arc<Outbox>>>>>;

/// Serves until it is killed. The first line on standard output is the port, the rest the certificate.
pub async fn serve() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider speaks TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("the certificate is the key's");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address").port());
    print!("{}", made.cert.pem());
    let rooms = Rooms::default();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, rooms) = (acceptor.clone(), Arc::clone(&rooms));
        tokio::spawn(async move {
            let _gone = stream.set_nodelay(true);
            if let Ok(stream) = acceptor.accept(stream).await {
                relay(stream, &rooms).await;
            }
        });
    }
}

async fn relay(mut stream: TlsStream<TcpStream>, rooms: &Rooms) {
    let outbox = Arc::new(Outbox::default());
    let (mut received, mut writing) = (Vec::with_capacity(READ), Vec::new());
    let mut room = Vec::new();
    loop {
        tokio::select! {
            read = stream.read_buf(&mut received) => if !matches!(read, Ok(1..)) { return },
            () = outbox.filled.notified() => {}
        }
        let mut at = 0;
        while let Some(frame) = frame(&received[at..]) {
            at += frame.len();
            match frame[4] {
                ENTER => {
                    room = frame[5..].to_vec();
                    locked(rooms).entry(room.clone()).or_default().push(Arc::clone(&outbox));
                    locked(&outbox.bytes).extend_from_slice(&[0, 0, 0, 1, ACCEPTED]);
                }
                kind @ (MESSAGE | SIGNAL) => {
                    let others: Vec<_> = locked(rooms).get(&room).into_iter().flatten().cloned().collect();
                    for other in others.iter().filter(|other| !Arc::ptr_eq(other, &outbox)) {
                        other.put(frame).await;
                    }
                    if kind == MESSAGE {
                        locked(&outbox.bytes).extend_from_slice(&[0, 0, 0, 1, ACCEPTED]);
                    }
                }
                _ => {}
            }
        }
        received.drain(..at);
        received.reserve(READ);
        std::mem::swap(&mut *locked(&outbox.bytes), &mut writing);
        outbox.emptied.notify_one();
        if !writing.is_empty() {
            if stream.write_all(&writing).await.is_err() || stream.flush().await.is_err() {
                return;
            }
            writing.clear();
        }
    }
}

impl Outbox {
    async fn put(&self, frame: &[u8]) {
        while locked(&self.bytes).len() > OUTBOX {
            self.emptied.notified().await;
        }
        locked(&self.bytes).extend_from_slice(frame);
        self.filled.notify_one();
    }
}

/// The whole frame at the front, if it is all there.
pub fn frame(bytes: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*bytes.first_chunk()?);
    bytes.get(..4 + usize::try_from(length).ok()?)
}

/// Nothing here is left half-changed by a panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
