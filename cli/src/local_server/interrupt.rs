//! Ctrl-C, for those who have to clean up behind themselves.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends at the first Ctrl-C, SIGTERM or SIGHUP from now on.
pub(crate) fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
