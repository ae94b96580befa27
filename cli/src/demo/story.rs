//! What happens, and what has to hold, in order.

use std::{
    io::Stdout,
    path::{Path, PathBuf},
    time::Duration,
};

use sovereign_client::Policy;
use tokio::time::timeout;

use super::{
    chat::Chat,
    people::{PATIENCE, Person, in_time, until},
    search::search,
    sends::Sends,
    transcript::Transcript,
};
use crate::{
    exit::{self, Exit},
    local_server::LocalServer,
};

/// Who takes part, by username and as the transcript calls them.
const NAMES: [&str; 3] = ["ann", "bob", "carol"];
const SHOWN: [&str; 3] = ["Ann", "Bob", "Carol"];
const ANN: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;
/// What the group is called.
const GROUP: &str = "The tea club";
/// Messages of each person while one is away.
const MEANWHILE: usize = 5;
/// Messages of each person in the traffic that the kill meets.
const TRAFFIC: usize = 20;
/// After so many of each, some answers are waited for, so that the traffic flows.
const FLOWS_AFTER: usize = 10;
const ANSWERED: usize = 8;
/// After so many of each, the server is killed; the rest is sent while it dies.
const KILLED_AFTER: usize = 16;
/// After a kill people wait a little before they come back, each a different time.
const RETURN: Duration = PATIENCE.saturating_mul(2);
/// Messages of an inbox that are looked at.
const INBOX: usize = 1000;

/// Everything that the story is about.
pub(super) struct Story {
    binary: PathBuf,
    directory: PathBuf,
    pub(super) transcript: Transcript<Stdout>,
    server: Option<LocalServer>,
    people: Vec<Person>,
    /// Of two, in the order they were made, and then the group.
    chats: Vec<Chat>,
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

    async fn talk_in_pairs(&mut self) -> Result<(), Exit> {
        self.transcript.step("Ann writes to Bob and to Carol, and both answer")?;
        for other in [BOB, CAROL] {
            let (ann, them) = (&self.people[ANN], &self.people[other]);
            let question = format!("Tea at four, {}? Bring the good cups.", SHOWN[other]);
            let answer = format!("{} says: with pleasure.", SHOWN[other]);
            let asked = in_time(ann.client().send_to(&[them.name.to_owned()], &question)).await?;
            let arrived = until(async || them.client().history(asked.group, 1).await.ok()?.pop()).await;
            let right = arrived.is_some_and(|message| message.text == question && message.from == ann.name);
            self.transcript.check(format!("{} has her words, and knows they are hers", SHOWN[other]), right)?;
            let answered = in_time(them.client().send_to(&[ann.name.to_owned()], &answer)).await?;
            self.transcript.check("the answer stands in the same conversation", answered.group == asked.group)?;
            let mut chat = Chat::new(asked.group, vec![ANN, other]);
            for (by, text, sent) in [(ann.name, &question, asked), (them.name, &answer, answered)] {
                chat.say(by, text);
                chat.accepted(text, sent.seq);
            }
            let agreed = chat.agreement(&self.people).await.holds();
            self.transcript.check(format!("Ann and {} see the same two messages", SHOWN[other]), agreed)?;
            self.chats.push(chat);
        }
        Ok(())
    }

    async fn talk_in_a_group(&mut self) -> Result<(), Exit> {
        self.transcript.step("Ann makes a group of three, and everybody says something")?;
        let others = [NAMES[BOB].to_owned(), NAMES[CAROL].to_owned()];
        let group = in_time(self.people[ANN].client().create_group(GROUP, &others, Policy::Equal)).await?;
        let mut chat = Chat::new(group, vec![ANN, BOB, CAROL]);
        for (person, shown) in self.people.iter().zip(SHOWN) {
            let joined = until(async || person.client().epoch_authenticator(group).await.ok()).await;
            joined.ok_or_else(|| Exit::failed(exit::TEMPORARY, format!("{shown} was not added in time")))?;
            let text = format!("{shown} is here, and the kettle is on.");
            let sent = in_time(person.client().send(group, &text)).await?;
            chat.say(person.name, &text);
            chat.accepted(&text, sent.seq);
        }
        let agreed = chat.agreement(&self.people).await.holds();
        self.transcript.check("all three have all three messages, in the same order", agreed)?;
        self.chats.push(chat);
        self.check_secrets().await
    }

    async fn take_one_offline(&mut self) -> Result<(), Exit> {
        self.transcript.step("Carol goes offline; the others go on")?;
        self.people[CAROL].leave().await;
        let (group, mut sends) = (self.chats.len() - 1, Sends::default());
        for number in 1..=MEANWHILE {
            for by in [ANN, BOB] {
                let text = format!("{} says, while Carol is away: cup number {number}", SHOWN[by]);
                sends.begin(self.people[by].client(), &mut self.chats[group], NAMES[by], text);
            }
        }
        in_time_all(&mut sends, &mut self.chats[group]).await?;
        let text = "Carol, there is a cup left for you.".to_owned();
        sends.begin(self.people[ANN].client(), &mut self.chats[1], NAMES[ANN], text);
        in_time_all(&mut sends, &mut self.chats[1]).await?;
        let accepted = 2 * MEANWHILE + 1;
        Ok(self
            .transcript
            .check(format!("the server keeps {accepted} messages for her: all were accepted"), sends.outstanding() == 0)?)
    }

