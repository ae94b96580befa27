//! Messages on their way: several at once, their order that of the calls.

use std::task::{Context, Waker};

use sovereign_client::{Client, Error, Sent};
use tokio::task::JoinSet;

use super::chat::Chat;
use crate::{client, exit::Exit};

/// Sends whose answer has not come.
#[derive(Default)]
pub(super) struct Sends(JoinSet<(String, Result<Sent, Error>)>);

impl Sends {
    /// How many.
    pub(super) fn outstanding(&self) -> usize {
        self.0.len()
    }

    /// Puts it into the sender's outbox at once; the answer comes later.
    pub(super) fn begin(&mut self, client: &Client, chat: &mut Chat, by: &'static str, text: String) {
        chat.say(by, &text);
        let (client, group) = (client.clone(), chat.id);
        let mut sending = Box::pin(async move {
            let sent = client.send(group, &text).await;
            (text, sent)
        });
        // The first step is the one that puts it into the outbox, so that the order is the one of these calls.
        match sending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(done) => drop(self.0.spawn(std::future::ready(done))),
            std::task::Poll::Pending => drop(self.0.spawn(sending)),
        }
    }

    /// Waits for one answer and notes it.
    pub(super) async fn take_one(&mut self, chat: &mut Chat) -> Result<(), Exit> {
        match self.0.join_next().await {
            Some(done) => note(done.expect("a send does not panic"), chat),
            None => Ok(()),
        }
    }

    /// Notes the answers that are there already.
    pub(super) fn take_ready(&mut self, chat: &mut Chat) -> Result<(), Exit> {
        while let Some(done) = self.0.try_join_next() {
            note(done.expect("a send does not panic"), chat)?;
        }
        Ok(())
    }

    /// Waits for all answers.
    pub(super) async fn take_all(&mut self, chat: &mut Chat) -> Result<(), Exit> {
        while self.outstanding() > 0 {
            self.take_one(chat).await?;
        }
        Ok(())
    }
}

fn note((text, sent): (String, Result<Sent, Error>), chat: &mut Chat) -> Result<(), Exit> {
    let sent = sent.map_err(|error| client::exit(&error))?;
    chat.accepted(&text, sent.seq);
    Ok(())
}
