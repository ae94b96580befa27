//! One is away, the server dies, and everybody comes back.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    alive::sees_presence,
    chat::Chat,
    people::{PATIENCE, until},
    sends::Sends,
    story::{ANN, BOB, CAROL, NAMES, SHOWN, Story},
};
use crate::exit::{self, Exit};

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

impl Story {
    pub(super) async fn take_one_offline(&mut self) -> Result<(), Exit> {
        self.transcript.step("Carol goes offline; the others go on")?;
        let mut seen_by_ann = self.people[ANN].client().events();
        self.people[CAROL].leave().await;
        let seen = sees_presence(&mut seen_by_ann, NAMES[CAROL], false).await;
        self.transcript.check("Ann sees that she has gone", seen)?;
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

    pub(super) async fn kill_the_server(&mut self) -> Result<Sends, Exit> {
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

    pub(super) async fn restart_the_server(&mut self, mut sends: Sends) -> Result<(), Exit> {
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

    pub(super) async fn bring_everybody_back(&mut self) -> Result<(), Exit> {
        self.transcript.step("Carol comes back")?;
        let mut seen_by_ann = self.people[ANN].client().events();
        self.people[CAROL].come_back().await?;
        let seen = sees_presence(&mut seen_by_ann, NAMES[CAROL], true).await;
        self.transcript.check("Ann sees that she is there again", seen)?;
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
}

async fn in_time_all(sends: &mut Sends, chat: &mut Chat) -> Result<(), Exit> {
    timeout(PATIENCE, sends.take_all(chat)).await.map_err(|_| too_slow())?
}

fn too_slow() -> Exit {
    Exit::failed(exit::TEMPORARY, "it took too long")
}
