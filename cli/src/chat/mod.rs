//! `sov chat`: a messenger on the whole terminal.
//!
//! The [`model`] is pure: it takes inputs and says what to do; the [`view`] draws it; the [`terminal`] is the one door to
//! keys and cells. This file is the rim, which carries things between them and the home. Everything goes over the road
//! of all commands: on the own client where this process owns the home, else through the process that does. When that
//! one ends, this one takes over, and the screen stays.

mod ask;
mod cells;
mod commands;
mod compose;
mod conversation;
mod follow;
mod help;
mod keys;
mod layout;
mod model;
mod obey;
mod places;
mod terminal;
#[cfg(test)]
mod tests;
mod told;
mod typed;
mod typing;
mod view;

use std::{io, path::PathBuf, time::Duration};

use sovereign_client::Options;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

pub(crate) use self::ask::Ask;
use self::{
    model::{Action, Input, Model},
    terminal::{Screen, Signal},
};
use crate::{
    agent::Stopping,
    command::{Command, Request},
    event::Event,
    exit::{self, Exit},
    here::{Here, Road, beside},
    output::Output,
};

/// What `sov chat --help` teaches.
pub(crate) const HELP: &str = "\
Keys:
  Enter           sends             Alt-Enter, Ctrl-J   begin a new line
  Tab             next unread       Ctrl-N, Ctrl-P      next, previous
  PgUp, PgDn      scroll back       Esc                 to the newest
  F1, ?           all keys          Ctrl-C, Ctrl-Q      quit

Commands, typed as a message:
  /to bob                      talk to somebody; the first message makes the
                               conversation
  /group Tea club with bob,carol
  /add dave   /remove dave   /rename Cake club   /leave   /members
  /accept   /block             what to do about a stranger's request
  /online   /away   /hidden    what others see of you

Marks: a dot waits, one tick is at the server, two are on everybody's device,
two heavy ones are read. Times are UTC. NO_COLOR is respected.

Other sov commands work on the same home meanwhile. What was on the screen
counts as listened to: `sov listen` does not tell it again. What is unread
stays, for `sov listen` and for the next `sov chat`.
Without a terminal use `sov listen` and `sov send`.";

/// Pictures drawn in a second, at most: as many as a slow terminal can show.
const FRAME: Duration = Duration::from_millis(33);
/// How long a command may take.
const PATIENCE_MS: u64 = 60_000;
/// How long what was typed last may take when somebody quits.
const QUIT_PATIENCE: Duration = Duration::from_secs(3);
/// Commands that wait for their turn; as many as there may be keys in that time.
const SAID_MAX: usize = 1024;

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Draw with ASCII only (as where the locale is not UTF-8)
    #[arg(long)]
    ascii: bool,
}

/// Runs until somebody quits. `stop` ends what runs for the screen.
pub(crate) async fn run(
    args: &Args,
    home: PathBuf,
    options: Options,
    stop: watch::Sender<bool>,
    stopping: Stopping,
) -> Result<(), Exit> {
    if !terminal::is_there() {
        return Err(Exit::failed(exit::USAGE, "chat needs a terminal; without one use `sov listen` and `sov send`"));
    }
    let (tell, mut feed) = mpsc::channel(16);
    let (road, roads) = watch::channel(Road::Nobody);
    let mut here = Here { home: home.clone(), options, output: Feed(tell), stopping: stopping.clone(), road };
    let follow = Request { command: Command::Chat(Ask::Follow), timeout_ms: PATIENCE_MS };
    let mut owner = tokio::spawn(async move { here.run(follow).await });
    let ended = |ended: Result<Result<(), Exit>, tokio::task::JoinError>| match ended {
        Ok(exit) => exit,
        Err(error) => Err(Exit::failed(exit::FAILED, error.to_string())),
    };
    // A home that cannot be opened says so where it can be read.
    let first = tokio::select! {
        exit = &mut owner => return ended(exit),
        Some(first) = feed.recv() => first,
    };
    let mut rim = Rim::new(Line { home, roads, stopping });
    let mut screen = Screen::enter()?;
    let mut model = Model::new(terminal::look(args.ascii), terminal::size()?);
    rim.carry_out(model.update(Input::Told(first)), Some(&mut screen))?;
    let result = tokio::select! {
        result = rim.play(&mut model, &mut screen, &mut feed) => result,
        exit = &mut owner => {
            drop(screen);
            return ended(exit);
        }
    };
    drop(screen);
    rim.finish(&mut model, &mut feed).await;
    stop.send_replace(true);
    // The stream may have something to say still.
    drop(feed);
    let exit = match ended(owner.await) {
        // The stream that was cut off here is no failure of anybody.
        Err(exit) if exit.code == exit::IO && exit.message.is_empty() => Ok(()),
        other => other,
    };
    result.and(exit)?;
    match model.unsent() {
        0 => Ok(()),
        unsent => {
            let message = format!("{unsent} of your messages wait in the outbox: the next sov command on this home sends them");
            Err(Exit { code: exit::OK, message })
        }
    }
}

