//! From a command line to its end.

use std::{future::Future, time::Duration};

use sovereign_client::{Client, Options};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    agent::Stopping,
    args::{Cli, Global, Verb},
    chat,
    command::{Command, Request},
    exit::{self, Exit},
    here::{Here, Road},
    home,
    output::Terminal,
    secret,
    verbs::trust,
};

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
        Verb::Chat(args) => {
            if json {
                return Err(Exit::failed(exit::USAGE, "chat is for people; for JSON use `sov listen` and `sov send`"));
            }
            let (stop, stopping) = watch::channel(false);
            on_signals(stop.clone(), None)?;
            return Box::pin(chat::run(&args, home()?, options, stop, stopping)).await;
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
        Verb::Usage(args) => Command::Usage(args),
        Verb::Demo(args) => return Box::pin(args.run(json)).await,
        Verb::Load(args) => return Box::pin(args.run(json)).await,
    };
    let timeout_ms = seconds * 1000;
    let stopping = stopping(&command)?;
    let road = watch::Sender::new(Road::Nobody);
    let mut here = Here { home: home()?, options, output, stopping, road };
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

/// Turns true at the first Ctrl-C (or SIGTERM), and when the time of `listen --for` is over.
fn stopping(command: &Command) -> Result<Stopping, Exit> {
    let (stop, stopping) = watch::channel(false);
    let seconds = match command {
        Command::Listen(listen) => listen.seconds,
        _ => None,
    };
    on_signals(stop, seconds)?;
    Ok(stopping)
}

/// Asks for an end at the first signal, or after so many seconds. A second Ctrl-C ends the process at once.
fn on_signals(stop: watch::Sender<bool>, seconds: Option<u64>) -> Result<(), Exit> {
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
    Ok(())
}
