//! `sov chat` on a real terminal, beside other commands on the same home.

use rustix::process::Signal;

use crate::harness::{Home, TestServer};

const QUIT: &str = "\u{11}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_talk_one_of_them_on_a_screen() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let mut desk = ada.chat(80, 24);
    desk.shows("Nobody here yet").await;
    desk.shows("● live").await;
    desk.enter("/to bob");
    desk.shows("> ").await;
    desk.enter("Tea at four?");
    desk.shows("✓  you: Tea at four?").await;
    let mut bobs = bob.listen().await;
    assert_eq!(bobs.message().await, ("ada".to_owned(), "Tea at four?".to_owned()));
    bob.sov(&["send", "--to", "ada", "Gladly. \u{202e}\u{1b}[2J At the 港?"]).await;
    desk.shows("bob: Gladly. \\u{202e}\\u{1b}[2J At the 港?").await;

    // Editing, and a paste of several lines, which is one message.
    desk.press("Yes, at fve\u{1b}[D\u{1b}[Di");
    desk.shows("> Yes, at five").await;
    desk.press("\u{5}\u{1b}[200~ o'clock\r\nsharp\u{1b}[201~\r");
    assert_eq!(bobs.message().await.1, "Yes, at five o'clock\nsharp");
    desk.shows("sharp").await;

    // What was said last goes out, though somebody quits at once. What the screen has shown has been listened to.
    desk.press("Bye\r\u{11}");
    assert_eq!(bobs.message().await.1, "Bye");
    assert_eq!(desk.end().await, (Some(0), String::new()));
    bob.sov(&["send", "--to", "ada", "Are you there?"]).await;
    let (lines, code) = ada.start(&["listen", "--count", "1"]).rest().await;
    let message = lines.iter().find(|line| line["event"] == "message").expect("a message");
    assert_eq!((&message["text"], code), (&"Are you there?".into(), Some(0)));
    let mut desk = ada.chat(80, 24);
    desk.shows("you: Yes, at five").await;
    desk.shows("bob: Are you there?").await;
    desk.press(QUIT);
    assert_eq!(desk.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listen_send_and_chat_work_side_by_side() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    ada.sov(&["send", "--to", "bob", "hello"]).await;
    let mut bobs = bob.listen().await;
    assert_eq!(bobs.message().await.1, "hello");

    // Through the listener that owns the home.
    let mut owner = ada.listen().await;
    let mut desk = ada.chat(80, 24);
    desk.shows("✓  you: hello").await;
    desk.enter("from the screen");
    assert_eq!(bobs.message().await.1, "from the screen");
    ada.sov(&["send", "--to", "bob", "from a script"]).await;
    desk.shows("you: from a script").await;
    assert_eq!(bobs.message().await.1, "from a script");
    bob.sov(&["send", "--to", "ada", "to both"]).await;
    desk.shows("bob: to both").await;
    assert_eq!(owner.message().await.1, "to both");

    // The owner dies: the screen stays, and becomes the owner.
    desk.press("half a line");
    desk.shows("> half a line").await;
    owner.kill().await;
    bob.sov(&["send", "--to", "ada", "to the screen"]).await;
    desk.shows("bob: to the screen").await;
    desk.shows("> half a line").await;
    let mut listener = ada.listen().await;
    let group = ada.groups().await;
    assert_eq!(group.len(), 1, "others go through the screen");
    desk.enter(" and its end");
    assert_eq!(bobs.message().await.1, "half a line and its end");

    // It ends: the listener goes on.
    desk.press(QUIT);
    assert_eq!(desk.end().await, (Some(0), String::new()));
    bob.sov(&["send", "--to", "ada", "to the listener"]).await;
    assert_eq!(listener.message().await.1, "to the listener");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_made_on_the_screen_and_what_is_new_elsewhere_is_counted() {
    let server = TestServer::start().await;
    let mut homes = Vec::new();
    for name in ["ada", "bob", "eve"] {
        homes.push(Home::join(&server, name).await);
    }
    let [ada, bob, eve] = &homes[..] else { panic!("three") };
    let mut desk = ada.chat(80, 24);
    desk.shows("Nobody here yet").await;
    desk.enter("/group Tea club with bob");
    desk.shows("Tea club is made").await;
    desk.enter("Welcome");
    desk.shows("✓  you: Welcome").await;
    desk.enter("/add eve");
    desk.shows("* eve came").await;
    desk.shows("3: ada, bob, eve").await;
    desk.enter("/rename Cake club");
    desk.shows("Cake club").await;
    desk.enter("/to bob");
    desk.enter("Do you see it?");
    desk.shows("✓  you: Do you see it?").await;
    eve.sov(&["send", "--group", "Cake club", "I do"]).await;
    desk.shows(" Cake club          1 ").await;
    desk.press("\t");
    desk.shows("eve: I do").await;
    desk.hides(" Cake club          1 ").await;
    bob.sov(&["send", "--group", "Cake club", "So do I"]).await;
    desk.shows("bob: So do I").await;
    desk.enter("/to nobody.here");
    desk.enter("hello?");
    desk.shows("there is nobody called nobody.here").await;
    desk.shows("> hello?").await;
    desk.press(QUIT);
    assert_eq!(desk.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_asks_is_accepted_and_both_screens_live() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    let mut adas = ada.chat(80, 24);
    adas.shows("● live").await;
    adas.enter("/to bob");
    adas.enter("Are you there?");
    adas.shows("✓  you: Are you there?").await;

    let mut bobs = bob.chat(80, 24);
    bobs.shows("A stranger has written to you.").await;
    bobs.shows("Requests").await;
    bobs.press("\u{e}");
    bobs.shows("ada: Are you there?").await;
    bobs.shows("A stranger: a accepts, b blocks.").await;
    assert!(!adas.text().contains("✓✓") && !adas.text().contains("✔✔"), "strangers learn nothing:\n{}", adas.text());
    bobs.press("a");
    bobs.hides("Requests").await;
    adas.shows("✔✔ you: Are you there?").await;
    adas.shows("bob  ● online").await;
    bobs.press("Yes, w");
    adas.shows("bob is typing…").await;
    bobs.press("e are\r");
    adas.shows("bob: Yes, we are").await;
    adas.hides("is typing").await;
    bobs.shows("✔✔ you: Yes, we are").await;

    // One goes: what comes meanwhile is delivered and read when they are back.
    bobs.press(QUIT);
    assert_eq!(bobs.end().await.0, Some(0));
    adas.shows("bob  ○ offline").await;
    adas.enter("And now?");
    adas.shows("✓  you: And now?").await;
    let mut listener = bob.listen().await;
    adas.shows("✓✓ you: And now?").await;
    assert_eq!(listener.message().await.1, "And now?");
    let mut bobs = bob.chat(80, 24);
    bobs.shows("ada: And now?").await;
    adas.shows("✔✔ you: And now?").await;

    bobs.enter("/block");
    bobs.shows("Block ada?").await;
    bobs.press("y");
    bobs.shows("ada is blocked").await;
    adas.press(QUIT);
    assert_eq!(adas.end().await.0, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_of_any_size_is_left_as_it_was_found() {
    let server = TestServer::start().await;
    let (ada, bob) = (Home::join(&server, "ada").await, Home::join(&server, "bob").await);
    bob.sov(&["send", "--to", "ada", "hi"]).await;
    ada.sov(&["contacts", "accept", "bob"]).await;
    let mut desk = ada.chat(20, 5);
    desk.shows("bob: hi").await;
    desk.shows("● live").await;
    desk.resize(12, 3);
    desk.shows("too small").await;
    desk.resize(100, 30);
    desk.shows("bob: hi").await;
    desk.press("\u{1b}OP");
    desk.shows("Any other key closes this.").await;
    desk.signal(Signal::TERM);
    assert_eq!(desk.end().await, (Some(0), String::new()));

    let (code, error) = ada.plainly(&["chat"]).await;
    assert_eq!(code, Some(64));
    assert!(error.contains("sov listen") && error.contains("sov send"), "{error}");
    assert_eq!(ada.try_sov(&["chat"]).await.code, Some(64));
    let empty = Home::new().chat(80, 24);
    let (code, error) = empty.end().await;
    assert_eq!(code, Some(78), "{error}");
    assert!(error.contains("no account"), "{error}");
}
