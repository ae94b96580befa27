//! Draws the model. Every fact has a shape; colours only help, and only where they are wanted.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
};

use super::{
    cells::{cut, width, wrap},
    conversation::Conversation,
    help,
    layout::{Ink, Row, rows_up},
    model::{Model, Over, SIZE_MIN},
    places::Places,
};
use crate::text::{safe, utc};

/// Draws everything.
pub(super) fn view(model: &Model, frame: &mut Frame<'_>) {
    let area = frame.area();
    // The model's size may be a moment ahead of the terminal's.
    if model.is_too_small() || area.width < model.size.0 || area.height < model.size.1 {
        let text = format!("too small: {}x{} or more", SIZE_MIN.0, SIZE_MIN.1);
        for (row, line) in wrap(&text, area.width.into()).into_iter().enumerate() {
            put(frame, 0, row, usize::from(area.width), Line::raw(line));
        }
        return;
    }
    let places = model.places();
    match &model.over {
        Some(Over::Help(row)) => help(model, frame, *row),
        Some(Over::List) if !model.is_wide() => narrow_list(model, frame),
        _ => conversation(model, frame, places),
    }
    let last = usize::from(model.size.1) - 1;
    put(frame, 0, last, model.size.0.into(), status(model));
}

fn conversation(model: &Model, frame: &mut Frame<'_>, places: Places) {
    let (columns, rows) = places.messages;
    let left = if places.list > 0 { places.list + 1 } else { 0 };
    put(frame, left, 0, columns, header(model, columns));
    let mut top = 1;
    if places.rules {
        put(frame, left, 1, columns, Line::styled(dashes(model, columns), dim()));
        top = 2;
    }
    if places.list > 0 {
        beside(model, frame, places);
    }
    messages(model, frame, (left, top), (columns, rows));
    if places.rules {
        put(frame, left, top + rows, columns, lower_rule(model, columns));
    }
    compose(model, frame, left, places);
}

/// The list and the line between it and the messages.
fn beside(model: &Model, frame: &mut Frame<'_>, places: Places) {
    let height = usize::from(model.size.1) - 1;
    let own = format!(" {}", safe(&model.own));
    put(frame, 0, 0, places.list, Line::styled(cut(&own, places.list, model.look.ascii), bold()));
    put(frame, 0, 1, places.list, Line::styled(dashes(model, places.list), dim()));
    for row in 0..height {
        put(frame, places.list, row, 1, Line::styled(if model.look.ascii { "|" } else { "│" }, dim()));
    }
    list(model, frame, (0, 2), (places.list, height - 2));
}

fn narrow_list(model: &Model, frame: &mut Frame<'_>) {
    let (columns, height) = (usize::from(model.size.0), usize::from(model.size.1));
    put(frame, 0, 0, columns, Line::styled("Conversations", bold()));
    list(model, frame, (0, 1), (columns, height - 2));
}

/// The conversations, the selected one always among them.
fn list(model: &Model, frame: &mut Frame<'_>, (left, top): (usize, usize), (columns, rows): (usize, usize)) {
    let mut lines = Vec::new();
    let mut selected = 0;
    let mut strangers = false;
    for key in model.order() {
        let conversation = &model.conversations[key];
        if conversation.request && !strangers {
            strangers = true;
            lines.push(Line::styled(" Requests", dim()));
        }
        let here = model.selected.as_deref() == Some(key);
        if here {
            selected = lines.len();
        }
        lines.push(entry(model, conversation, here, columns));
    }
    let first = (selected + 1).saturating_sub(rows);
    for (row, line) in lines.into_iter().skip(first).take(rows).enumerate() {
        put(frame, left, top + row, columns, line);
    }
}

fn entry(model: &Model, conversation: &Conversation, here: bool, columns: usize) -> Line<'static> {
    let ascii = model.look.ascii;
    let partner = conversation.partner(&model.own);
    let blocked = partner.is_some_and(|name| model.relations.get(name).is_some_and(|relation| relation == "blocked"));
    let count = match conversation.unread {
        _ if blocked => " blocked".to_owned(),
        0 if conversation.state == "left" => " left".to_owned(),
        0 => String::new(),
        unread => format!(" {unread}"),
    };
    let sign = if here { ">" } else { " " };
    let dot = partner.map_or(" ", |name| dot(model, name));
    let room = columns.saturating_sub(width(&count) + 4);
    let title = cut(&safe(&conversation.title).replace('\n', " "), room, ascii);
    let fill = " ".repeat(room.saturating_sub(width(&title)));
    let mut style = Style::new();
    if conversation.unread > 0 {
        style = style.add_modifier(Modifier::BOLD);
    }
    if here {
        style = style.add_modifier(Modifier::REVERSED);
    }
    let dot_style = if model.look.coloured && dot != " " && !here { style.fg(Color::Green) } else { style };
    Line::from(vec![
        Span::styled(sign, style),
        Span::styled(dot, dot_style),
        Span::styled(format!(" {title}{fill}{count} "), style),
    ])
}

