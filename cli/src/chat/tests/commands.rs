//! Conversations that begin, change and end; strangers; keys.

use super::*;
use crate::verbs::{contacts, group as verb, send};

fn relate(change: contacts::Change) -> Command {
    Command::Contacts(contacts::Args { change: Some(change) })
}

#[test]
fn a_first_message_makes_the_conversation_and_the_next_ones_wait_for_it() {
    let mut desk = Desk::new(80, 24);
    desk.commands();
    desk.enter("/to Dave");
    desk.shows("dave");
    desk.enter("first");
    let (tag, command) = desk.command(|_| true);
    assert_eq!(
        command,
        Command::Send(send::Args { to: vec!["dave".into()], group: None, text: "first".into(), ttl: None, urgent: false })
    );
    desk.enter("second");
    assert!(desk.commands().is_empty());
    desk.write("half");
    let dave = "dd".repeat(32);
    desk.tell(vec![group(&dave, None, &["ann", "dave"])]);
    desk.answer(tag, vec![Event::Sent { group: dave.clone(), seq: 2 }]);
    let commands: Vec<Command> = desk.commands().into_iter().map(|(_, command)| command).collect();
    assert!(commands.contains(&Command::Chat(Ask::Say { group: dave.clone(), text: "second".into() })), "{commands:?}");
    desk.shows("you: first");
    desk.shows("·  you: second");
    desk.shows("> half");
    assert_eq!(desk.text().matches("dave").count(), 2, "once in the list, once on top:\n{}", desk.text());
}

#[test]
fn an_unknown_name_gives_the_words_back() {
    let mut desk = Desk::new(80, 24);
    desk.commands();
    desk.enter("/to nobody");
    desk.enter("hello?");
    let (tag, _) = desk.command(|_| true);
    desk.fail(tag, exit::FAILED, "there is nobody called nobody here");
    desk.shows("> hello?");
    desk.shows("there is nobody called nobody");
    // To somebody with whom one talks already, it goes there.
    desk.press(Key::ctrl('u'));
    desk.enter("/to bob");
    assert_eq!(desk.model.selected.as_deref(), Some(BOB));
}

#[test]
fn groups_are_made_changed_and_left() {
    let mut desk = Desk::new(80, 24);
    desk.commands();
    desk.enter("/group Cake with bob, carol");
    let change = |change: verb::Change| Command::Group(verb::Args { change });
    let create = verb::Change::Create { name: "Cake".into(), with: vec!["bob".into(), "carol".into()], administered: false };
    let (tag, command) = desk.command(|_| true);
    assert_eq!(command, change(create));
    let cake = "cc".repeat(32);
    desk.answer(tag, vec![Event::done_in("group create", cake.clone())]);
    desk.tell(vec![group(&cake, Some("Cake"), &["ann", "bob", "carol"])]);
    desk.shows("Cake is made");
    assert_eq!(desk.model.selected.as_deref(), Some(cake.as_str()));
    desk.commands();
    desk.enter("/add dave");
    let (tag, command) = desk.command(|_| true);
    assert_eq!(command, change(verb::Change::Add { group: cake.clone(), names: vec!["dave".into()] }));
    desk.fail(tag, exit::FAILED, "there is nobody called dave here");
    desk.shows("there is nobody called dave here");
    desk.enter("/rename Cakes");
    assert_eq!(desk.command(|_| true).1, change(verb::Change::Rename { group: cake.clone(), name: "Cakes".into() }));
    desk.tell(vec![Event::Members { group: cake.clone(), epoch: 3, added: vec!["dave".into()], removed: Vec::new() }]);
    desk.shows("* dave came");
    desk.enter("/leave");
    desk.shows("Leave Cake? y/n");
    assert!(desk.commands().is_empty());
    desk.code(Code::Char('n'));
    desk.hides("y/n");
    desk.enter("/leave");
    desk.code(Code::Char('y'));
    assert_eq!(desk.command(|_| true).1, change(verb::Change::Leave { group: cake }));
}

