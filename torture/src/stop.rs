//! Ctrl-C. Asked once, a run begins no further fault, comes to rest and is checked; asked twice, it ends where it is, with
//! its server.

use std::{future::Future, io};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// How often somebody has asked to stop.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<u32>);

impl Stop {
    /// Listens from now on to SIGINT and SIGTERM, which end the process by themselves no more.
    pub(crate) fn listen() -> io::Result<Self> {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let (asked, receiver) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                asked.send_modify(|times| *times += 1);
            }
        });
        Ok(Self(receiver))
    }

    /// Whether somebody has asked.
    pub(crate) fn asked(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// The work, unless somebody has asked so often before it is done.
    pub(crate) async fn unless<T>(&self, times: u32, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut receiver = self.0.clone();
        tokio::select! {
            done = work => done,
            Ok(_) = receiver.wait_for(|asked| *asked >= times) => Err(stopped()),
        }
    }
}

/// What a run that was stopped comes to.
pub(crate) fn stopped() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "stopped before its end")
}
