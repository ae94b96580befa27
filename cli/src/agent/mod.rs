//! One process owns a vault; other `sov` commands on the same home go through it.
//!
//! The owner listens on `HOME/agent.sock` (0600, in a directory of 0700). Another command connects, sends itself as one
//! JSON line, prints the events it gets and says so after each flush, so that an owner never takes a line for read that
//! nobody saw. When the owner's own command is done it takes no new ones, finishes those it serves, and asks listeners
//! to go on by themselves: the first of them becomes the next owner.

mod ask;
mod serve;
#[cfg(test)]
mod tests;
mod wire;

use tokio::sync::watch;

pub(crate) use self::{
    ask::{Asked, ask},
    serve::serve,
};
use crate::{command::Request, exit::Exit, output::Output};

/// Asks a command to end where nothing is lost. A handle that is gone asks nothing.
pub(crate) type Stopping = watch::Receiver<bool>;

/// Waits until stopping is asked for. Cancel safe.
pub(crate) async fn stop_asked(stopping: &mut Stopping) {
    if stopping.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Carries commands out. Tests stand another one in for the client.
pub(crate) trait Execute: Clone + Send + Sync + 'static {
    /// Runs one command to its end. Dropping the future ends it, too.
    fn execute(&self, request: Request, output: &mut impl Output, stopping: Stopping) -> impl Future<Output = Exit> + Send;
}
