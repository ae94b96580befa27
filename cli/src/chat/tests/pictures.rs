//! What stands on the screen.

use ratatui::style::Color;

use super::*;

fn busy(width: u16, height: u16) -> Desk {
    let mut desk = Desk::new(width, height);
    desk.tell(vec![
        presence("bob", "online"),
        contact("eve", "request"),
        request(EVE, &["ann", "eve"]),
        message(EVE, 3, "eve", "Hello?", FOUR - 1),
        receipt(BOB, "bob", 2, 2),
        typing(BOB, "bob", true),
    ]);
    desk.input(Input::Size(width, height));
    desk.write("Yes, see you th");
    desk
}

#[test]
fn eighty_by_twenty_four() {
    let picture = "
 ann                    │bob  ● online
────────────────────────│───────────────────────────────────────────────────────
>● bob                  │
   Tea club           2 │
 Requests               │
   eve                1 │
                        │
                        │
                        │
                        │
                        │
                        │
                        │
                        │
                        │
                        │─────────────────── Thu 2026-11-19 ───────────────────
                        │16:00 ✔✔ you: Shall we meet?
                        │─────────────────── Fri 2026-11-20 ───────────────────
                        │15:58    bob: Gladly
                        │16:00    bob: At the harbour?
                        │
                        │── bob is typing… ─────────────────────────────────────
                        │> Yes, see you th
● live                                                                   F1 help";
    let shown = busy(80, 24).text();
    // As many empty rows as there are.
    let squeezed =
        |text: &str| text.lines().filter(|line| !line.trim_matches([' ', '│']).is_empty()).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(shown.lines().count(), 24);
    assert_eq!(squeezed(&shown), squeezed(picture), "\n{shown}\n");
}

#[test]
fn forty_by_twelve() {
    let desk = busy(40, 12);
    let screen = desk.screen();
    assert!(screen[0].starts_with("(3) bob  ● online"), "{}", desk.text());
    assert_eq!(screen[9], "── bob is typing… ──────────────────────");
    assert_eq!(screen[10], "> Yes, see you th");
    assert!(screen[11].starts_with("● live") && screen[11].ends_with("F1 help"));
    desk.shows("16:00    bob: At the harbour?");
    let mut desk = desk;
    desk.code(Code::F(2));
    assert!(desk.screen()[0].starts_with("Conversations"));
    desk.shows("Tea club");
    desk.shows("Requests");
    desk.code(Code::Down);
    desk.code(Code::Enter);
    desk.shows("Tea club  3: ann, bob, carol");
}

#[test]
fn twenty_by_five() {
    let desk = busy(20, 5);
    assert_eq!(
        desk.screen(),
        ["(3) bob  ● online", "   bob: At the", "   harbour?", "> Yes, see you th", "● live  bob is typi…",]
    );
    let mut desk = desk;
    desk.write("ere, at the harbour");
    assert_eq!(desk.screen()[3], "  e, at the harbour", "the row with the cursor");
}

#[test]
fn what_is_too_small_says_so() {
    let mut desk = busy(80, 24);
    for (width, height) in [(19, 24), (80, 4), (12, 3), (1, 1)] {
        desk.input(Input::Size(width, height));
        assert!(desk.screen()[0].starts_with(&"too small: 20x5 or more"[..usize::from(width).min(3)]), "{}", desk.text());
        desk.write("not taken");
    }
    desk.input(Input::Size(80, 24));
    desk.shows("> Yes, see you th");
    desk.hides("not taken");
}

#[test]
fn ascii_is_ascii() {
    let mut desk = busy(80, 24);
    desk.model.look.ascii = true;
    assert!(desk.text().is_ascii(), "{}", desk.text());
    desk.shows("16:00 VV you: Shall we meet?");
    desk.shows(">* bob");
    desk.shows("bob is typing...");
}

#[test]
fn colours_are_there_only_where_they_are_wanted() {
    for coloured in [false, true] {
        let mut desk = busy(80, 24);
        desk.model.look.coloured = coloured;
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("in memory");
        terminal.draw(|frame| view(&desk.model, frame)).expect("in memory");
        let cells = &terminal.backend().buffer().content;
        assert_eq!(cells.iter().any(|cell| cell.fg != Color::Reset), coloured);
        assert!(cells.iter().all(|cell| cell.bg == Color::Reset), "the background is the terminal's own");
    }
}

#[test]
fn the_help_has_every_key_and_can_be_read_on_a_small_screen() {
    let mut desk = busy(80, 24);
    desk.press(Key::ctrl('u'));
    desk.code(Code::Char('?'));
    for word in ["Ctrl-N Ctrl-P", "/group NAME with", "✔✔ read", "Any other key"] {
        desk.shows(word);
    }
    assert!(desk.screen().iter().all(|line| !line.contains('…')), "nothing is cut:\n{}", desk.text());
    desk.input(Input::Size(40, 8));
    desk.hides("Any other key");
    (0..10).for_each(|_| desk.code(Code::PageDown));
    desk.shows("Any other key");
    desk.code(Code::Char('x'));
    desk.hides("Any other key");
}

#[test]
fn an_empty_home_says_how_to_begin() {
    let mut desk = Desk::empty(80, 24);
    desk.shows("...");
    desk.tell(vec![account(), live(), followed()]);
    desk.shows("/to NAME begins a conversation");
    desk.enter("hello");
    desk.shows("there is nobody to send to yet");
    desk.press(Key::ctrl('u'));
    desk.enter("/to bob");
    desk.enter("hello");
    desk.shows("·  you: hello");
    desk.hides("nobody yet");
}

#[test]
fn the_state_says_why_it_is_so() {
    let mut desk = Desk::new(80, 24);
    desk.tell(vec![Event::State { state: "backoff".into(), cause: "connection refused\u{1b}[2J".into() }]);
    desk.shows("○ backoff: connection refused\\u{1b}[2J");
    desk.tell(vec![Event::ServerNotice { text: "closing at five".into(), time_ms: FOUR }]);
    desk.shows("NOTICE OF THE SERVER (not end");
}
