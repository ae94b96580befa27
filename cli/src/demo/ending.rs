//! What everybody has in the end, and what the server has of it.

use super::{
    chat::Chat,
    search::search,
    story::{GROUP, Story, names},
};
use crate::exit::Exit;

impl Story {
    pub(super) async fn compare(&mut self) -> Result<(), Exit> {
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
    pub(super) async fn search_the_server(&mut self) -> Result<(), Exit> {
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
}
