//! From a command line to its end: opens the vault of the home and becomes its owner, or goes through who owns it.

use std::{future::Future, path::PathBuf, time::Duration};

use sovereign_client::{Client, Error, Options};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    agent::{self, Asked, Execute as _, Stopping, stop_asked},
    args::{Cli, Global, Verb},
    client,
    command::{Command, OnClient, Request},
    exit::{self, Exit},
    home,
    output::Terminal,
    secret,
    verbs::trust,
};

/// How often a home is tried whose owner neither serves nor lets go, and how long between.
const OWNER_TRIES: u32 = 150;
const OWNER_PAUSE: Duration = Duration::from_millis(100);

/// Runs one command line.
pub(crate) async fn run(cli: Cli) -> Exit {
    Box::pin(prepared(cli)).await.into()
}

async fn prepared(cli: Cli) -> Result<(), Exit> {
    let Global { home, json, passphrase_file, timeout: seconds, .. } = cli.global;
    let home = || match home.or_else(home::default_home) {
        Some(home) => Ok(std::path::absolute(home)?),
        None => Err(Exit::failed(exit::USAGE, "neither --home nor $XDG_DATA_HOME nor $HOME is set")),
    };
    let passphrase = passphrase_file.as_deref().map(secret::from_file).transpose()?;
    let options = Options { passphrase, ..Options::default() };
    let mut output = Terminal::new(json);
    let limit = Duration::from_secs(seconds);
    let command = match cli.verb {
        Verb::Join(args) => return Box::pin(joined(args.run(&home()?, options, &mut output), limit)).await,
        Verb::Login(args) => {
            // Pending: there is nothing to wait for until another device approves.
            let client = within(limit, args.run(&home()?, options, &mut output)).await?;
            client.close().await;
            return Ok(());
        }
        Verb::Devices(args) => Command::Devices(args),
        Verb::Send(args) => Command::Send(args.with_text()?),
        Verb::Listen(args) => Command::Listen(args),
        Verb::Groups(args) => Command::Groups(args),
        Verb::Group(args) => Command::Group(args),
        Verb::History(args) => Command::History(args),
        Verb::Presence(args) => Command::Presence(args),
        Verb::Receipts(args) => Command::Receipts(args),
        Verb::Contacts(args) => Command::Contacts(args),
        Verb::Trust(args) => Command::Trust(args),
        Verb::Demo(args) => return Box::pin(args.run(json)).await,
        Verb::Load(args) => return Box::pin(args.run(json)).await,
    };
    let timeout_ms = seconds * 1000;
    let stopping = stopping(&command)?;
    let mut here = Here { home: home()?, options, output, stopping };
    let Command::Trust(args) = &command else { return here.run(Request { command, timeout_ms }).await };
    let args = args.clone();
    here.run(Request { command, timeout_ms }).await?;
    let Some(fingerprint) = here.output.offered else { return Ok(()) };
    if !args.yes {
        trust::confirmed()?;
    }
    here.run(Request { command: Command::Trust(args.accepting(fingerprint)), timeout_ms }).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Exit>>) -> Result<T, Exit> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(Exit::failed(exit::UNAVAILABLE, "not finished in time")))
}

/// The account stands; what remains is to let others reach it.
async fn joined(work: impl Future<Output = Result<Client, Exit>>, limit: Duration) -> Result<(), Exit> {
    let client = within(limit, work).await?;
    // Without its key packages at the server nobody could add this device.
    if !matches!(timeout(limit, client.wait_reachable()).await, Ok(Ok(()))) {
        tracing::info!("nobody can add this device yet; the next command goes on");
    }
    client.close().await;
    Ok(())
}

/// Turns true at the first Ctrl-C (or SIGTERM), and when the time of `listen --for` is over. A second Ctrl-C ends the
/// process at once.
fn stopping(command: &Command) -> Result<Stopping, Exit> {
    let (stop, stopping) = watch::channel(false);
    let seconds = match command {
        Command::Listen(listen) => listen.seconds,
        _ => None,
    };
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        let over = async {
            match seconds {
                Some(seconds) => sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = over => {}
        }
        stop.send_replace(true);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(exit::INTERRUPTED.into());
    });
    Ok(stopping)
}

/// A command on its way, and what it needs.
struct Here {
    home: PathBuf,
    options: Options,
    output: Terminal,
    stopping: Stopping,
}

impl Here {
    async fn run(&mut self, mut request: Request) -> Result<(), Exit> {
        let mut tries = OWNER_TRIES;
        loop {
            match Client::open(&self.home, self.options.clone()).await {
                Ok(client) => return self.own(client, request).await.into_result(),
                Err(Error::VaultOwned) => {}
                Err(error) => return Err(client::exit(&error)),
            }
            let told = self.output.messages;
            match agent::ask(&self.home, &request, &mut self.output, self.stopping.clone()).await? {
                Asked::Ended(exit) => return exit.into_result(),
                Asked::Moved => {
                    tries = OWNER_TRIES;
                    if !still_to_do(&mut request, self.output.messages - told) || *self.stopping.borrow() {
                        return Ok(());
                    }
                }
                Asked::NobodyThere if tries == 0 => {
                    let text = "another process owns this home and does not answer; is it a sov?";
                    return Err(Exit::failed(exit::TEMPORARY, text));
                }
                Asked::NobodyThere => {
                    tries -= 1;
                    tokio::select! {
                        () = sleep(OWNER_PAUSE) => {}
                        () = stop_asked(&mut self.stopping) => return Err(Exit::failed(exit::INTERRUPTED, "")),
                    }
                }
            }
        }
    }

    /// Runs the command on the own client while serving others.
    async fn own(&mut self, client: Client, request: Request) -> Exit {
        let executor = OnClient(client.clone());
        let agent = match agent::serve(&self.home, executor.clone()) {
            Ok(agent) => Some(agent),
            Err(error) => {
                tracing::warn!(%error, "other commands on this home will have to wait");
                None
            }
        };
        let exit = executor.execute(request, &mut self.output, self.stopping.clone()).await;
        if let Some(agent) = agent {
            agent.finish().await;
        }
        client.close().await;
        exit
    }
}

/// Whether anything is left of a command of which `told` messages have been printed.
fn still_to_do(request: &mut Request, told: u64) -> bool {
    match &mut request.command {
        Command::Listen(listen) => match &mut listen.count {
            Some(count) => {
                *count = count.saturating_sub(told);
                *count > 0
            }
            None => true,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::listen;

    #[test]
    fn a_moved_listener_goes_on_with_what_is_left() {
        let request = |count| Request { command: Command::Listen(listen::Args { seconds: None, count }), timeout_ms: 0 };
        let mut counted = request(Some(5));
        assert!(still_to_do(&mut counted, 2));
        assert_eq!(counted, request(Some(3)));
        assert!(!still_to_do(&mut counted, 3));
        assert!(still_to_do(&mut request(None), 1000));
    }
}
