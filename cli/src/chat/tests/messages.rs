//! Messages on their way, read, scrolled; typing.

use super::*;

fn say(desk: &mut Desk, text: &str) -> u64 {
    desk.enter(text);
    desk.command(is_say).0
}

fn queued(client_id: &str, text: &str) -> Event {
    Event::Queued { group: BOB.into(), client_id: client_id.into(), text: text.into() }
}

fn accepted(client_id: &str, seq: u64, text: &str) -> Event {
    Event::Accepted { group: BOB.into(), client_id: client_id.into(), seq, text: text.into(), time_ms: FOUR + 60_000 }
}

#[test]
fn a_message_waits_is_accepted_delivered_and_read() {
    let mut desk = Desk::new(80, 24);
    let tag = say(&mut desk, "Yes, at four");
    desk.shows("·  you: Yes, at four");
    desk.answer(tag, vec![queued("01", "Yes, at four")]);
    desk.shows("·  you: Yes, at four");
    desk.tell(vec![accepted("01", 6, "Yes, at four")]);
    desk.shows("16:01 ✓  you: Yes, at four");
    desk.hides("·");
    desk.tell(vec![receipt(BOB, "bob", 6, 5)]);
    desk.shows("16:01 ✓✓ you: Yes, at four");
    desk.tell(vec![receipt(BOB, "bob", 6, 6)]);
    desk.shows("16:01 ✔✔ you: Yes, at four");
    // Numbers only grow, in whatever order they come.
    desk.tell(vec![receipt(BOB, "bob", 3, 0)]);
    desk.shows("16:01 ✔✔ you: Yes, at four");
}

#[test]
fn who_quits_waits_for_what_is_on_its_way() {
    let mut desk = Desk::new(80, 24);
    for (tag, _) in desk.commands() {
        desk.answer(tag, Vec::new());
    }
    assert!(!desk.model.is_busy());
    let tag = say(&mut desk, "last words");
    assert!(desk.model.is_busy() && desk.model.unsent() == 1);
    desk.answer(tag, vec![queued("01", "last words")]);
    assert!(desk.model.is_busy(), "it stands in the outbox, and there is a server");
    desk.tell(vec![Event::State { state: "backoff".into(), cause: String::new() }]);
    assert!(!desk.model.is_busy() && desk.model.unsent() == 1);
    desk.tell(vec![live(), accepted("01", 6, "last words")]);
    assert!(!desk.model.is_busy() && desk.model.unsent() == 0);
}

#[test]
fn an_answer_that_comes_behind_the_stream_makes_no_second_message() {
    let mut desk = Desk::new(80, 24);
    let tag = say(&mut desk, "once");
    desk.tell(vec![accepted("01", 6, "once")]);
    desk.answer(tag, vec![queued("01", "once")]);
    assert_eq!(desk.text().matches("once").count(), 1);
    // And where the same was said twice, each has its own.
    let (first, second) = (say(&mut desk, "twice"), say(&mut desk, "twice"));
    desk.tell(vec![accepted("02", 7, "twice")]);
    desk.answer(first, vec![queued("02", "twice")]);
    desk.answer(second, vec![queued("03", "twice")]);
    assert_eq!(desk.text().matches("twice").count(), 2);
    desk.shows("·  you: twice");
}

#[test]
fn what_is_not_sent_says_why() {
    let mut desk = Desk::new(80, 24);
    let tag = say(&mut desk, "to nobody");
    desk.fail(tag, exit::FAILED, "the group takes no messages");
    desk.shows("!  you: to nobody");
    desk.shows("not sent: the group takes no messages");
    let tag = say(&mut desk, "later refused");
    desk.answer(tag, vec![queued("09", "later refused")]);
    let reason = "it is frozen".to_owned();
    desk.tell(vec![Event::SendFailed { group: BOB.into(), client_id: "09".into(), reason }]);
    desk.shows("not sent: it is frozen");
}

#[test]
fn a_new_owner_tells_what_became_of_words_that_were_on_their_way() {
    let mut desk = Desk::new(80, 24);
    let (kept, gone) = (say(&mut desk, "kept"), say(&mut desk, "accepted meanwhile"));
    desk.fail(kept, UNKNOWN, "the owner ended");
    desk.fail(gone, UNKNOWN, "the owner ended");
    desk.shows("?  you: kept");
    desk.tell(vec![account(), live(), group(BOB, None, &["ann", "bob"]), queued("01", "kept"), unread(BOB, 0), followed()]);
    desk.shows("·  you: kept");
    desk.tell(vec![accepted("00", 6, "accepted meanwhile"), accepted("01", 7, "kept")]);
    desk.shows("✓  you: kept");
    desk.hides("?  ");
    assert_eq!(desk.text().matches("you: kept").count(), 1);
}

