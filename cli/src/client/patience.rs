//! Waiting for the server, and for what it has to say.

use std::{pin::pin, time::Duration};

use sovereign_client::{Client, Error, ErrorClass, Event as Happening};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{sleep, timeout},
};

use super::{exit, trouble};
use crate::{event::Event, exit::Exit, output::Output};

/// How long commands that work offline wait for the newest state.
const CATCH_UP: Duration = Duration::from_secs(5);

/// How long nothing may happen until what came with a sign-in counts as taken in.
const QUIET: Duration = Duration::from_millis(250);
/// How long to wait for that at most.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// Between two tries, so that a connection that just broke off is seen as such.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Does the work once the client is live, and again when the connection broke off before an answer: whatever became
/// durable on the way is found by the next try. Ends with another error, or with the connection.
pub(crate) async fn persistently<T, F>(client: &Client, mut work: impl FnMut() -> F) -> Result<T, Exit>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        client.wait_live().await.map_err(|error| exit(&error))?;
        match work().await {
            Err(error) if error.class() == ErrorClass::Network => sleep(RETRY_PAUSE).await,
            result => return result.map_err(|error| exit(&error)),
        }
    }
}

/// Does the work, and tells meanwhile what the server makes it wait for.
pub(crate) async fn telling<T>(
    client: &Client,
    output: &mut impl Output,
    work: impl Future<Output = Result<T, Exit>>,
) -> Result<T, Exit> {
    let mut happenings = client.events();
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            happening = happenings.recv() => match happening {
                Ok(delay @ Happening::Delayed { .. }) => output.emit(happening_event(delay)).await?,
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return work.await,
            },
        }
    }
}

fn happening_event(delay: Happening) -> Vec<Event> {
    super::happening(delay, |account| super::hex(account)).into_iter().collect()
}

/// After a sign-in: a new group's entries follow once its Welcome was taken, and names of people are asked for. Waits
/// until nothing has happened for a moment.
pub(super) async fn settle(client: &Client) {
    let mut happenings = client.events();
    let quiet = async { while timeout(QUIET, happenings.recv()).await.is_ok_and(|happening| happening.is_ok()) {} };
    // A group where something happens all the time is shown as it is.
    timeout(SETTLE_MAX, quiet).await.ok();
}

/// Waits a little for the newest state; says so if there is none to be had.
pub(crate) async fn catch_up(client: &Client, output: &mut impl Output) -> Result<(), Exit> {
    if matches!(timeout(CATCH_UP, client.wait_live()).await, Ok(Ok(()))) {
        settle(client).await;
    } else {
        let why = trouble(client).unwrap_or_else(|| "offline".to_owned());
        output.emit(vec![Event::Note { text: format!("showing what this device knows ({why})") }]).await?;
    }
    Ok(())
}