fn dot(model: &Model, name: &str) -> &'static str {
    let state = model.presence.get(name).map(|(state, _)| state.as_str());
    match (state, model.look.ascii) {
        (Some("online"), false) => "●",
        (Some("away"), false) => "◐",
        (Some(_), false) => "○",
        (Some("online"), true) => "*",
        (Some("away"), true) => "-",
        (Some(_), true) => "o",
        (None, _) => " ",
    }
}

/// Who is talked to.
fn header(model: &Model, columns: usize) -> Line<'static> {
    let Some(conversation) = model.current() else { return Line::default() };
    let title = safe(&conversation.title).replace('\n', " ");
    let about = match conversation.partner(&model.own) {
        Some(name) => match model.presence.get(name) {
            Some((state, seen)) => {
                let seen = seen.map(|time| format!(", last seen {}", utc(time))).unwrap_or_default();
                format!("{} {state}{seen}", dot(model, name))
            }
            None => String::new(),
        },
        None if conversation.members.len() > 1 => {
            let names: Vec<String> = conversation.members.iter().map(|name| safe(name)).collect();
            format!("{}: {}", names.len(), names.join(", "))
        }
        None => String::new(),
    };
    let state = match conversation.state.as_str() {
        "active" | "" => String::new(),
        state => format!(" [{state}]"),
    };
    // Where nothing is beside, the others' news stand here.
    let others = if model.is_wide() { 0 } else { model.unread().saturating_sub(conversation.unread) };
    let news = if others > 0 { format!("({others}) ") } else { String::new() };
    let title = cut(&format!("{news}{title}{state}"), columns, model.look.ascii);
    let room = columns.saturating_sub(width(&title) + 2);
    let about = if room > 3 { cut(&about, room, model.look.ascii) } else { String::new() };
    Line::from(vec![Span::styled(title, bold()), Span::raw("  "), Span::styled(about, dim())])
}

fn messages(model: &Model, frame: &mut Frame<'_>, (left, top): (usize, usize), (columns, rows): (usize, usize)) {
    let Some(conversation) = model.current() else {
        let text = match (model.ready, model.conversations.is_empty()) {
            (false, _) => "...",
            (true, true) => "Nobody here yet.\n\n/to NAME begins a conversation, F1 helps.",
            (true, false) => "A stranger has written to you.\n\nCtrl-N looks, F1 helps.",
        };
        for (row, line) in wrap(text, columns).into_iter().take(rows).enumerate() {
            put(frame, left, top + row, columns, Line::raw(line));
        }
        return;
    };
    let up = rows_up(conversation, model.page(), conversation.scroll + rows);
    let shown: Vec<&Row> = up.iter().skip(conversation.scroll).collect();
    let first = rows - shown.len().min(rows);
    for (row, pieces) in shown.into_iter().rev().enumerate() {
        let spans = pieces.iter().map(|(ink, text)| Span::styled(text.clone(), style(model, *ink)));
        put(frame, left, top + first + row, columns, Line::from(spans.collect::<Vec<_>>()));
    }
}

/// Who types, or how far one has scrolled back.
fn lower_rule(model: &Model, columns: usize) -> Line<'static> {
    let text = activity(model);
    if text.is_empty() {
        return Line::styled(dashes(model, columns), dim());
    }
    let text = cut(&text, columns.saturating_sub(4), model.look.ascii);
    let tail = dashes(model, columns.saturating_sub(width(&text) + 4));
    Line::from(vec![Span::styled(dashes(model, 2), dim()), Span::raw(format!(" {text} ")), Span::styled(tail, dim())])
}

fn activity(model: &Model) -> String {
    let Some(conversation) = model.current() else { return String::new() };
    let dots = if model.look.ascii { "..." } else { "…" };
    let typing: Vec<String> = conversation.typing.iter().map(|name| safe(name)).collect();
    let typing = match &typing[..] {
        [] => String::new(),
        [one] => format!("{one} is typing{dots}"),
        [one, two] => format!("{one} and {two} are typing{dots}"),
        more => format!("{} people are typing{dots}", more.len()),
    };
    match (conversation.scroll, conversation.unread) {
        (0, _) => typing,
        (_, 0) => "scrolled back: Esc goes to the newest".to_owned(),
        (_, unread) => format!("{unread} new below: Esc goes there"),
    }
}