#[test]
fn a_stranger_stands_apart_until_accepted_or_blocked() {
    let mut desk = Desk::new(80, 24);
    desk.tell(vec![
        contact("eve", "request"),
        request(EVE, &["ann", "eve"]),
        message(EVE, 3, "eve", "Buy!\u{1b}]0;x\u{7}", FOUR + 9),
    ]);
    let screen = desk.screen();
    let row = |text: &str| screen.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{}", desk.text()));
    assert!(row("Tea club") < row("Requests") && row("Requests") < row("  eve"));
    assert_eq!(desk.model.selected.as_deref(), Some(BOB), "nobody is pulled to a stranger");
    desk.press(Key::ctrl('p'));
    desk.answer_pages(&[(EVE, &[(3, "eve", "Buy!\u{1b}]0;x\u{7}", FOUR + 9)])]);
    desk.shows("eve: Buy!\\u{1b}]0;x\\u{7}");
    desk.shows("A stranger: a accepts, b blocks.");
    desk.commands();
    desk.code(Code::Char('b'));
    desk.shows("Block eve?");
    desk.code(Code::Esc);
    desk.code(Code::Char('a'));
    let (tag, command) = desk.command(|_| true);
    assert_eq!(command, relate(contacts::Change::Accept { name: "eve".into() }));
    desk.answer(tag, vec![contact("eve", "accepted")]);
    desk.shows("eve is accepted");
    desk.tell(vec![group(EVE, None, &["ann", "eve"])]);
    desk.hides("Requests");
    desk.hides("A stranger");
    desk.enter("Hello Eve");
    desk.command(is_say);
    desk.enter("/block");
    desk.code(Code::Char('y'));
    let (_, command) = desk.command(|command| matches!(command, Command::Contacts(_)));
    assert_eq!(command, relate(contacts::Change::Block { name: "eve".into() }));
    desk.tell(vec![contact("eve", "blocked")]);
    desk.shows("blocked");
}

#[test]
fn words_that_cannot_be_sent_stay() {
    let mut desk = Desk::new(80, 24);
    desk.commands();
    desk.enter("/nonsense");
    desk.shows("there is no /nonsense");
    desk.shows("> /nonsense");
    desk.press(Key::ctrl('u'));
    desk.input(Input::Paste("x".repeat(70_000)));
    desk.shows("at most 61440 bytes: these are 8560 too many");
    desk.input(Input::Paste("two\nlines".into()));
    desk.shows("> two");
    desk.shows("  lines");
    desk.code(Code::Up);
    desk.write("!");
    desk.code(Code::Enter);
    let text = "two\nlin!es".to_owned();
    assert!(matches!(desk.command(is_say).1, Command::Chat(Ask::Say { text: said, .. }) if said.len() == text.len()));
    desk.enter("//quit");
    assert_eq!(desk.command(is_say).1, Command::Chat(Ask::Say { group: BOB.into(), text: "/quit".into() }));
    desk.enter("   ");
    assert!(desk.commands().iter().all(|(_, command)| !is_say(command)));
}

#[test]
fn keys_go_around_the_list_and_out() {
    let mut desk = Desk::new(80, 24);
    let there = |desk: &Desk| desk.model.selected.clone().expect("one");
    desk.press(Key::ctrl('n'));
    assert_eq!(there(&desk), TEA);
    desk.press(Key::ctrl('n'));
    assert_eq!(there(&desk), BOB);
    desk.press(Key::alt(Code::Up));
    assert_eq!(there(&desk), TEA);
    desk.code(Code::BackTab);
    assert_eq!(there(&desk), BOB);
    desk.write("draft");
    desk.code(Code::Tab);
    desk.hides("draft");
    desk.code(Code::Tab);
    desk.shows("> draft");
    desk.actions.clear();
    desk.press(Key::ctrl('l'));
    assert!(desk.actions.contains(&Action::Repaint));
    desk.press(Key::ctrl('c'));
    assert!(desk.actions.contains(&Action::Quit));
}

#[test]
fn keys_in_any_order_do_no_harm() {
    let codes = [
        Code::Enter,
        Code::Tab,
        Code::Backspace,
        Code::Delete,
        Code::Left,
        Code::Right,
        Code::Up,
        Code::Down,
        Code::Home,
        Code::End,
        Code::PageUp,
        Code::PageDown,
        Code::Esc,
        Code::F(1),
        Code::F(2),
        Code::BackTab,
        Code::Char('a'),
        Code::Char('/'),
        Code::Char('日'),
        Code::Char('w'),
        Code::Char('\u{301}'),
        Code::Char('?'),
    ];
    for (width, height) in [(80, 24), (20, 5), (60, 6), (19, 5), (1, 1), (200, 70)] {
        let mut desk = Desk::new(width, height);
        let mut number = 7_u64;
        for step in 0..600 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let code = codes[usize::try_from(number >> 40).unwrap_or(0) % codes.len()];
            desk.press(Key { code, ctrl: (number >> 33).is_multiple_of(8), alt: (number >> 36).is_multiple_of(8) });
            if step % 50 == 0 {
                desk.tell(vec![message(BOB, 10 + step, "bob", "日本 text", FOUR), typing(BOB, "bob", true)]);
            }
            if step % 10 == 0 {
                assert_eq!(desk.screen().len(), usize::from(height));
            }
        }
    }
}
