//! People talk: in pairs, in a group; and see each other type, and be there.

use sovereign_client::Policy;

use super::{
    alive::{is_there, press_keys, sees_typing},
    chat::Chat,
    people::{in_time, until},
    story::{ANN, BOB, CAROL, GROUP, NAMES, SHOWN, Story},
};
use crate::exit::{self, Exit};

impl Story {
    pub(super) async fn talk_in_pairs(&mut self) -> Result<(), Exit> {
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

    pub(super) async fn talk_in_a_group(&mut self) -> Result<(), Exit> {
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

    pub(super) async fn type_and_stop(&mut self) -> Result<(), Exit> {
        self.transcript.step("Bob types in the group, and stops")?;
        let group = self.chats.last().map(|chat| chat.id).unwrap_or_default();
        let bob = self.people[BOB].client();
        let mut watching = [ANN, CAROL].map(|who| (who, self.people[who].client().events()));
        for (who, events) in &mut watching {
            let seen = tokio::select! {
                seen = sees_typing(events, group, NAMES[BOB], true) => seen,
                () = press_keys(bob, group) => false,
            };
            self.transcript.check(format!("{} sees that he types", SHOWN[*who]), seen)?;
        }
        in_time(bob.typing(group, false)).await?;
        for (who, events) in &mut watching {
            let seen = sees_typing(events, group, NAMES[BOB], false).await;
            self.transcript.check(format!("{} sees that he has stopped", SHOWN[*who]), seen)?;
        }
        let mut holds = false;
        if let Some(chat) = self.chats.last() {
            holds = chat.agreement(&self.people).await.holds();
        }
        Ok(self.transcript.check("nothing of it stands in anybody's history", holds)?)
    }

    pub(super) async fn see_who_is_there(&mut self) -> Result<(), Exit> {
        self.transcript.step("Ann looks who is there")?;
        let ann = self.people[ANN].client();
        let there = until(async || {
            let known = ann.presence().await.ok()?;
            let is_seen = |name: &str| known.iter().any(|(username, _, presence)| username == name && is_there(*presence));
            [BOB, CAROL].iter().all(|who| is_seen(NAMES[*who])).then_some(())
        });
        let there = there.await.is_some();
        Ok(self.transcript.check("Bob and Carol are", there)?)
    }
}
