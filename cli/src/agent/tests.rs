//! The agent's protocol over a real socket, with a scripted executor.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use tokio::{
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
};

use super::{
    Asked, Execute, Stopping, ask, serve, stop_asked,
    wire::{FromCommand, FromOwner, Lines, write},
};
use crate::{
    command::{Command, Request},
    event::Event,
    exit::{self, Exit},
    output::Output,
    verbs::{history, listen, send},
};

/// `history` tells one note and fails with 1; `listen` tells a message each time it is told to, until stopped; `send`
/// never ends and reports being dropped.
#[derive(Clone)]
struct Script {
    dropped: mpsc::Sender<()>,
    messages: watch::Receiver<u64>,
    /// How many messages count as read.
    confirmed: watch::Sender<u64>,
}

struct OnDrop(mpsc::Sender<()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.try_send(()).ok();
    }
}

impl Execute for Script {
    async fn execute(&self, request: Request, output: &mut impl Output, mut stopping: Stopping) -> Exit {
        match request.command {
            Command::Listen(_) => {
                let (mut messages, mut told) = (self.messages.clone(), 0);
                loop {
                    while told < *messages.borrow_and_update() {
                        told += 1;
                        if output.emit(vec![message(told)]).await.is_err() {
                            return Exit::failed(exit::IO, "");
                        }
                        self.confirmed.send_replace(told);
                    }
                    tokio::select! {
                        () = stop_asked(&mut stopping) => return Exit::ok(),
                        changed = messages.changed() => changed.expect("the test goes on"),
                    }
                }
            }
            Command::Send(_) => {
                let _report = OnDrop(self.dropped.clone());
                std::future::pending().await
            }
            _ => match output.emit(vec![Event::Note { text: "served".into() }]).await {
                Ok(()) => Exit::failed(exit::FAILED, "refused"),
                Err(error) => error.into(),
            },
        }
    }
}

/// Collects, and confirms as it collects.
struct Collect(mpsc::Sender<Event>);

