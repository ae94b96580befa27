//! A command on its way: it opens the vault of the home and becomes its owner, or goes through who owns it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sovereign_client::{Client, Error, Options};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    agent::{self, Asked, Execute as _, Stopping, stop_asked},
    client,
    command::{Command, OnClient, Request},
    exit::{self, Exit},
    output::Output,
};

/// How often a home is tried whose owner neither serves nor lets go, and how long between.
const OWNER_TRIES: u32 = 150;
const OWNER_PAUSE: Duration = Duration::from_millis(100);

/// A command on its way, and what it needs.
pub(crate) struct Here<O> {
    pub(crate) home: PathBuf,
    pub(crate) options: Options,
    pub(crate) output: O,
    pub(crate) stopping: Stopping,
    /// Told who carries commands out, for those that are run beside this one.
    pub(crate) road: watch::Sender<Road>,
}

/// Who carries out the commands of a home.
#[derive(Clone)]
pub(crate) enum Road {
    /// Nobody, for the moment.
    Nobody,
    /// This process, which owns the vault.
    Own(OnClient),
    /// Another process, through its socket.
    Other,
}

/// Runs a short command beside an endless one of this process, over the same road.
pub(crate) async fn beside(
    mut road: watch::Receiver<Road>,
    home: &Path,
    request: &Request,
    output: &mut impl Output,
    stopping: Stopping,
) -> Exit {
    for _ in 0..OWNER_TRIES {
        let now = road.borrow_and_update().clone();
        match now {
            Road::Own(client) => return client.execute(request.clone(), output, stopping).await,
            Road::Other => match agent::ask(home, request, output, stopping.clone()).await {
                Ok(Asked::Ended(exit)) => return exit,
                Ok(Asked::Moved | Asked::NobodyThere) => {}
                Err(error) => return error.into(),
            },
            Road::Nobody => {}
        }
        // Between two owners.
        timeout(OWNER_PAUSE, road.changed()).await.ok();
    }
    Exit::failed(exit::TEMPORARY, "no process owns this home for the moment")
}

impl<O: Output> Here<O> {
    /// Runs the command to its end, as the owner of the home or through whoever owns it.
    pub(crate) async fn run(&mut self, mut request: Request) -> Result<(), Exit> {
        let mut tries = OWNER_TRIES;
        loop {
            match Client::open(&self.home, self.options.clone()).await {
                Ok(client) => return self.own(client, request).await.into_result(),
                Err(Error::VaultOwned) => {}
                Err(error) => return Err(client::exit(&error)),
            }
            let told = self.output.messages();
            self.road.send_replace(Road::Other);
            match agent::ask(&self.home, &request, &mut self.output, self.stopping.clone()).await? {
                Asked::Ended(exit) => return exit.into_result(),
                Asked::Moved => {
                    tries = OWNER_TRIES;
                    if !still_to_do(&mut request, self.output.messages() - told) || *self.stopping.borrow() {
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
        self.road.send_replace(Road::Own(executor.clone()));
        let exit = executor.execute(request, &mut self.output, self.stopping.clone()).await;
        self.road.send_replace(Road::Nobody);
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
