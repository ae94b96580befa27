//! Where the connection stands, and what its end means.

use sovereign_client::{Cause, Client, ConnectionState};
use tokio::sync::watch;

use crate::{
    event::Event,
    exit::{self, Exit},
};

/// The connection's state as it changes.
pub(crate) struct StateOf {
    receiver: watch::Receiver<(ConnectionState, Cause)>,
}

impl StateOf {
    /// From now on.
    pub(crate) fn new(client: &Client) -> Self {
        Self { receiver: client.state() }
    }

    /// The present state.
    pub(crate) fn event(&mut self) -> Event {
        let (state, cause) = self.receiver.borrow_and_update().clone();
        state_event(state, &cause)
    }

    /// The next state. Cancel safe.
    pub(crate) async fn changed(&mut self) -> Event {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.event()
    }

    /// The exit that the end of the connection asks for, once it has ended for good.
    pub(crate) fn end(&self) -> Option<Exit> {
        let (state, cause) = self.receiver.borrow().clone();
        (state == ConnectionState::Stopped).then(|| end(&cause))
    }

    /// Waits for the connection to end for good.
    pub(crate) async fn stopped(&mut self) -> Exit {
        loop {
            if let Some(exit) = self.end() {
                return exit;
            }
            self.changed().await;
        }
    }
}

fn end(cause: &Cause) -> Exit {
    let code = match cause {
        Cause::ServerUntrusted(_) | Cause::Refused { .. } | Cause::Closed { code: 4002 | 4005, .. } => exit::NOT_PERMITTED,
        Cause::Network(_) | Cause::HeartbeatLost => exit::UNAVAILABLE,
        _ => exit::FAILED,
    };
    Exit::failed(code, cause.to_string())
}

/// Why the client is not live, if it is not.
pub(crate) fn trouble(client: &Client) -> Option<String> {
    let (state, cause) = client.state().borrow().clone();
    match (state, cause) {
        (ConnectionState::Live, _) => None,
        (ConnectionState::Syncing, _) => Some("signed in, but nothing comes; a new device has to be approved first".to_owned()),
        (_, Cause::Proceeding | Cause::Requested) => Some("connecting".to_owned()),
        (_, cause) => Some(cause.to_string()),
    }
}

fn state_event(state: ConnectionState, cause: &Cause) -> Event {
    let state = match state {
        ConnectionState::Connecting { .. } => "connecting",
        ConnectionState::Authenticating => "authenticating",
        ConnectionState::Syncing => "syncing",
        ConnectionState::Live => "live",
        ConnectionState::Backoff { .. } => "backoff",
        ConnectionState::Stopped => "stopped",
    };
    Event::State { state: state.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_their_exit_codes() {
        assert_eq!(end(&Cause::ServerUntrusted("x".into())).code, exit::NOT_PERMITTED);
        assert_eq!(end(&Cause::Network("x".into())).code, exit::UNAVAILABLE);
        assert_eq!(end(&Cause::Closed { code: 4005, reason: "account disabled".into() }).code, exit::NOT_PERMITTED);
        assert_eq!(end(&Cause::Superseded).code, exit::FAILED);
    }
}
