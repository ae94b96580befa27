//! `sov listen`: new messages as they come.
//!
//! Every message, and every notice of the server, stands in the vault's inbox until a listener has written and flushed
//! its line; only then does the inbox move past it. So a message comes again if the listener was killed before, and none is lost. Several listeners on one
//! home all get every message that arrives while they listen; what waited before goes to whoever is first.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sovereign_client::{Client, Event as Happening, InboxItem, Message, Notice};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    agent::{Stopping, stop_asked},
    client::{self, StateOf},
    event::Event,
    exit::Exit,
    output::Output,
};

/// Messages taken from the inbox at once. After a kill at most so many lines come again.
const PAGE: usize = 32;

/// The arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
pub(crate) struct Args {
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    pub(crate) seconds: Option<u64>,
    /// End after so many messages
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

impl Args {
    /// Runs until `count` messages were told, stopping is asked for, or the connection ends for good. `seconds` is kept
    /// by the process that was asked, which stops this one.
    pub(crate) async fn run(&self, client: &Client, output: &mut impl Output, stopping: Stopping) -> Result<(), Exit> {
        let listener = Listener {
            client,
            output,
            own_device: client.account().device_id,
            last: 0,
            told_notice: None,
            left: self.count.unwrap_or(u64::MAX),
            titles: HashMap::new(),
            stopping,
        };
        listener.run().await
    }
}

struct Listener<'a, O> {
    client: &'a Client,
    output: &'a mut O,
    own_device: [u8; 16],
    /// The local number of the newest message that was told.
    last: u64,
    /// The newest notice of the server that was told, with its time.
    told_notice: Option<(String, u64)>,
    /// How many messages are still to be told.
    left: u64,
    titles: HashMap<[u8; 32], String>,
    stopping: Stopping,
}

impl<O: Output> Listener<'_, O> {
    async fn run(mut self) -> Result<(), Exit> {
        let mut happenings = self.client.events();
        let mut state = StateOf::new(self.client);
        let mut told = state.event();
        self.output.emit(vec![told.clone()]).await?;
        let mut stopping = self.stopping.clone();
        loop {
            self.tell_inbox().await?;
            if self.is_over() {
                return Ok(());
            }
            tokio::select! {
                () = stop_asked(&mut stopping) => return Ok(()),
                happening = happenings.recv() => match happening {
                    Ok(happening) => self.take(happening).await?,
                    // Whatever was missed of messages stands in the inbox.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
                event = state.changed() => {
                    if event != told {
                        told = event.clone();
                        self.output.emit(vec![event]).await?;
                    }
                    if let Some(exit) = state.end() {
                        return Err(exit);
                    }
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.left == 0 || *self.stopping.borrow()
    }

    /// Everything that waits in the inbox, in its order.
    async fn tell_inbox(&mut self) -> Result<(), Exit> {
        loop {
            let mut page = self.client.inbox(PAGE).await.map_err(|error| client::exit(&error))?;
            page.retain(|item| item.local_no() > self.last);
            if page.is_empty() || self.is_over() {
                return Ok(());
            }
            let before = self.last;
            for item in page {
                if self.is_over() {
                    break;
                }
                match item {
                    InboxItem::Message(message) => self.tell(&message).await?,
                    InboxItem::Notice(notice) => self.tell_notice(notice).await?,
                }
            }
            if self.last > before {
                self.client.mark_listened(self.last).await.map_err(|error| client::exit(&error))?;
            }
        }
    }

    async fn tell(&mut self, message: &Message) -> Result<(), Exit> {
        if message.from_device != self.own_device {
            let title = self.title(message.group).await?;
            self.output.emit(vec![client::message(message, &title)]).await?;
            self.left -= 1;
        }
        self.last = message.local_no;
        Ok(())
    }

    async fn tell_notice(&mut self, Notice { text, time_ms, local_no }: Notice) -> Result<(), Exit> {
        self.output.emit(vec![Event::ServerNotice { text: text.clone(), time_ms }]).await?;
        self.told_notice = Some((text, time_ms));
        self.last = local_no;
        Ok(())
    }

    async fn take(&mut self, happening: Happening) -> Result<(), Exit> {
        if let Happening::Message(message) = &happening {
            if message.local_no > self.last {
                // Older ones first; if another listener moved the inbox past this one, it is told from here.
                self.tell_inbox().await?;
            }
            if message.local_no > self.last && !self.is_over() {
                self.tell(message).await?;
                self.client.mark_listened(self.last).await.map_err(|error| client::exit(&error))?;
            }
            return Ok(());
        }
        if let Happening::ServerNotice { text, time_ms } = &happening {
            self.tell_inbox().await?;
            // Another listener may have moved the inbox past it: then it is told from here.
            let told = self.told_notice.as_ref().is_some_and(|(last, at)| *at > *time_ms || (*at == *time_ms && last == text));
            if told || self.is_over() {
                return Ok(());
            }
            self.told_notice = Some((text.clone(), *time_ms));
        }
        let names = client::names_in(self.client, &happening).await?;
        let name = |account: &[u8; 16]| names.get(account).cloned().unwrap_or_else(|| client::hex(account));
        let Some(event) = client::happening(happening, name) else { return Ok(()) };
        if matches!(event, Event::Renamed { .. } | Event::Members { .. } | Event::Joined { .. } | Event::Reset { .. }) {
            self.titles.clear();
        }
        Ok(self.output.emit(vec![event]).await?)
    }

    async fn title(&mut self, group: [u8; 32]) -> Result<String, Exit> {
        if let Some(title) = self.titles.get(&group) {
            return Ok(title.clone());
        }
        let title = client::title_of(self.client, &group).await?;
        self.titles.insert(group, title.clone());
        Ok(title)
    }
}
