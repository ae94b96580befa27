//! What happens, and what has to hold, in order.

use std::{
    io::Stdout,
    path::{Path, PathBuf},
};

use super::{
    chat::Chat,
    people::{Person, until},
    transcript::Transcript,
};
use crate::{
    exit::{self, Exit},
    local_server::LocalServer,
};

/// Who takes part, by username and as the transcript calls them.
pub(super) const NAMES: [&str; 3] = ["ann", "bob", "carol"];
pub(super) const SHOWN: [&str; 3] = ["Ann", "Bob", "Carol"];
pub(super) const ANN: usize = 0;
pub(super) const BOB: usize = 1;
pub(super) const CAROL: usize = 2;
/// What the group is called.
pub(super) const GROUP: &str = "The tea club";
/// Everything that the story is about.
pub(super) struct Story {
    binary: PathBuf,
    directory: PathBuf,
    pub(super) transcript: Transcript<Stdout>,
    pub(super) server: Option<LocalServer>,
    pub(super) people: Vec<Person>,
    /// Of two, in the order they were made, and then the group.
    pub(super) chats: Vec<Chat>,
}

impl Story {
    /// Nothing has happened yet.
    pub(super) fn new(binary: PathBuf, directory: &Path, transcript: Transcript<Stdout>) -> Self {
        let (people, chats) = (Vec::new(), Vec::new());
        Self { binary, directory: directory.to_owned(), transcript, server: None, people, chats }
    }

    /// Plays it to its end. What cannot be done counts as a check that failed; an error is output that cannot be written.
    pub(super) async fn play(&mut self) -> Result<(), Exit> {
        match self.steps().await {
            Err(exit) if exit.code != exit::IO => {
                Ok(self.transcript.check(format!("the step can be finished: {}", exit.message), false)?)
            }
            other => other,
        }
    }

    /// Everybody goes home, and the server is killed.
    pub(super) async fn end(&mut self) {
        for person in &mut self.people {
            person.leave().await;
        }
        if let Some(mut server) = self.server.take() {
            // A server that cannot be killed has gone already.
            drop(server.kill().await);
        }
    }

    async fn steps(&mut self) -> Result<(), Exit> {
        self.start().await?;
        self.join().await?;
        self.talk_in_pairs().await?;
        self.talk_in_a_group().await?;
        self.type_and_stop().await?;
        self.see_who_is_there().await?;
        self.take_one_offline().await?;
        let sends = self.kill_the_server().await?;
        self.restart_the_server(sends).await?;
        self.bring_everybody_back().await?;
        self.compare().await?;
        self.search_the_server().await
    }

    async fn start(&mut self) -> Result<(), Exit> {
        self.transcript.step("Start a server, in a new directory and on a free port of this machine")?;
        let server = LocalServer::start(self.binary.clone(), &self.directory, &[]).await?;
        self.transcript.did(format!("{} at {}", server.binary().display(), server.url))?;
        self.server = Some(server);
        Ok(self.transcript.check("it says that it takes connections", true)?)
    }

    async fn join(&mut self) -> Result<(), Exit> {
        self.transcript.step("Ann, Bob and Carol join by an invite link")?;
        let link = self.server()?.invite(NAMES.len()).await?;
        self.transcript.did(link.split('#').next().unwrap_or_default())?;
        for name in NAMES {
            self.people.push(Person::join(name, &self.directory, &link).await?);
        }
        let names: Vec<String> = self.people.iter().map(|person| person.client().account().username).collect();
        self.transcript.check("each has an account, a device of its own, and can be reached", names == NAMES)?;
        let fourth = Person::join("dave", &self.directory, &link).await;
        Ok(self
            .transcript
            .check("a fourth is refused: the link was for three", fourth.is_err_and(|exit| exit.code == exit::NOT_PERMITTED))?)
    }

    /// Equal authenticators (RFC 9420, section 8.7) are equal secrets.
    pub(super) async fn check_secrets(&mut self) -> Result<(), Exit> {
        for chat in &self.chats {
            let same = until(async || {
                let mut seen = Vec::new();
                for member in &chat.members {
                    seen.push(self.people[*member].client().epoch_authenticator(chat.id).await.ok()?);
                }
                seen.windows(2).all(|pair| pair[0] == pair[1]).then_some(seen[0].0)
            });
            let same = same.await;
            let epoch = same.map(|epoch| format!(" of epoch {epoch}")).unwrap_or_default();
            self.transcript
                .check(format!("{}: the same secrets{epoch} (MLS epoch authenticator)", names(chat)), same.is_some())?;
        }
        Ok(())
    }

    pub(super) fn server(&self) -> Result<&LocalServer, Exit> {
        self.server.as_ref().ok_or_else(|| Exit::failed(exit::FAILED, "there is no server"))
    }

    pub(super) fn server_mut(&mut self) -> Result<&mut LocalServer, Exit> {
        self.server.as_mut().ok_or_else(|| Exit::failed(exit::FAILED, "there is no server"))
    }
}

pub(super) fn names(chat: &Chat) -> String {
    chat.members.iter().map(|member| SHOWN[*member]).collect::<Vec<_>>().join(", ")
}
