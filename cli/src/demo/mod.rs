//! `sov demo`: a server, three people, a crash, and what was verified at every step.

mod alive;
mod chat;
mod crash;
mod ending;
mod people;
mod search;
mod sends;
mod story;
mod talk;
mod transcript;

use std::{io, path::PathBuf, time::Duration};

use sovereign_client::clock::Clock;

use self::{story::Story, transcript::Transcript};
use crate::{
    exit::{self, Exit},
    local_server::{self, Scratch, interrupted},
    output::style,
};

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The server's binary [default: `sovereign` beside sov, else on the PATH]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// Keep the directory with the server's data and everybody's homes, and say where it is
    #[arg(long)]
    keep: bool,
}

impl Args {
    /// Plays it. An error unless everything held; whatever happens, the server is gone afterwards.
    pub(crate) async fn run(self, json: bool) -> Result<(), Exit> {
        let binary = local_server::find(self.server.as_deref())?;
        let interrupted = interrupted()?;
        let clock = Clock::default();
        let started_ms = clock.now_ms();
        let scratch = Scratch::new("sov-demo-", self.keep)?;
        let mut story = Story::new(binary, scratch.path(), Transcript::new(io::stdout(), style(json)));
        let played = tokio::select! {
            played = Box::pin(story.play()) => played,
            () = interrupted => Err(Exit::failed(exit::INTERRUPTED, "")),
        };
        story.end().await;
        let kept = scratch.end().await?;
        played?;
        if let Some(kept) = kept {
            eprintln!("kept: {}", kept.display());
        }
        let took = Duration::from_millis(clock.now_ms().saturating_sub(started_ms));
        if story.transcript.verdict(took)? { Ok(()) } else { Err(Exit::failed(exit::FAILED, "")) }
    }
}
