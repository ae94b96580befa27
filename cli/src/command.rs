//! A command as a value: it runs here, or travels to the process that owns the home.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sovereign_client::Client;
use tokio::time::timeout;

use crate::{
    agent::{Execute, Stopping, stop_asked},
    chat::Ask,
    client::{self, StateOf},
    exit::{self, Exit},
    output::Output,
    verbs::{contacts, devices, group, groups, history, listen, presence, receipts, send, trust, usage},
};

/// Everything that is done with an account that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    Devices(devices::Args),
    Send(send::Args),
    Listen(listen::Args),
    Groups(groups::Args),
    Group(group::Args),
    History(history::Args),
    Presence(presence::Args),
    Receipts(receipts::Args),
    Contacts(contacts::Args),
    Trust(trust::Args),
    Usage(usage::Args),
    /// What the screen of `sov chat` asks for.
    Chat(Ask),
}

/// A command and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) command: Command,
    /// Not for `listen`, which has its own end.
    pub(crate) timeout_ms: u64,
}

impl Command {
    /// Whether it goes on until it is stopped, so that another process may take it over at any time.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self, Self::Listen(_) | Self::Chat(Ask::Follow))
    }

    /// Whether it is of use without the server.
    fn works_offline(&self) -> bool {
        matches!(self, Self::Groups(_) | Self::History(_) | Self::Chat(_) | Self::Contacts(contacts::Args { change: None }))
    }

    async fn run(&self, client: &Client, output: &mut impl Output, stopping: Stopping) -> Result<(), Exit> {
        match self {
            Self::Devices(args) => args.run(client, output).await,
            Self::Send(args) => args.run(client, output).await,
            Self::Listen(args) => args.run(client, output, stopping).await,
            Self::Groups(args) => args.run(client, output).await,
            Self::Group(args) => args.run(client, output).await,
            Self::History(args) => args.run(client, output).await,
            Self::Presence(args) => args.run(client, output).await,
            Self::Receipts(args) => args.run(client, output).await,
            Self::Contacts(args) => args.run(client, output).await,
            Self::Trust(args) => args.run(client, output).await,
            Self::Usage(args) => args.run(client, output).await,
            Self::Chat(ask) => ask.run(client, output, stopping).await,
        }
    }
}

/// Carries commands out on a client.
#[derive(Clone)]
pub(crate) struct OnClient(pub(crate) Client);

impl Execute for OnClient {
    async fn execute(&self, request: Request, output: &mut impl Output, mut stopping: Stopping) -> Exit {
        let Request { command, timeout_ms } = request;
        let client = &self.0;
        if command.is_endless() {
            return command.run(client, output, stopping).await.into();
        }
        let mut state = StateOf::new(client);
        let work = command.run(client, output, stopping.clone());
        tokio::select! {
            done = timeout(Duration::from_millis(timeout_ms), work) => match done {
                Ok(result) => result.into(),
                Err(_) => ran_out(&command, client).await,
            },
            ended = state.stopped(), if !command.works_offline() => ended,
            () = stop_asked(&mut stopping) => Exit::failed(exit::INTERRUPTED, ""),
        }
    }
}

/// The time is over: whose fault is it?
async fn ran_out(command: &Command, client: &Client) -> Exit {
    let why = client::trouble(client).map(|text| format!(" ({text})")).unwrap_or_default();
    match command {
        Command::Send(args) if args.is_kept(client).await => {
            let text = "the message stays in the outbox, and the next sov command on this home sends it";
            Exit::failed(exit::TEMPORARY, format!("not accepted by the server yet{why}; {text}"))
        }
        _ if why.is_empty() => Exit::failed(exit::TEMPORARY, "not finished in time"),
        _ => Exit::failed(exit::UNAVAILABLE, format!("not finished in time{why}")),
    }
}
