//! The terminal: the one door to what draws on it and reads its keys. Whatever way the program ends, the terminal is as
//! it was.

use std::{
    io::{self, BufWriter, IsTerminal as _, Stdout, Write as _},
    panic, thread,
    time::Duration,
};

use ratatui::{
    Frame, Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    crossterm::{
        cursor::Show,
        event::{
            self, DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange, Event, KeyCode, KeyEvent,
            KeyEventKind, KeyModifiers,
        },
        execute,
        terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
    layout::Rect,
};
use tokio::sync::mpsc;

use super::{
    keys::{Code, Key},
    model::Look,
};

/// How long the reader of keys waits before it looks whether anybody still wants them.
const READ_PATIENCE: Duration = Duration::from_millis(200);
/// Written at once, where the terminal takes so much.
const BUFFER_BYTES: usize = 64 * 1024;

/// What a terminal tells.
#[derive(Debug)]
pub(super) enum Signal {
    Key(Key),
    Paste(String),
    Focus(bool),
    Resized,
    /// It can be read no more.
    Gone(io::Error),
    /// Another thread has panicked.
    Fault(String),
}

/// The terminal while it is this program's.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    signals: mpsc::Receiver<Signal>,
}

/// Whether there is a terminal to talk on.
pub(super) fn is_there() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !dumb
}

/// What the surroundings ask for: no colours where `NO_COLOR` is set, no more than ASCII where that is not spoken.
pub(super) fn look(ascii: bool) -> Look {
    let value = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let language = value("LC_ALL").or_else(|| value("LC_CTYPE")).or_else(|| value("LANG")).unwrap_or_default();
    let spoken = language.to_uppercase();
    let unicode = spoken.contains("UTF-8") || spoken.contains("UTF8");
    Look { coloured: value("NO_COLOR").is_none(), ascii: ascii || !unicode }
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter() -> io::Result<Self> {
        let (tell, signals) = mpsc::channel(64);
        hook(tell.clone());
        enable_raw_mode()?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout());
        let entered = execute!(out, EnterAlternateScreen, Clear(ClearType::All), EnableBracketedPaste, EnableFocusChange);
        let (width, height) = size()?;
        let options = TerminalOptions { viewport: Viewport::Fixed(Rect::new(0, 0, width, height)) };
        let terminal = entered.and_then(|()| Terminal::with_options(CrosstermBackend::new(out), options));
        match terminal {
            Ok(terminal) => {
                thread::spawn(move || read(&tell));
                Ok(Self { terminal, signals })
            }
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// What the terminal tells next.
    pub(super) async fn signal(&mut self) -> Signal {
        let gone = || Signal::Gone(io::ErrorKind::BrokenPipe.into());
        self.signals.recv().await.unwrap_or_else(gone)
    }

    /// Draws what has changed since the last time.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(view).map(drop)
    }

    /// Takes the terminal's present size; what is drawn next is drawn whole.
    pub(super) fn fit(&mut self) -> io::Result<(u16, u16)> {
        let (width, height) = size()?;
        self.terminal.resize(Rect::new(0, 0, width, height))?;
        self.terminal.backend_mut().flush()?;
        Ok((width, height))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Columns and rows of the terminal that is written to, which need not be the one that controls this process.
pub(super) fn size() -> io::Result<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(io::stdout())?;
    // A terminal that does not know its size is taken for the oldest.
    Ok(if size.ws_col == 0 || size.ws_row == 0 { (80, 24) } else { (size.ws_col, size.ws_row) })
}

fn restore() {
    // Whatever does not work here has nobody left to be told.
    drop(execute!(io::stdout(), DisableFocusChange, DisableBracketedPaste, LeaveAlternateScreen, Show));
    drop(disable_raw_mode());
}

/// A panic is told on a terminal that can be read: at once from the thread that draws, and from any other once the screen
/// was left.
fn hook(tell: mpsc::Sender<Signal>) {
    let before = panic::take_hook();
    let drawing = thread::current().id();
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == drawing {
            restore();
            before(info);
        } else {
            drop(tell.try_send(Signal::Fault(info.to_string())));
        }
    }));
}

/// Reads until nobody wants to hear any more.
fn read(tell: &mpsc::Sender<Signal>) {
    while !tell.is_closed() {
        let signal = match event::poll(READ_PATIENCE) {
            Ok(false) => continue,
            Ok(true) => event::read().map_or_else(|error| Some(Signal::Gone(error)), signal_of),
            Err(error) => Some(Signal::Gone(error)),
        };
        let last = matches!(signal, Some(Signal::Gone(_)));
        if signal.is_some_and(|signal| tell.blocking_send(signal).is_err()) || last {
            return;
        }
    }
}

fn signal_of(event: Event) -> Option<Signal> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_of(key).map(Signal::Key),
        Event::Paste(text) => Some(Signal::Paste(text)),
        Event::FocusGained => Some(Signal::Focus(true)),
        Event::FocusLost => Some(Signal::Focus(false)),
        Event::Resize(..) => Some(Signal::Resized),
        Event::Key(_) | Event::Mouse(_) => None,
    }
}

fn key_of(key: KeyEvent) -> Option<Key> {
    let code = match key.code {
        KeyCode::Char(character) => Code::Char(character),
        KeyCode::Enter => Code::Enter,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::Esc => Code::Esc,
        KeyCode::F(number) => Code::F(number),
        _ => return None,
    };
    let held = |modifier| key.modifiers.contains(modifier);
    Some(Key { code, ctrl: held(KeyModifiers::CONTROL), alt: held(KeyModifiers::ALT) })
}