fn compose(model: &Model, frame: &mut Frame<'_>, left: usize, places: Places) {
    let columns = places.messages.0;
    let top = usize::from(model.size.1) - 1 - places.compose;
    if let Some(Over::Question(question, ..)) = &model.over {
        let text = cut(&format!("{} y/n", safe(question)), columns, model.look.ascii);
        put(frame, left, top, columns, Line::styled(text, bold()));
        return;
    }
    let Some(conversation) = model.current() else {
        put(frame, left, top, columns, Line::raw("> "));
        cursor(frame, left + 2, top);
        return;
    };
    if conversation.request && conversation.composer.is_empty() {
        let text = "A stranger: a accepts, b blocks.";
        put(frame, left, top, columns, Line::styled(cut(text, columns, model.look.ascii), bold()));
        return;
    }
    let (rows, row, column) = conversation.composer.drawn(columns.saturating_sub(2));
    let first = (row + 1).saturating_sub(places.compose);
    for (index, line) in rows.iter().skip(first).take(places.compose).enumerate() {
        let sign = if first + index == 0 { "> " } else { "  " };
        put(frame, left, top + index, columns, Line::raw(format!("{sign}{line}")));
    }
    cursor(frame, left + 2 + column, top + row - first);
}

/// The connection and, while there is one, something for the person to read.
fn status(model: &Model) -> Line<'static> {
    let columns = usize::from(model.size.0);
    let ascii = model.look.ascii;
    let live = model.is_live();
    let glyph = match (live, ascii) {
        (true, false) => "●",
        (false, false) => "○",
        (true, true) => "*",
        (false, true) => "o",
    };
    let cause = if live || model.cause.is_empty() { String::new() } else { format!(": {}", safe(&model.cause)) };
    let state = format!("{glyph} {}{cause}", safe(&model.state)).replace('\n', " ");
    let state_style = match (live, model.look.coloured) {
        (true, true) => Style::new().fg(Color::Green),
        (false, true) => Style::new().fg(Color::Yellow),
        (true, false) => Style::new(),
        (false, false) => bold(),
    };
    let small_typing = if model.places().rules { String::new() } else { activity(model) };
    let (text, text_style) = match &model.notice {
        Some(notice) if notice.alert => (safe(&notice.text).replace('\n', " "), style(model, Ink::Alert)),
        Some(notice) => (safe(&notice.text).replace('\n', " "), Style::new()),
        None if small_typing.is_empty() => ("F1 help".to_owned(), dim()),
        None => (small_typing, Style::new()),
    };
    // What is to be read goes first where there is little room.
    let room = if model.notice.is_some() { columns.saturating_sub(width(&text) + 2).max(8).min(columns / 2) } else { columns };
    let state = cut(&state, room, ascii);
    let left = columns.saturating_sub(width(&state) + 2);
    let text = if left >= 4 { cut(&text, left, ascii) } else { String::new() };
    let fill = " ".repeat(columns.saturating_sub(width(&state) + width(&text)));
    Line::from(vec![Span::styled(state, state_style), Span::raw(fill), Span::styled(text, text_style)])
}

fn help(model: &Model, frame: &mut Frame<'_>, first: usize) {
    let (columns, rows) = (usize::from(model.size.0), usize::from(model.size.1) - 1);
    for (row, text) in help::ROWS.iter().skip(first).take(rows).enumerate() {
        let style = if text.starts_with(' ') { Style::new() } else { bold() };
        put(frame, 0, row, columns, Line::styled(cut(text, columns, model.look.ascii), style));
    }
}

fn style(model: &Model, ink: Ink) -> Style {
    let fg = |color| if model.look.coloured { Style::new().fg(color) } else { Style::new() };
    match ink {
        Ink::Plain => Style::new(),
        Ink::Dim => dim(),
        Ink::Own => fg(Color::Cyan).add_modifier(Modifier::BOLD),
        Ink::Other => bold(),
        Ink::Read => fg(Color::Cyan),
        Ink::Alert => fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dashes(model: &Model, columns: usize) -> String {
    if model.look.ascii { "-" } else { "─" }.repeat(columns)
}

/// One line into the screen, cut at its edge.
fn put(frame: &mut Frame<'_>, left: usize, top: usize, columns: usize, line: Line<'_>) {
    let area = frame.area();
    let cell = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let place = Rect { x: cell(left), y: cell(top), width: cell(columns), height: 1 }.intersection(area);
    frame.render_widget(line, place);
}

fn cursor(frame: &mut Frame<'_>, left: usize, top: usize) {
    let cell = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    frame.set_cursor_position(Position { x: cell(left), y: cell(top) });
}
