//! One connection: the client library's line, on which whatever goes wrong ends the measurement.

use bytes::Bytes;
use sovereign_client::{
    device_key::DeviceKey,
    load::{Heard, Identity, Line, LineError, Route},
};
use sovereign_proto::{Call, v1};

use crate::harness::{TestServer, raw::Keys};

/// A connection after its `Hello`.
pub struct Connection(Line);

impl Connection {
    /// Connects and makes an account.
    pub async fn sign_up(server: &TestServer, username: String, keys: &Keys) -> Self {
        Self::try_sign_up(server, username, keys).await.expect("the account is made")
    }

    /// The same, where the server may have no room.
    pub async fn try_sign_up(server: &TestServer, username: String, keys: &Keys) -> Result<Self, LineError> {
        let mut line = Line::open(&route(server).await).await?;
        let request = v1::SignUpRequest {
            username,
            invite_code: String::new(),
            identity_key: Bytes::copy_from_slice(keys.identity.verifying_key().as_bytes()),
            manifest: Some(keys.genesis()),
            password: String::new(),
            proof: None,
        };
        line.sign_up(identity(keys, &device_key(keys)), request).await?;
        Ok(Self(line))
    }

    /// Connects and authenticates by the device's key, on a route of its own: no TLS session is resumed.
    pub async fn sign_in(server: &TestServer, keys: &Keys) -> Self {
        Self::sign_in_by(&route(server).await, keys).await
    }

    /// The same on a route that may have been taken before.
    pub async fn sign_in_by(route: &Route, keys: &Keys) -> Self {
        let mut line = Line::open(route).await.expect("the server answers");
        line.sign_in(identity(keys, &device_key(keys))).await.expect("the device is known");
        Self(line)
    }

    /// Acknowledges whatever comes until `Live`.
    pub async fn until_live(&mut self) {
        self.0.until_live().await.expect("the connection stands");
    }

    /// Asks, and waits for the answer. What is pushed meanwhile is passed over.
    pub async fn call<C: Call>(&mut self, request: C) -> C::Response {
        self.0.call(request).await.unwrap_or_else(|error| panic!("{}: {error}", C::NAME))
    }

    /// Queues a request.
    pub fn feed<C: Call>(&mut self, request: C) {
        self.0.feed(request);
    }

    /// Queues an acknowledgement.
    pub fn feed_acknowledgement(&mut self, group_id: Bytes, seq: u64) {
        self.0.acknowledge(group_id, seq);
    }

    /// Queues a signal.
    pub fn feed_signal(&mut self, signal: v1::Signal) {
        self.0.notify(v1::notice::Body::Signal(signal));
    }

    /// Writes what was queued.
    pub async fn flush(&mut self) {
        self.0.flush().await.expect("the server takes frames");
    }

    /// Says goodbye.
    pub async fn close(self) {
        self.0.close().await;
    }

    /// Reads until the connection ends; how.
    pub async fn ended(mut self) -> LineError {
        loop {
            if let Err(ended) = self.0.hear().await {
                return ended;
            }
        }
    }

    /// What comes next.
    pub async fn next(&mut self) -> Heard {
        self.0.hear().await.expect("the connection stands")
    }

    /// What has arrived already.
    pub fn ready(&mut self) -> Option<Heard> {
        self.0.heard().expect("the connection stands")
    }
}

/// A way to the server that nobody has taken yet.
pub async fn route(server: &TestServer) -> Route {
    Route::new(server.endpoint().await).expect("the link has a pin")
}

fn device_key(keys: &Keys) -> DeviceKey {
    DeviceKey::from_secret(&keys.key.to_bytes())
}

fn identity<'a>(keys: &'a Keys, key: &'a DeviceKey) -> Identity<'a> {
    Identity { account_id: &keys.account, device_id: &keys.device, key }
}
