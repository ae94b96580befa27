//! A conversation as its senders know it, to hold against what everybody has in the end.

use std::collections::BTreeMap;

use sovereign_client::Message;

use super::people::{Person, until};

/// Who is in it, and what was said.
pub(super) struct Chat {
    pub(super) id: [u8; 32],
    /// Indices of people.
    pub(super) members: Vec<usize>,
    said: Vec<Said>,
}

struct Said {
    by: &'static str,
    text: String,
    /// Where the server told the sender that it stands.
    seq: Option<u64>,
}

/// What the histories of all members together say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    /// Everything is there, nothing twice, and nothing else.
    pub(super) complete: bool,
    /// The same in the same places for everybody.
    pub(super) same: bool,
    /// Each sender's messages in the order they were sent in, and where the server said.
    pub(super) in_order: bool,
}

impl Chat {
    /// Nothing was said yet.
    pub(super) fn new(id: [u8; 32], members: Vec<usize>) -> Self {
        Self { id, members, said: Vec::new() }
    }

    /// Somebody says something.
    pub(super) fn say(&mut self, by: &'static str, text: &str) {
        self.said.push(Said { by, text: text.to_owned(), seq: None });
    }

    /// The server has accepted it.
    pub(super) fn accepted(&mut self, text: &str, seq: u64) {
        self.said.iter_mut().filter(|said| said.text == text).for_each(|said| said.seq = Some(seq));
    }

    /// How much was said.
    pub(super) fn count(&self) -> usize {
        self.said.len()
    }

    /// Everything that was said.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.said.iter().map(|said| said.text.as_str())
    }

    /// The same by anybody but this one.
    pub(super) fn texts_of_others(&self, name: &str) -> impl Iterator<Item = &str> {
        self.said.iter().filter(move |said| said.by != name).map(|said| said.text.as_str())
    }

    /// Waits until everybody has as much as was said, and compares.
    pub(super) async fn agreement(&self, people: &[Person]) -> Agreement {
        let mut histories = Vec::new();
        for member in &self.members {
            let client = people[*member].client();
            let whole = until(async || {
                let history = client.history(self.id, 2 * self.count() + 1).await.ok()?;
                (history.len() >= self.count()).then_some(history)
            });
            let history = whole.await.unwrap_or_default();
            histories.push(history.into_iter().map(line).collect());
        }
        self.compare(&histories)
    }

    /// Histories as (seq, sender, text).
    fn compare(&self, histories: &[Vec<(u64, String, String)>]) -> Agreement {
        let complete = |history: &Vec<(u64, String, String)>| {
            let mut counted: BTreeMap<(&str, &str), usize> = BTreeMap::new();
            history.iter().for_each(|(_, from, text)| *counted.entry((from, text)).or_default() += 1);
            let each_once = self.said.iter().all(|said| counted.get(&(said.by, said.text.as_str())) == Some(&1));
            each_once && history.len() == self.said.len()
        };
        let in_order = |history: &Vec<(u64, String, String)>| {
            let placed: BTreeMap<&str, u64> = history.iter().map(|(seq, _, text)| (text.as_str(), *seq)).collect();
            let as_told = self.said.iter().all(|said| said.seq.is_some() && placed.get(said.text.as_str()).copied() == said.seq);
            let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
            as_told && self.said.iter().all(|said| newest.insert(said.by, said.seq.unwrap_or(0)) < said.seq)
        };
        Agreement {
            complete: !histories.is_empty() && histories.iter().all(complete),
            same: histories.windows(2).all(|pair| pair[0] == pair[1]),
            in_order: histories.iter().all(in_order),
        }
    }
}

impl Agreement {
    /// All of it.
    pub(super) fn holds(&self) -> bool {
        *self == Self { complete: true, same: true, in_order: true }
    }
}

fn line(message: Message) -> (u64, String, String) {
    (message.seq, message.from, message.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat() -> Chat {
        let mut chat = Chat::new([1; 32], vec![0, 1]);
        for (seq, (by, text)) in (3..).zip([("ann", "one"), ("bob", "two"), ("ann", "three")]) {
            chat.say(by, text);
            chat.accepted(text, seq);
        }
        chat
    }

    fn history(lines: &[(u64, &str, &str)]) -> Vec<(u64, String, String)> {
        lines.iter().map(|(seq, from, text)| (*seq, (*from).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn what_is_missing_doubled_swapped_or_of_somebody_else_is_seen() {
        let good = history(&[(3, "ann", "one"), (4, "bob", "two"), (5, "ann", "three")]);
        let missing = history(&[(3, "ann", "one"), (5, "ann", "three")]);
        let doubled = history(&[(3, "ann", "one"), (4, "bob", "two"), (5, "ann", "three"), (6, "ann", "three")]);
        let swapped = history(&[(3, "ann", "three"), (4, "bob", "two"), (5, "ann", "one")]);
        let forged = history(&[(3, "ann", "one"), (4, "ann", "two"), (5, "ann", "three")]);
        let compare = |second: &Vec<_>| chat().compare(&[good.clone(), second.clone()]);
        assert!(compare(&good).holds());
        assert_eq!(compare(&missing), Agreement { complete: false, same: false, in_order: false });
        assert!(!compare(&doubled).complete && !compare(&forged).complete);
        assert_eq!(compare(&swapped), Agreement { complete: true, same: false, in_order: false });
        assert!(!chat().compare(&[]).complete, "nobody has said anything about it");
    }

    #[test]
    fn a_message_that_was_never_accepted_is_out_of_order() {
        let mut chat = chat();
        chat.say("bob", "four");
        let all = history(&[(3, "ann", "one"), (4, "bob", "two"), (5, "ann", "three"), (6, "bob", "four")]);
        assert!(!chat.compare(std::slice::from_ref(&all)).in_order);
        chat.accepted("four", 6);
        assert!(chat.compare(&[all]).holds());
    }
}
