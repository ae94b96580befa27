//! One connection for one purpose: to make an account, or to enrol a further device.

use std::sync::Arc;

use bytes::Bytes;
use sovereign_proto::{
    signed::{PURPOSE_ENROL, PURPOSE_SIGN_UP},
    v1::{self, request, response},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_websockets::CloseCode;
use zeroize::Zeroizing;

use super::{
    Credentials, Endpoint, EnrolError,
    dial::{Dial, DialError, Dialer},
    handshake::{self, HandshakeError},
    hello::Verified,
    pipe::Pipes,
    proof::{self, Subject},
    socket::Socket,
};
use crate::device_key::DeviceKey;

/// How a device comes to its account.
pub enum First {
    /// A new account with this as its first device.
    SignUp {
        /// The wished name; the server normalises and judges it.
        username: String,
        /// From the link; empty where registration is open.
        invite_code: String,
        /// The account's Ed25519 identity public key.
        identity_key: [u8; 32],
        /// Version 1, listing this device, signed by the identity key.
        manifest: v1::Manifest,
        /// `None`: the account has no password, so no device can be enrolled by one.
        password: Option<Zeroizing<String>>,
        /// The ids the device chose and its key; the incarnation is told at the first sign-in.
        credentials: Credentials,
    },
    /// A further device of an existing account; it is pending until another one approves it.
    Enrol {
        /// Whose device it becomes.
        username: String,
        /// The account's password.
        password: Zeroizing<String>,
        /// 16 random bytes.
        device_id: [u8; 16],
        /// The new device's key.
        signing_key: Arc<DeviceKey>,
    },
}

/// Connects, over `pipes` where there are any; checks the server, signs up or enrols, and disconnects.
pub async fn enrol(endpoint: &Endpoint, pipes: Option<&Pipes>, first: First) -> Result<v1::Session, EnrolError> {
    if let Some(pipes) = pipes {
        let (socket, verified) = introduced(&mut pipes.clone(), &endpoint.server_id).await?;
        return enrol_on(socket, &verified, &endpoint.server_id, first).await;
    }
    let mut dialer = Dialer::new(endpoint.clone());
    let (socket, verified) = loop {
        match introduced(&mut dialer, &endpoint.server_id).await {
            Ok(introduced) => break introduced,
            Err(EnrolError::Network(_)) if dialer.leads_to_requests() => {}
            Err(error) => return Err(error),
        }
    };
    enrol_on(socket, &verified, &endpoint.server_id, first).await
}

/// A socket whose server has introduced itself.
pub(super) async fn introduced<D: Dial>(
    dialer: &mut D,
    server_id: &[u8; 32],
) -> Result<(Socket<D::Stream>, Verified), EnrolError> {
    let mut socket = dialer.dial().await.map_err(|error| match error {
        DialError::Network(text) => EnrolError::Network(text),
        DialError::Untrusted(text) => EnrolError::ServerUntrusted(text),
    })?;
    let verified = handshake::hello(&mut socket, server_id).await?;
    dialer.heard();
    Ok((socket, verified))
}

/// The rest of it.
pub(super) async fn enrol_on<S>(
    mut socket: Socket<S>,
    verified: &Verified,
    server_id: &[u8; 32],
    first: First,
) -> Result<v1::Session, EnrolError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let body = request_body(first, server_id, &verified.challenge);
    let (answer, _) = handshake::authenticate(&mut socket, body).await?;
    socket.close(CloseCode::NORMAL_CLOSURE, "").await;
    match answer {
        response::Body::SignUp(v1::SignUpResponse { session: Some(session) })
        | response::Body::SignInWithPassword(v1::SignInWithPasswordResponse { session: Some(session) }) => Ok(session),
        _ => Err(EnrolError::Network("its answer belongs to another request".to_owned())),
    }
}

fn request_body(first: First, server_id: &[u8; 32], challenge: &[u8; 32]) -> request::Body {
    match first {
        First::SignUp { username, invite_code, identity_key, manifest, password, credentials } => {
            let Credentials { account_id, device_id, signing_key, .. } = &credentials;
            let subject = Subject { server_id, account_id, device_id, challenge, purpose: PURPOSE_SIGN_UP };
            request::Body::SignUp(v1::SignUpRequest {
                username,
                invite_code,
                identity_key: Bytes::copy_from_slice(&identity_key),
                manifest: Some(manifest),
                password: password.map(|password| password.as_str().to_owned()).unwrap_or_default(),
                proof: Some(proof::prove(subject, signing_key)),
            })
        }
        First::Enrol { username, password, device_id, signing_key } => {
            let subject = Subject { server_id, account_id: &[0; 16], device_id: &device_id, challenge, purpose: PURPOSE_ENROL };
            request::Body::SignInWithPassword(v1::SignInWithPasswordRequest {
                username,
                password: password.as_str().to_owned(),
                device_id: Bytes::copy_from_slice(&device_id),
                device_key: Bytes::copy_from_slice(&signing_key.public()),
                proof: Some(proof::prove(subject, &signing_key)),
            })
        }
    }
}

impl From<HandshakeError> for EnrolError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Untrusted(text) => Self::ServerUntrusted(text),
            HandshakeError::Refused(failure) => Self::Refused(failure),
            other => Self::Network(other.verdict().0.to_string()),
        }
    }
}
