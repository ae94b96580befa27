//! A conversation as rows of a certain width. Shared by the model, which scrolls over them, and the view, which draws
//! them.

use std::iter;

use super::{
    cells::{width, wrap},
    conversation::{Conversation, Fate, Mark, Said},
};
use crate::text::{day, safe, time_of_day};

/// How a piece of a row is meant. What it looks like is the view's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Dim,
    Own,
    Other,
    Read,
    Alert,
}

/// Pieces beside each other.
pub(super) type Row = Vec<(Ink, String)>;

/// What rows depend on beside the conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    pub(super) own: &'a str,
    pub(super) width: usize,
    pub(super) ascii: bool,
}

/// Below this width times are left out.
const TIMES_WIDTH_MIN: usize = 40;

/// The rows from the newest upwards, at most `limit` of them.
pub(super) fn rows_up(conversation: &Conversation, page: Page<'_>, limit: usize) -> Vec<Row> {
    let mut up: Vec<Row> = Vec::new();
    let push = |up: &mut Vec<Row>, rows: Vec<Row>| up.extend(rows.into_iter().rev());
    for pending in conversation.pending.iter().rev() {
        let (mark, ink) = match pending.fate {
            Fate::Waiting | Fate::Held => (if page.ascii { "." } else { "·" }, Ink::Dim),
            Fate::Unknown => ("?", Ink::Alert),
            Fate::Failed(_) => ("!", Ink::Alert),
        };
        if let Fate::Failed(reason) = &pending.fate {
            push(&mut up, block("", Ink::Alert, &format!("not sent: {}", safe(reason)), page));
        }
        push(&mut up, message(page, None, (mark, ink), &pending.text, 0));
    }
    let mut notes = conversation.notes.iter().rev().peekable();
    let mut items = conversation.messages.iter().rev().peekable();
    while let Some((seq, said)) = items.next() {
        if up.len() >= limit {
            break;
        }
        while let Some((_, note)) = notes.next_if(|(at, _)| at >= seq) {
            push(&mut up, remark(note, page));
        }
        let own = said.from == page.own;
        let mark = if own { receipt(conversation.mark(page.own, *seq), page.ascii) } else { ("", Ink::Dim) };
        push(&mut up, message(page, (!own).then_some(said), mark, &said.text, said.time_ms));
        if conversation.new_from == Some(*seq) {
            up.push(rule("new", Ink::Alert, page));
        }
        let before = items.peek().map(|(_, said)| said.time_ms);
        if said.time_ms > 0 && before.is_none_or(|before| before > 0 && day(before) != day(said.time_ms)) {
            up.push(rule(&day(said.time_ms), Ink::Dim, page));
        }
    }
    if items.peek().is_none() {
        notes.for_each(|(_, note)| push(&mut up, remark(note, page)));
    }
    up.truncate(limit);
    up
}

/// One message: a head of time, mark and sender, and the text beside and below it.
fn message(page: Page<'_>, other: Option<&Said>, (mark, mark_ink): (&str, Ink), text: &str, time_ms: u64) -> Vec<Row> {
    let (name, name_ink) = match other {
        Some(said) => (safe(&said.from).replace('\n', " "), Ink::Other),
        None => ("you".to_owned(), Ink::Own),
    };
    let timed = page.width >= TIMES_WIDTH_MIN;
    let time = match (timed, time_ms) {
        (false, _) => String::new(),
        (true, 0) => "      ".to_owned(),
        (true, time_ms) => format!("{} ", time_of_day(time_ms)),
    };
    let mark = format!("{mark}{}", " ".repeat(3usize.saturating_sub(width(mark))));
    let indent = width(&time) + width(&mark);
    let room = page.width.saturating_sub(indent).max(4);
    let name = super::cells::cut(&name, room.saturating_sub(2), page.ascii);
    // The first line stands beside the name, the others below it.
    let gap = " ".repeat(width(&name) + 2);
    let mut lines = wrap(&format!("{gap}{}", safe(&text.replace('\t', "    "))), room).into_iter();
    let first = lines.next().unwrap_or_default();
    let beside = first.get(gap.len()..).unwrap_or_default().to_owned();
    let top = vec![(Ink::Dim, time), (mark_ink, mark), (name_ink, name), (Ink::Plain, format!(": {beside}"))];
    iter::once(top).chain(lines.map(|line| vec![(Ink::Plain, format!("{}{line}", " ".repeat(indent)))])).collect()
}