#[test]
fn what_was_seen_counts_as_shown_and_nothing_else() {
    let mut desk = Desk::new(80, 24);
    desk.commands();
    let shown = |command: Command| match command {
        Command::Chat(Ask::Shown { group, seq }) => (group, seq),
        other => panic!("{other:?}"),
    };
    desk.tell(vec![message(BOB, 6, "bob", "new", FOUR)]);
    // The one before is being noted still.
    assert!(!desk.commands().iter().any(|(_, command)| is_shown(command)));
    let mut fresh = Desk::empty(80, 24);
    fresh.tell(vec![account(), group(BOB, None, &["ann", "bob"]), message(BOB, 5, "bob", "x", 1), unread(BOB, 1), followed()]);
    fresh.shows("bob");
    let (tag, _) = fresh.command(is_page);
    fresh.answer(tag, vec![message(BOB, 4, "bob", "w", 1), message(BOB, 5, "bob", "x", 1)]);
    fresh.shows("─ new ─");
    let (tag, command) = fresh.command(is_shown);
    assert_eq!(shown(command), (BOB.to_owned(), 5));
    fresh.answer(tag, Vec::new());
    fresh.tell(vec![message(TEA, 9, "carol", "elsewhere", 2)]);
    assert!(fresh.commands().is_empty(), "what stands in another conversation is not seen");
    fresh.input(Input::Focus(false));
    fresh.tell(vec![message(BOB, 6, "bob", "y", 2)]);
    assert!(fresh.commands().is_empty(), "nobody is there");
    fresh.input(Input::Focus(true));
    let (tag, command) = fresh.command(is_shown);
    assert_eq!(shown(command), (BOB.to_owned(), 6));
    fresh.answer(tag, Vec::new());
    fresh.code(Code::F(1));
    fresh.tell(vec![message(BOB, 7, "bob", "z", 2)]);
    assert!(fresh.commands().is_empty(), "the help is before it");
    fresh.code(Code::Esc);
    assert_eq!(shown(fresh.command(is_shown).1), (BOB.to_owned(), 7));
}

#[test]
fn unread_ones_are_counted_until_they_are_seen() {
    let mut desk = Desk::new(80, 24);
    assert!(desk.screen()[3].contains("Tea club") && desk.screen()[3].contains(" 2 "), "{}", desk.text());
    desk.tell(vec![message(TEA, 8, "bob", "Tea, too", FOUR + 1)]);
    assert!(desk.screen()[2].contains("Tea club") && desk.screen()[2].contains(" 3 "), "{}", desk.text());
    desk.code(Code::Tab);
    desk.answer_pages(&[(
        TEA,
        &[(5, "ann", "own", FOUR), (6, "bob", "b", FOUR), (7, "carol", "c", FOUR), (8, "bob", "d", FOUR)],
    )]);
    assert!(!desk.screen()[2].contains(" 3 "), "{}", desk.text());
    let screen = desk.screen();
    let row =
        |text: &str| screen.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}\n{}", desk.text()));
    assert!(row("you: own") < row("─ new ─") && row("─ new ─") < row("bob: b"));
}

#[test]
fn scrolling_back_loads_older_messages_and_stays_when_new_ones_come() {
    let mut desk = Desk::empty(80, 24);
    desk.tell(vec![account(), live(), group(BOB, None, &["ann", "bob"]), message(BOB, 200, "bob", "n200", FOUR), followed()]);
    let page = |seqs: std::ops::RangeInclusive<u64>| {
        seqs.map(|seq| message(BOB, seq, "bob", &format!("n{seq}"), FOUR)).collect::<Vec<_>>()
    };
    let (tag, _) = desk.command(is_page);
    desk.answer(tag, page(141..=200));
    desk.shows("n200");
    for _ in 0..20 {
        desk.code(Code::PageUp);
    }
    let (tag, command) = desk.command(is_page);
    assert_eq!(command, Command::Chat(Ask::Page { group: BOB.into(), before: Some(141) }));
    desk.shows("n141");
    desk.answer(tag, page(130..=140));
    desk.code(Code::PageUp);
    desk.shows("n130");
    desk.shows("scrolled back");
    for _ in 0..3 {
        desk.code(Code::PageUp);
    }
    assert!(!desk.commands().iter().any(|(_, command)| is_page(command)), "there is nothing older");
    let before = desk.screen();
    desk.tell(vec![message(BOB, 201, "bob", "n201", FOUR)]);
    desk.hides("n201");
    desk.shows("1 new below");
    let right = |screen: &[String]| {
        screen[2..19].iter().map(|line| line.split_once('│').map(|(_, right)| right.to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(right(&desk.screen()), right(&before), "what is read stays in its place");
    desk.code(Code::PageDown);
    desk.hides("n130");
    desk.code(Code::Esc);
    desk.shows("n201");
}

#[test]
fn others_are_told_of_typing_rarely_and_only_of_messages() {
    let mut desk = Desk::new(80, 24);
    let told = |desk: &mut Desk| {
        let typing = |(_, command)| match command {
            Command::Chat(Ask::Typing { active, .. }) => Some(active),
            _ => None,
        };
        desk.commands().into_iter().filter_map(typing).collect::<Vec<_>>()
    };
    desk.write("/to");
    assert_eq!(told(&mut desk), [] as [bool; 0], "a command is no message");
    desk.press(Key::ctrl('u'));
    desk.write("Hello");
    assert_eq!(told(&mut desk), [true]);
    desk.write(" there");
    assert_eq!(told(&mut desk), [] as [bool; 0], "not for each key");
    desk.input(Input::Tick);
    assert_eq!(told(&mut desk), [true], "again after a while");
    (0..5).for_each(|_| desk.input(Input::Tick));
    assert_eq!(told(&mut desk).last(), Some(&false), "who presses no key has stopped");
    desk.write("!");
    desk.code(Code::Enter);
    assert_eq!(told(&mut desk), [true, false]);
    desk.tell(vec![request(BOB, &["ann", "bob"])]);
    desk.write("x");
    assert!(!desk.commands().iter().any(|(_, command)| is_typing(command)), "strangers are told nothing");
}

#[test]
fn who_types_is_told_until_the_message_comes() {
    let mut desk = Desk::new(80, 24);
    desk.tell(vec![typing(BOB, "bob", true)]);
    desk.shows("bob is typing…");
    desk.tell(vec![message(BOB, 6, "bob", "done", FOUR)]);
    desk.hides("is typing");
    desk.tell(vec![typing(BOB, "bob", true), Event::State { state: "backoff".into(), cause: "no route".into() }]);
    desk.hides("is typing");
    desk.shows("○ backoff: no route");
}
