//! One conversation as the screen knows it.

use std::collections::{BTreeMap, BTreeSet};

use super::compose::Composer;

/// Messages kept of a conversation that is not looked at; older ones come again from the history.
const KEPT: usize = 200;
/// Remarks kept between the messages.
const NOTES_MAX: usize = 50;

/// A conversation.
#[derive(Clone, Debug, Default)]
pub(super) struct Conversation {
    /// Its group; `None` until the first message to these people was accepted.
    pub(super) group: Option<String>,
    pub(super) title: String,
    /// Everybody's names, oneself included.
    pub(super) members: Vec<String>,
    pub(super) direct: bool,
    /// `active`, `joining`, `leaving`, `frozen`, `left`.
    pub(super) state: String,
    /// A stranger has begun it.
    pub(super) request: bool,
    /// By place in the log.
    pub(super) messages: BTreeMap<u64, Said>,
    /// What happened here, each behind a place in the log. Told while one looks, and kept nowhere.
    pub(super) notes: Vec<(u64, String)>,
    /// Own messages that the server has not accepted.
    pub(super) pending: Vec<Pending>,
    pub(super) unread: u64,
    /// Orders the list: the time of the newest message.
    pub(super) active_ms: u64,
    pub(super) typing: BTreeSet<String>,
    /// How far others have got: delivered and read.
    pub(super) receipts: BTreeMap<String, (u64, u64)>,
    pub(super) composer: Composer,
    /// Rows between the newest row and the last one that is shown.
    pub(super) scroll: usize,
    pub(super) loading: Loading,
    /// The newest place that counts as shown, and whether that is being noted.
    pub(super) shown: u64,
    pub(super) noting: bool,
    /// Where what was new began when it was opened.
    pub(super) new_from: Option<u64>,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) from: String,
    pub(super) text: String,
    /// 0: not known yet.
    pub(super) time_ms: u64,
}

/// An own message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    /// The number of the command that carries it.
    pub(super) tag: u64,
    /// Known once it stands in the outbox.
    pub(super) client_id: Option<String>,
    pub(super) text: String,
    pub(super) fate: Fate,
}

/// What is known of an own message that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It will be sent.
    Waiting,
    /// It waits for the conversation to be made.
    Held,
    /// The process that had it ended before it said.
    Unknown,
    /// It will not be sent, for this reason.
    Failed(String),
}

/// What is at hand of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Loading {
    /// The newest page is here.
    pub(super) newest: bool,
    /// There is nothing older.
    pub(super) complete: bool,
    /// A page is on its way.
    pub(super) asked: bool,
}

/// How far an own message has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Accepted,
    Delivered,
    Read,
}

impl Conversation {
    /// The other one of a conversation of two.
    pub(super) fn partner(&self, own: &str) -> Option<&str> {
        let mut others = self.members.iter().filter(|name| *name != own);
        let first = others.next()?;
        (self.direct && others.next().is_none()).then_some(first)
    }

    /// How far an own message has got: as far as all others have.
    pub(super) fn mark(&self, own: &str, seq: u64) -> Mark {
        let mut others = self.members.iter().filter(|name| *name != own).peekable();
        if others.peek().is_none() {
            return Mark::Accepted;
        }
        let marks = others.map(|name| match self.receipts.get(name) {
            Some((_, read)) if *read >= seq => Mark::Read,
            Some((delivered, _)) if *delivered >= seq => Mark::Delivered,
            _ => Mark::Accepted,
        });
        marks.min().unwrap_or(Mark::Accepted)
    }

    pub(super) fn newest(&self) -> u64 {
        self.messages.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// Takes a message; one that is there already learns its time. Whether it is a new one.
    pub(super) fn take(&mut self, seq: u64, said: Said) -> bool {
        self.active_ms = self.active_ms.max(said.time_ms);
        self.typing.remove(&said.from);
        self.messages.insert(seq, said).is_none()
    }

    /// A remark behind what was said so far.
    pub(super) fn note(&mut self, text: String) {
        let at = self.newest();
        if self.notes.last().is_some_and(|(_, last)| *last == text) {
            return;
        }
        self.notes.push((at, text));
        if self.notes.len() > NOTES_MAX {
            self.notes.remove(0);
        }
    }

    /// Takes a page of the history. `before`: what it was asked for.
    pub(super) fn page(&mut self, before: Option<u64>, page: BTreeMap<u64, Said>, full: bool) {
        self.loading.asked = false;
        if before.is_none() {
            // What is older than this page may have a hole before it: it comes again when somebody scrolls there.
            if let (true, Some((first, _))) = (full, page.first_key_value()) {
                self.messages = self.messages.split_off(first);
            }
            self.loading = Loading { newest: true, complete: !full, asked: false };
        } else if !full {
            self.loading.complete = true;
        }
        for (seq, said) in page {
            self.take(seq, said);
        }
    }

    /// Nobody looks any more: goes to the end and lets old messages go.
    pub(super) fn leave(&mut self) {
        self.scroll = 0;
        self.new_from = None;
        if self.messages.len() > KEPT {
            let keys: Vec<u64> = self.messages.keys().rev().take(KEPT).copied().collect();
            self.messages = self.messages.split_off(keys.last().expect("more than none are kept"));
            self.loading.complete = false;
        }
    }

    /// The own message with this id, or else the first of these words whose id is not known.
    pub(super) fn find_pending(&self, client_id: &str, text: &str) -> Option<usize> {
        let with_id = self.pending.iter().position(|item| item.client_id.as_deref() == Some(client_id));
        with_id.or_else(|| {
            let unnamed = |item: &Pending| item.client_id.is_none() && item.text == text && item.fate != Fate::Held;
            self.pending.iter().position(|item| unnamed(item) && !matches!(item.fate, Fate::Failed(_)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said { from: "bob".into(), text: text.into(), time_ms: 1 }
    }

    #[test]
    fn a_mark_is_that_of_the_last_member() {
        let mut group = Conversation { members: vec!["ann".into(), "bob".into(), "eve".into()], ..Conversation::default() };
        assert_eq!(group.mark("ann", 5), Mark::Accepted);
        group.receipts.insert("bob".into(), (9, 9));
        assert_eq!(group.mark("ann", 5), Mark::Accepted);
        group.receipts.insert("eve".into(), (5, 4));
        assert_eq!(
            (group.mark("ann", 4), group.mark("ann", 5), group.mark("ann", 6)),
            (Mark::Read, Mark::Delivered, Mark::Accepted)
        );
        let alone = Conversation { members: vec!["ann".into()], ..Conversation::default() };
        assert_eq!(alone.mark("ann", 1), Mark::Accepted);
    }

    #[test]
    fn a_newest_page_leaves_no_hole() {
        let mut group = Conversation::default();
        group.take(1, said("old"));
        group.page(None, (50..60).map(|seq| (seq, said("new"))).collect(), true);
        assert_eq!(group.messages.len(), 10);
        group.page(Some(50), [(1, said("old"))].into(), false);
        assert_eq!((group.messages.len(), group.loading.complete), (11, true));
    }

    #[test]
    fn what_nobody_looks_at_is_let_go() {
        let mut group = Conversation::default();
        (0..1000).for_each(|seq| assert!(group.take(seq, said("x")), "a new one"));
        group.loading.complete = true;
        group.leave();
        assert_eq!((group.messages.len(), group.newest(), group.loading.complete), (KEPT, 999, false));
    }
}