    async fn kill_the_server(&mut self) -> Result<Sends, Exit> {
        self.transcript.step("Kill the server with SIGKILL, in the middle of traffic")?;
        let (group, mut sends) = (self.chats.len() - 1, Sends::default());
        let server = self.server.as_mut().ok_or_else(|| Exit::failed(exit::FAILED, "there is no server"))?;
        let chat = &mut self.chats[group];
        for number in 1..=TRAFFIC {
            for by in [ANN, BOB] {
                let text = format!("{} says, as the lights go out: word number {number}", SHOWN[by]);
                sends.begin(self.people[by].client(), chat, NAMES[by], text);
            }
            if number == FLOWS_AFTER {
                for _ in 0..ANSWERED {
                    timeout(PATIENCE, sends.take_one(chat)).await.map_err(|_| too_slow())??;
                }
            }
            if number == KILLED_AFTER {
                server.start_kill()?;
            }
        }
        let status = server.kill().await?;
        sends.take_ready(chat)?;
        let (total, outstanding) = (2 * TRAFFIC, sends.outstanding());
        self.transcript.did(format!("it ended by {status}"))?;
        let text = format!("{} of {total} messages were accepted, {outstanding} were on their way", total - outstanding);
        self.transcript.check(text, outstanding > 0 && outstanding < total)?;
        Ok(sends)
    }

    async fn restart_the_server(&mut self, mut sends: Sends) -> Result<(), Exit> {
        self.transcript.step("Start it again on the same directory")?;
        let waiting = sends.outstanding();
        let server = self.server_mut()?;
        server.restart().await?;
        let runs = server.pid().is_some();
        self.transcript.check("it takes connections again", runs)?;
        let group = self.chats.last_mut().ok_or_else(|| Exit::failed(exit::FAILED, "there is no group"))?;
        let done = timeout(RETURN, sends.take_all(group)).await.map_err(|_| too_slow())?;
        let text = format!("Ann and Bob are back by themselves, and the {waiting} messages were accepted");
        Ok(self.transcript.check(text, done.is_ok())?)
    }

    async fn bring_everybody_back(&mut self) -> Result<(), Exit> {
        self.transcript.step("Carol comes back")?;
        self.people[CAROL].come_back().await?;
        let carol = &self.people[CAROL];
        let mine = self.chats.iter().filter(|chat| chat.members.contains(&CAROL));
        let mut waiting: Vec<&str> = mine.flat_map(|chat| chat.texts_of_others(carol.name)).collect();
        waiting.sort_unstable();
        let whole = until(async || {
            let inbox = carol.client().unlistened(INBOX).await.ok()?;
            (inbox.len() >= waiting.len()).then_some(inbox)
        });
        let mut inbox: Vec<String> = whole.await.unwrap_or_default().into_iter().map(|message| message.text).collect();
        inbox.sort_unstable();
        let text = format!("her inbox holds the {} messages of the others, each once", waiting.len());
        Ok(self.transcript.check(text, inbox == waiting)?)
    }

    async fn compare(&mut self) -> Result<(), Exit> {
        self.transcript.step("Compare what everybody has")?;
        for chat in &self.chats {
            let agreement = chat.agreement(&self.people).await;
            let (names, count) = (names(chat), chat.count());
            self.transcript.check(format!("{names}: {count} messages, each exactly once"), agreement.complete)?;
            self.transcript.check(format!("{names}: the same order for everybody"), agreement.same)?;
            self.transcript.check(format!("{names}: each where the server told its sender"), agreement.in_order)?;
        }
        self.check_secrets().await
    }

    /// After its end: files that are written to meanwhile could be missed by a search.
    async fn search_the_server(&mut self) -> Result<(), Exit> {
        self.transcript.step("Stop the server, and search everything it has written for what was said")?;
        let server = self.server_mut()?;
        let places = [server.data(), server.log()];
        server.kill().await?;
        let texts: Vec<&str> = self.chats.iter().flat_map(Chat::texts).chain([GROUP]).collect();
        let found = search(&places, texts.iter().map(|text| text.as_bytes()))?;
        let accounts: Vec<[u8; 16]> = self.people.iter().map(|person| person.client().account().account_id).collect();
        let control = search(&places, accounts.iter().map(<[u8; 16]>::as_slice))?;
        self.transcript.did(format!("{} files, {} KiB; as text, hex and base64", found.files, found.bytes / 1024))?;
        let text = format!("none of the {} messages is in there, nor the group's name", texts.len() - 1);
        self.transcript.check(text, found.what.is_empty())?;
        let text = "the same search does find what a server has to know: everybody's account id";
        Ok(self.transcript.check(text, control.what.len() == accounts.len())?)
    }

    /// Equal authenticators (RFC 9420, section 8.7) are equal secrets.
    async fn check_secrets(&mut self) -> Result<(), Exit> {
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

    fn server(&self) -> Result<&LocalServer, Exit> {
        self.server.as_ref().ok_or_else(|| Exit::failed(exit::FAILED, "there is no server"))
    }

    fn server_mut(&mut self) -> Result<&mut LocalServer, Exit> {
        self.server.as_mut().ok_or_else(|| Exit::failed(exit::FAILED, "there is no server"))
    }
}

fn names(chat: &Chat) -> String {
    chat.members.iter().map(|member| SHOWN[*member]).collect::<Vec<_>>().join(", ")
}

async fn in_time_all(sends: &mut Sends, chat: &mut Chat) -> Result<(), Exit> {
    timeout(PATIENCE, sends.take_all(chat)).await.map_err(|_| too_slow())?
}

fn too_slow() -> Exit {
    Exit::failed(exit::TEMPORARY, "it took too long")
}
