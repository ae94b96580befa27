//! Events as text: JSON lines for scripts, sentences and tables for people.

use std::fmt::Write as _;

use crate::{
    event::Event,
    text::{safe, utc},
};

/// For whom the output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One JSON object per line on stdout.
    Json,
    /// For people, in a file or a pipe.
    Plain,
    /// For people, on a terminal that shows colours.
    Coloured,
}

/// What goes where.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Renders events that belong together; rows of one kind are aligned with each other.
pub(crate) fn render(events: &[Event], style: Style) -> Rendered {
    let mut rendered = Rendered::default();
    let mut rest = events;
    while let Some(event) = rest.first() {
        let alike = rest.iter().take_while(|other| std::mem::discriminant(*other) == std::mem::discriminant(event)).count();
        let (rows, later) = rest.split_at(alike);
        rest = later;
        match (event, style) {
            (Event::Note { .. }, _) => rows.iter().for_each(|row| line(&mut rendered.stderr, &human(row, style))),
            (_, Style::Json) => rows.iter().for_each(|row| line(&mut rendered.stdout, &json(row))),
            (Event::Group { .. } | Event::Device { .. } | Event::Contact { since_ms: Some(_), .. }, _) => {
                rendered.stdout.push_str(&table(rows, style));
            }
            (
                Event::State { .. }
                | Event::Delayed { .. }
                | Event::Typing { .. }
                | Event::Presence { .. }
                | Event::Receipt { .. },
                _,
            ) => {
                rows.iter().for_each(|row| line(&mut rendered.stderr, &human(row, style)));
            }
            _ => rows.iter().for_each(|row| line(&mut rendered.stdout, &human(row, style))),
        }
    }
    rendered
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// JSON in ASCII as far as control characters go: also those that JSON leaves as they are.
fn json(event: &Event) -> String {
    let text = serde_json::to_string(event).expect("events are strings, numbers and lists of them");
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || crate::text::turns_text(character) {
            write!(escaped, "\\u{:04x}", u32::from(character)).expect("a String takes every write");
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn human(event: &Event, style: Style) -> String {
    let short = |id: &str| id.get(..8).unwrap_or(id).to_owned();
    match event {
        Event::Message { title, from, text, time_ms, delivered, read, request, urgent, .. } => {
            let time = dim(&utc(*time_ms), style);
            let title = dim(&format!("[{}]", safe(title)), style);
            let mark = if *urgent { red("! ", style) } else { String::new() };
            let marks = dim(&marks(delivered, read), style);
            let hint = if *request {
                let name = safe(from);
                dim(&format!("\n    (a request; answer it, or: sov contacts accept {name} | block {name})"), style)
            } else {
                String::new()
            };
            let text = safe(text).replace('\n', "\n    ");
            format!("{time} {title} {mark}{}: {text}{marks}{hint}", bold(&safe(from), style))
        }
        Event::Sent { group, seq } => format!("sent ({}, no. {seq})", short(group)),
        Event::Queued { group, .. } => format!("queued ({})", short(group)),
        Event::Accepted { group, seq, .. } => format!("accepted ({}, no. {seq})", short(group)),
        Event::Unread { group, count } => format!("{count} new in {}", short(group)),
        Event::SendFailed { group, reason, .. } => {
            red(&format!("a message to {} was not sent: {}", short(group), safe(reason)), style)
        }
        Event::Usage { group, used_bytes, limit_bytes } => {
            let whose = group.as_ref().map_or_else(|| "of this account".to_owned(), |group| format!("in group {}", short(group)));
            let mebibytes = |bytes: &u64| format!("{}.{} MiB", bytes >> 20, ((bytes % (1 << 20)) * 10) >> 20);
            format!("{} of {} {whose} wait for others", mebibytes(used_bytes), mebibytes(limit_bytes))
        }
        Event::Delayed { group, reason, retry_after_ms } => {
            let again = match retry_after_ms.div_ceil(1000) {
                0 | 1 => "tried again in a moment".to_owned(),
                seconds => format!("tried again in {seconds} s"),
            };
            dim(&format!("* waiting ({}): {}; {again}, nothing is lost", short(group), safe(reason)), style)
        }
        Event::Account { username, device_id, pending: false, .. } => {
            format!("You are {}. This device is {}.", bold(&safe(username), style), short(device_id))
        }
        Event::Account { username, device_id, pending: true, .. } => format!(
            "This device of {} waits for approval. On another device run: sov devices approve {}",
            bold(&safe(username), style),
            short(device_id)
        ),
        Event::Identity { username, known, changed: false, .. } => {
            format!("{}: the identity is the one known here\n  {}", bold(&safe(username), style), blocks(known))
        }
        Event::Identity { username, known, offered, .. } => {
            let text = format!("THE IDENTITY OF {} HAS CHANGED", safe(username));
            let text = red(&text, style);
            format!("{text}\n  known here:      {}\n  the server says: {}", blocks(known), blocks(offered))
        }
        Event::Joined { group } => dim(&format!("* you are in group {}", short(group)), style),
        Event::Left { group } => dim(&format!("* you are no longer in group {}", short(group)), style),
        Event::Renamed { group, name } => dim(&format!("* group {} is called {:?} now", short(group), safe(name)), style),
        Event::Reset { group, successor } => {
            let text = format!("* group {} was reset and goes on as {}", short(group), short(successor));
            bold(&text, style)
        }
        Event::Members { group, added, removed, .. } => {
            let mut parts = Vec::new();
            for (names, word) in [(added, "came"), (removed, "went")] {
                if !names.is_empty() {
                    parts.push(format!("{} {word}", safe(&names.join(", "))));
                }
            }
            dim(&format!("* group {}: {}", short(group), parts.join("; ")), style)
        }
        Event::DeviceState { state } => format!("* this device is {} now", safe(state)),
        Event::State { state, cause } => dim(&format!("* {state} ({})", safe(cause)), style),
        Event::Alarm { group, text } => {
            let place = group.as_deref().map(|group| format!(" in group {}", short(group))).unwrap_or_default();
            red(&format!("WARNING{place}: {}", safe(text)), style)
        }
        Event::Typing { group, from, active } => {
            let what = if *active { "is typing" } else { "has stopped typing" };
            dim(&format!("* {} {what} in {}", safe(from), short(group)), style)
        }
        Event::Signal { group, from, kind, payload } => {
            dim(&format!("* {} in {}: {} ({} bytes)", safe(from), short(group), safe(kind), payload.len() / 2), style)
        }
        Event::Presence { username, state, last_seen_ms } => {
            let seen = last_seen_ms.map(|time| format!(", last seen {}", utc(time))).unwrap_or_default();
            dim(&format!("* {} is {state}{seen}", safe(username)), style)
        }
        Event::Receipt { group, username, delivered, read } => {
            dim(&format!("* {} in {}: delivered to no. {delivered}, read to no. {read}", safe(username), short(group)), style)
        }
        Event::Contact { username, relation, .. } => dim(&format!("* {}: {relation}", safe(username)), style),
        Event::ServerNotice { text, time_ms } => {
            let head = format!("{} NOTICE OF THE SERVER (not end-to-end encrypted):", dim(&utc(*time_ms), style));
            format!("{head} {}", safe(text).replace('\n', "\n    "))
        }
        Event::Done { verb, group, device } => {
            let object = group.as_deref().or(device.as_deref()).map(|id| format!(" ({})", short(id))).unwrap_or_default();
            format!("{verb}: done{object}")
        }
        Event::Note { text } => safe(text),
        Event::Group { group, .. } => short(group),
        Event::Device { device, .. } => short(device),
    }
}

/// Who has an own message, and who has read it.
fn marks(delivered: &[String], read: &[String]) -> String {
    let only_delivered: Vec<&str> = delivered.iter().filter(|name| !read.contains(name)).map(String::as_str).collect();
    let mut marks = String::new();
    for (word, names) in [("read", read.iter().map(String::as_str).collect()), ("delivered", only_delivered)] {
        if !names.is_empty() {
            let separator = if marks.is_empty() { "  (" } else { "; " };
            write!(marks, "{separator}{word}: {}", safe(&names.join(", "))).expect("a String takes every write");
        }
    }
    if marks.is_empty() { marks } else { marks + ")" }
}

/// A fingerprint as people compare it.
fn blocks(fingerprint: &str) -> String {
    let digits: Vec<char> = fingerprint.chars().collect();
    digits.chunks(4).map(|block| block.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// Rows of one kind under a heading, columns as wide as their widest cell.
fn table(rows: &[Event], style: Style) -> String {
    let (heading, cells): (&[&str], Vec<Vec<String>>) = match rows.first() {
        Some(Event::Device { .. }) => (&["DEVICE", "STATE", "SINCE", "LAST SEEN", ""], rows.iter().map(cells_of).collect()),
        Some(Event::Contact { .. }) => (&["NAME", "RELATION", "SINCE"], rows.iter().map(cells_of).collect()),
        _ => (&["GROUP", "NAME", "MEMBERS", "STATE"], rows.iter().map(cells_of).collect()),
    };
    let width = |column: usize| {
        cells.iter().map(|row| row[column].chars().count()).chain([heading[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    let heading = heading.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    for (index, row) in std::iter::once(&heading).chain(&cells).enumerate() {
        let padded: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let joined = padded.join("  ").trim_end().to_owned();
        line(&mut text, &if index == 0 { dim(&joined, style) } else { joined });
    }
    text
}

fn cells_of(row: &Event) -> Vec<String> {
    match row {
        Event::Contact { username, relation, since_ms, .. } => {
            vec![safe(username), relation.clone(), since_ms.map(utc).unwrap_or_default()]
        }
        Event::Group { group, title, members, state, request, .. } => {
            let members: Vec<String> = members
                .iter()
                .map(|member| if member.leaving { format!("{} (leaving)", safe(&member.name)) } else { safe(&member.name) })
                .collect();
            let state = if *request { "request".to_owned() } else { state.clone() };
            vec![group.clone(), safe(title), members.join(", "), state]
        }
        Event::Device { device, state, current, created_at_ms, last_seen_ms } => {
            let seen = if *last_seen_ms == 0 { "never".to_owned() } else { utc(*last_seen_ms) };
            let here = if *current { "this device" } else { "" };
            vec![device.clone(), state.clone(), utc(*created_at_ms), seen, here.to_owned()]
        }
        other => vec![human(other, Style::Plain)],
    }
}

fn paint(text: &str, code: &str, style: Style) -> String {
    if style == Style::Coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn bold(text: &str, style: Style) -> String {
    paint(text, "1", style)
}

fn dim(text: &str, style: Style) -> String {
    paint(text, "2", style)
}

fn red(text: &str, style: Style) -> String {
    paint(text, "31", style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Member;

    fn message(text: &str) -> Event {
        Event::Message {
            group: "ab".repeat(32),
            title: "Tea".into(),
            seq: 7,
            from: "ann".into(),
            text: text.into(),
            time_ms: 1_763_692_200_000,
            delivered: Vec::new(),
            read: Vec::new(),
            request: false,
            urgent: false,
            expires_at_ms: None,
        }
    }

    #[test]
    fn an_own_message_says_who_has_it_and_who_read_it() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(marks(&names(&["bob", "eve"]), &names(&["bob"])), "  (read: bob; delivered: eve)");
        assert_eq!(marks(&names(&["bob"]), &[]), "  (delivered: bob)");
        assert_eq!(marks(&[], &[]), "");
        let Event::Message { group, title, seq, from, text, time_ms, .. } = message("hi") else { panic!("a message") };
        let read = names(&["bob"]);
        let (delivered, urgent, expires_at_ms) = (read.clone(), false, None);
        let own =
            Event::Message { group, title, seq, from, text, time_ms, request: false, delivered, read, urgent, expires_at_ms };
        assert!(render(&[own], Style::Json).stdout.contains("\"delivered\":[\"bob\"],\"read\":[\"bob\"]"));
        assert!(!render(&[message("hi")], Style::Json).stdout.contains("delivered"));
    }

    #[test]
    fn a_message_line_of_json_holds_what_scripts_rely_on() {
        let rendered = render(&[message("hi\n\u{1b}[2J\u{9b}\u{202e}")], Style::Json);
        assert!(rendered.stderr.is_empty() && rendered.stdout.ends_with('\n'));
        assert_eq!(rendered.stdout.matches('\n').count(), 1);
        assert!(rendered.stdout.bytes().all(|byte| byte == b'\n' || !byte.is_ascii_control()));
        let value: serde_json::Value = serde_json::from_str(&rendered.stdout).expect("JSON");
        assert_eq!(value["event"], "message");
        assert_eq!(value["group"], "ab".repeat(32));
        assert_eq!((&value["seq"], &value["from"]), (&7.into(), &"ann".into()));
        assert_eq!(value["text"], "hi\n\u{1b}[2J\u{9b}\u{202e}");
        assert_eq!(value["time_ms"], 1_763_692_200_000_u64);
    }

    #[test]
    fn people_get_no_control_characters_of_others() {
        let rendered = render(&[message("a\u{1b}[2Jb\nc")], Style::Plain);
        assert_eq!(rendered.stdout, "2025-11-21 02:30Z [Tea] ann: a\\u{1b}[2Jb\n    c\n");
        assert!(render(&[message("x")], Style::Coloured).stdout.contains("\x1b[1mann\x1b[0m"));
    }

    #[test]
    fn tables_align_and_notes_go_to_stderr() {
        let group = |id: &str, title: &str| Event::Group {
            group: id.into(),
            name: None,
            title: title.into(),
            members: vec![
                Member { name: "ann".into(), devices: 1, leaving: false },
                Member { name: "bob".into(), devices: 2, leaving: true },
            ],
            epoch: 1,
            direct: true,
            state: "open".into(),
            request: id == "bb",
        };
        let note = Event::Note { text: "offline".into() };
        let rendered = render(&[group("aa", "Tea"), group("bb", "Cake club"), note.clone()], Style::Plain);
        assert_eq!(
            rendered.stdout,
            "GROUP  NAME       MEMBERS             STATE\n\
             aa     Tea        ann, bob (leaving)  open\n\
             bb     Cake club  ann, bob (leaving)  request\n"
        );
        assert_eq!(rendered.stderr, "offline\n");
        assert!(render(&[note], Style::Json).stdout.is_empty());
    }

    #[test]
    fn a_request_is_said_only_where_it_is_one() {
        assert!(!render(&[message("hi")], Style::Json).stdout.contains("request"));
        let Event::Message { group, title, seq, from, text, time_ms, .. } = message("hi") else { unreachable!() };
        let (delivered, read) = (Vec::new(), Vec::new());
        let (urgent, expires_at_ms) = (false, None);
        let request =
            Event::Message { group, title, seq, from, text, time_ms, request: true, delivered, read, urgent, expires_at_ms };
        assert!(render(std::slice::from_ref(&request), Style::Json).stdout.contains(",\"request\":true}"));
        assert!(
            render(&[request], Style::Plain).stdout.contains("ann: hi\n    (a request; answer it, or: sov contacts accept ann")
        );
    }

    #[test]
    fn contacts_are_a_table_and_their_changes_are_lines() {
        let contact = |name: &str, since_ms| Event::Contact {
            username: name.into(),
            account_id: "ab".repeat(16),
            relation: "request".into(),
            since_ms,
        };
        let list = [contact("ann", Some(1_763_692_200_000)), contact("benjamin", Some(1_763_692_200_000))];
        assert_eq!(
            render(&list, Style::Plain).stdout,
            "NAME      RELATION  SINCE\n\
             ann       request   2025-11-21 02:30Z\n\
             benjamin  request   2025-11-21 02:30Z\n"
        );
        assert_eq!(render(&[contact("ann", None)], Style::Plain).stdout, "* ann: request\n");
    }

    #[test]
    fn states_are_lines_for_scripts_and_remarks_for_people() {
        let state = Event::State { state: "live".into(), cause: "going on".into() };
        let expected = "{\"event\":\"state\",\"state\":\"live\",\"cause\":\"going on\"}\n";
        assert_eq!(render(std::slice::from_ref(&state), Style::Json).stdout, expected);
        assert_eq!(render(&[state], Style::Plain), Rendered { stdout: String::new(), stderr: "* live (going on)\n".into() });
    }

    #[test]
    fn a_result_names_only_what_it_is_about() {
        let done = Event::done_in("group rename", "cd".repeat(32));
        let json = render(&[done], Style::Json).stdout;
        assert_eq!(json, format!("{{\"event\":\"done\",\"verb\":\"group rename\",\"group\":\"{}\"}}\n", "cd".repeat(32)));
    }
}