/// The stream's output: into the screen, which holds it up as long as it is busy.
struct Feed(mpsc::Sender<Vec<Event>>);

impl Output for Feed {
    async fn emit(&mut self, events: Vec<Event>) -> io::Result<()> {
        self.0.send(events).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The output of a short command.
#[derive(Default)]
struct Answer(Vec<Event>);

impl Output for Answer {
    async fn emit(&mut self, events: Vec<Event>) -> io::Result<()> {
        self.0.extend(events);
        Ok(())
    }
}

/// How commands reach the home.
#[derive(Clone)]
struct Line {
    home: PathBuf,
    roads: watch::Receiver<Road>,
    stopping: Stopping,
}

impl Line {
    async fn run(self, tag: u64, command: Command) -> Input {
        let request = Request { command, timeout_ms: PATIENCE_MS };
        let mut answer = Answer::default();
        let exit = beside(self.roads, &self.home, &request, &mut answer, self.stopping).await;
        Input::Answer { tag, events: answer.0, exit }
    }
}

/// What stands between the model and the rest.
struct Rim {
    line: Line,
    commands: JoinSet<Input>,
    /// Messages, which keep their order.
    say: mpsc::Sender<(u64, Command)>,
    said: mpsc::Receiver<Input>,
}

impl Rim {
    fn new(line: Line) -> Self {
        let (say, mut to_say) = mpsc::channel::<(u64, Command)>(SAID_MAX);
        let (tell, said) = mpsc::channel(SAID_MAX);
        let own = line.clone();
        tokio::spawn(async move {
            while let Some((tag, command)) = to_say.recv().await {
                // A screen that has gone needs no answer, and its words are still said.
                tell.send(own.clone().run(tag, command).await).await.ok();
            }
        });
        Self { line, commands: JoinSet::new(), say, said }
    }

    /// Plays until somebody quits.
    async fn play(&mut self, model: &mut Model, screen: &mut Screen, feed: &mut mpsc::Receiver<Vec<Event>>) -> Result<(), Exit> {
        let mut frames = interval(FRAME);
        frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seconds = interval(Duration::from_secs(1));
        let mut changed = true;
        let mut stopping = self.line.stopping.clone();
        loop {
            let input = tokio::select! {
                () = crate::agent::stop_asked(&mut stopping) => return Ok(()),
                signal = screen.signal() => match signal {
                    Signal::Key(key) => Input::Key(key),
                    Signal::Paste(text) => Input::Paste(text),
                    Signal::Focus(focused) => Input::Focus(focused),
                    Signal::Resized => {
                        let (width, height) = screen.fit()?;
                        Input::Size(width, height)
                    }
                    Signal::Gone(error) => return Err(error.into()),
                    Signal::Fault(text) => return Err(Exit::failed(exit::FAILED, format!("a fault of this program: {text}"))),
                },
                Some(events) = feed.recv() => Input::Told(events),
                Some(Ok(answer)) = self.commands.join_next() => answer,
                Some(answer) = self.said.recv() => answer,
                _ = seconds.tick() => Input::Tick,
                _ = frames.tick(), if changed => {
                    changed = false;
                    screen.draw(|frame| view::view(model, frame))?;
                    continue;
                }
            };
            let actions = model.update(input);
            changed |= model.take_changed();
            if !self.carry_out(actions, Some(screen))? {
                return Ok(());
            }
        }
    }

    /// Whether to go on.
    fn carry_out(&mut self, actions: Vec<Action>, mut screen: Option<&mut Screen>) -> Result<bool, Exit> {
        for action in actions {
            match action {
                Action::Quit => return Ok(false),
                Action::Repaint => drop(screen.as_mut().map(|screen| screen.fit()).transpose()?),
                Action::Run { tag, command: command @ Command::Chat(Ask::Say { .. }) } => {
                    // The model lets fewer wait than there is room for.
                    drop(self.say.try_send((tag, command)));
                }
                Action::Run { tag, command } => drop(self.commands.spawn(self.line.clone().run(tag, command))),
            }
        }
        Ok(true)
    }

    /// What was typed last is on its way still: it gets a moment.
    async fn finish(mut self, model: &mut Model, feed: &mut mpsc::Receiver<Vec<Event>>) {
        let done = async {
            while model.is_busy() {
                let input = tokio::select! {
                    Some(events) = feed.recv() => Input::Told(events),
                    Some(Ok(answer)) = self.commands.join_next() => answer,
                    Some(answer) = self.said.recv() => answer,
                    else => return,
                };
                let actions = model.update(input);
                // Without a screen there is nothing that could fail.
                self.carry_out(actions, None).ok();
            }
        };
        timeout(QUIT_PATIENCE, done).await.ok();
    }
}