impl Output for Collect {
    async fn emit(&mut self, events: Vec<Event>) -> io::Result<()> {
        for event in events {
            self.0.send(event).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }
}

fn message(seq: u64) -> Event {
    let (group, title, from, text) = (String::new(), String::new(), String::new(), String::new());
    let (delivered, read, urgent, expires_at_ms) = (Vec::new(), Vec::new(), false, None);
    Event::Message { group, title, seq, from, text, time_ms: 0, delivered, read, request: false, urgent, expires_at_ms }
}

fn request(command: Command) -> Request {
    Request { command, timeout_ms: 1000 }
}

fn history() -> Request {
    request(Command::History(history::Args { group: "x".into(), limit: 1 }))
}

fn listen() -> Request {
    request(Command::Listen(listen::Args { seconds: None, count: None }))
}

fn send() -> Request {
    let (to, group, text) = (Vec::new(), Some("x".into()), "t".into());
    request(Command::Send(send::Args { to, group, text, ttl: None, urgent: false }))
}

fn script() -> (Script, mpsc::Receiver<()>, watch::Sender<u64>) {
    let (dropped, drops) = mpsc::channel(1);
    let (tell, messages) = watch::channel(0);
    (Script { dropped, messages, confirmed: watch::channel(0).0 }, drops, tell)
}

fn never_stopped() -> (watch::Sender<bool>, Stopping) {
    watch::channel(false)
}

async fn asks(home: &Path, request: Request, stopping: Stopping) -> (Asked, Vec<Event>) {
    let (events, mut collected) = mpsc::channel(64);
    let asked = ask(home, &request, &mut Collect(events), stopping).await.expect("the socket works");
    let mut told = Vec::new();
    while let Some(event) = collected.recv().await {
        told.push(event);
    }
    (asked, told)
}

#[tokio::test]
async fn a_command_is_served_with_its_output_and_its_exit_code() {
    for name in ["short".to_owned(), "long".repeat(40)] {
        let directory = tempfile::tempdir().expect("a directory");
        let home = directory.path().join(name);
        fs::create_dir(&home).expect("made");
        // A stale socket of a killed owner.
        fs::write(home.join("agent.sock"), "").expect("written");
        let agent = serve(&home, script().0).expect("served");
        let mode = fs::metadata(home.join("agent.sock")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (_stop, stopping) = never_stopped();
        let (asked, told) = asks(&home, history(), stopping).await;
        assert_eq!(asked, Asked::Ended(Exit::failed(exit::FAILED, "refused")));
        assert_eq!(told, [Event::Note { text: "served".into() }]);
        agent.finish().await;
        assert!(!home.join("agent.sock").exists());
    }
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_a_failure() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_stop, stopping) = never_stopped();
    assert_eq!(asks(directory.path(), history(), stopping.clone()).await.0, Asked::NobodyThere);
    fs::write(directory.path().join("agent.sock"), "").expect("written");
    assert_eq!(asks(directory.path(), history(), stopping).await.0, Asked::NobodyThere);
}

/// A command that has been taken: its lines, and what it writes to.
async fn started(home: &Path, request: &Request) -> (Lines<OwnedReadHalf>, OwnedWriteHalf) {
    let (reader, mut writer) = UnixStream::connect(home.join("agent.sock")).await.expect("connected").into_split();
    let mut lines = Lines::new(reader);
    write(&mut writer, request).await.expect("written");
    assert_eq!(lines.next().await.expect("a line"), Some(FromOwner::Started));
    (lines, writer)
}

#[tokio::test]
async fn an_output_counts_as_read_only_once_it_was_flushed() {
    let directory = tempfile::tempdir().expect("a directory");
    let (script, _drops, tell) = script();
    let mut confirmed = script.confirmed.subscribe();
    let agent = serve(directory.path(), script).expect("served");
    tell.send_replace(2);
    let (mut lines, mut writer) = started(directory.path(), &listen()).await;
    assert_eq!(lines.next().await.expect("a line"), Some(FromOwner::Events(vec![message(1)])));
    assert_eq!(*confirmed.borrow_and_update(), 0);
    write(&mut writer, &FromCommand::Flushed).await.expect("written");
    assert_eq!(lines.next().await.expect("a line"), Some(FromOwner::Events(vec![message(2)])));
    assert_eq!(*confirmed.borrow_and_update(), 1);
    drop((lines, writer));
    agent.finish().await;
    assert_eq!(*confirmed.borrow_and_update(), 1, "who has gone has not read the second");
}

#[tokio::test]
async fn a_command_that_goes_away_ends_what_was_done_for_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let (script, mut drops, _tell) = script();
    let agent = serve(directory.path(), script).expect("served");
    drop(started(directory.path(), &send()).await);
    assert_eq!(drops.recv().await, Some(()));
    let (stop, stopping) = never_stopped();
    stop.send_replace(true);
    let (asked, _) = asks(directory.path(), send(), stopping).await;
    assert_eq!(asked, Asked::Ended(Exit::failed(exit::INTERRUPTED, "")));
    agent.finish().await;
}

#[tokio::test]
async fn what_is_no_request_is_told_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let agent = serve(directory.path(), script().0).expect("served");
    let (reader, mut writer) = UnixStream::connect(directory.path().join("agent.sock")).await.expect("connected").into_split();
    write(&mut writer, &"sing").await.expect("written");
    let answer = Lines::new(reader).next().await.expect("a line");
    assert!(matches!(answer, Some(FromOwner::Exit(exit)) if exit.code == exit::USAGE));
    agent.finish().await;
}

#[tokio::test]
async fn listeners_stop_when_asked_and_move_when_the_owner_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let (script, _drops, tell) = script();
    let agent = serve(directory.path(), script).expect("served");
    tell.send_replace(3);
    let (stop, stopping) = never_stopped();
    let (_never, unstopped) = never_stopped();
    let home = directory.path();
    let (events, mut first) = mpsc::channel(64);
    let (more_events, mut second) = mpsc::channel(64);
    let (first_request, second_request) = (listen(), listen());
    let stopped = async {
        for _ in 0..3 {
            first.recv().await.expect("a message");
            second.recv().await.expect("every listener gets it");
        }
        stop.send_replace(true);
    };
    let (mut first_out, mut second_out) = (Collect(events), Collect(more_events));
    let moved = ask(home, &second_request, &mut second_out, unstopped);
    let finishing = async {
        let (ended, ()) = tokio::join!(ask(home, &first_request, &mut first_out, stopping), stopped);
        agent.finish().await;
        ended
    };
    let (moved, ended) = tokio::join!(moved, finishing);
    assert_eq!(ended.expect("served"), Asked::Ended(Exit::ok()));
    assert_eq!(moved.expect("served"), Asked::Moved);
}