/// Marks differ by their shape; colour only helps.
fn receipt(mark: Mark, ascii: bool) -> (&'static str, Ink) {
    match (mark, ascii) {
        (Mark::Accepted, false) => ("✓", Ink::Dim),
        (Mark::Delivered, false) => ("✓✓", Ink::Dim),
        (Mark::Read, false) => ("✔✔", Ink::Read),
        (Mark::Accepted, true) => ("v", Ink::Dim),
        (Mark::Delivered, true) => ("vv", Ink::Dim),
        (Mark::Read, true) => ("VV", Ink::Read),
    }
}

fn remark(text: &str, page: Page<'_>) -> Vec<Row> {
    block("* ", Ink::Dim, &safe(text), page)
}

fn block(sign: &str, ink: Ink, text: &str, page: Page<'_>) -> Vec<Row> {
    let indent = if page.width >= TIMES_WIDTH_MIN { 9 } else { 3 };
    let room = page.width.saturating_sub(indent).max(4);
    let lines = wrap(&format!("{sign}{text}"), room);
    lines.into_iter().map(|line| vec![(ink, format!("{}{line}", " ".repeat(indent)))]).collect()
}

fn rule(text: &str, ink: Ink, page: Page<'_>) -> Row {
    let dash = if page.ascii { "-" } else { "─" };
    let side = dash.repeat(page.width.saturating_sub(width(text) + 2) / 2);
    vec![(ink, super::cells::cut(&format!("{side} {text} {side}"), page.width, page.ascii))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::conversation::Pending;

    fn flat(rows: Vec<Row>) -> Vec<String> {
        let text = |row: Row| row.into_iter().map(|(_, text)| text).collect::<String>().trim_end().to_owned();
        rows.into_iter().rev().map(text).collect()
    }

    fn conversation() -> Conversation {
        let mut conversation =
            Conversation { direct: true, members: vec!["ann".into(), "bob".into()], ..Conversation::default() };
        let mut say = |seq: u64, from: &str, text: &str, time_ms| {
            conversation.take(seq, Said { from: from.into(), text: text.into(), time_ms });
        };
        say(3, "bob", "Shall we meet at the harbour at four, or is that too late?", 1_763_692_200_000);
        say(4, "ann", "four is fine\nbring tea", 1_763_692_260_000);
        say(9, "bob", "a\u{1b}[2J\u{202e}b", 1_763_778_600_000);
        conversation
    }

    const PAGE: Page<'_> = Page { own: "ann", width: 44, ascii: false };

    #[test]
    fn messages_stand_in_columns() {
        let mut conversation = conversation();
        conversation.receipts.insert("bob".into(), (4, 4));
        conversation.note("carol came".into());
        conversation.new_from = Some(9);
        let failed = Fate::Failed("nobody there".into());
        conversation.pending = [("later", Fate::Waiting), ("never", failed)]
            .map(|(text, fate)| Pending { tag: 0, client_id: None, text: text.into(), fate })
            .into();
        assert_eq!(
            flat(rows_up(&conversation, PAGE, 100)),
            [
                "────────────── Fri 2025-11-21 ──────────────",
                "02:30    bob: Shall we meet at the harbour",
                "         at four, or is that too late?",
                "02:31 ✔✔ you: four is fine",
                "         bring tea",
                "────────────── Sat 2025-11-22 ──────────────",
                "─────────────────── new ───────────────────",
                "02:30    bob: a\\u{1b}[2J\\u{202e}b",
                "         * carol came",
                "      ·  you: later",
                "      !  you: never",
                "         not sent: nobody there",
            ]
        );
    }

    #[test]
    fn marks_have_a_shape_in_ascii_too() {
        let mut conversation = conversation();
        let mark =
            |conversation: &Conversation| flat(rows_up(conversation, Page { ascii: true, ..PAGE }, 100))[3][6..8].to_owned();
        assert_eq!(mark(&conversation), "v ");
        conversation.receipts.insert("bob".into(), (4, 0));
        assert_eq!(mark(&conversation), "vv");
        conversation.receipts.insert("bob".into(), (4, 4));
        assert_eq!(mark(&conversation), "VV");
    }

    #[test]
    fn every_row_fits_however_narrow() {
        let conversation = conversation();
        for width in 8..60 {
            for row in flat(rows_up(&conversation, Page { width, ..PAGE }, 1000)) {
                assert!(super::width(&row) <= width, "{width}: {row:?}");
            }
        }
        assert_eq!(rows_up(&conversation, PAGE, 2).len(), 2);
    }
}
