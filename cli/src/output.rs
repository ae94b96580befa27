//! Where events go.

use std::io::{self, IsTerminal as _, Write};

use data_encoding::HEXLOWER;

use crate::{
    event::Event,
    render::{Style, render},
};

/// Takes events in order. When [`Output::emit`] returns, they have been written and flushed where the person (or the
/// script) who asked reads them.
pub(crate) trait Output: Send {
    /// Events that belong together (the rows of a table).
    fn emit(&mut self, events: Vec<Event>) -> impl Future<Output = io::Result<()>> + Send;

    /// How many messages were written so far, where that is counted.
    fn messages(&self) -> u64 {
        0
    }
}

/// This process's own stdout and stderr.
pub(crate) struct Terminal {
    style: Style,
    /// Message lines written so far.
    messages: u64,
    /// The fingerprint of the changed identity that was shown last.
    pub(crate) offered: Option<[u8; 32]>,
}

impl Terminal {
    /// In the style that [`style`] says.
    pub(crate) fn new(json: bool) -> Self {
        Self { style: style(json), messages: 0, offered: None }
    }
}

/// For whom stdout is: JSON, or for people; coloured only on a terminal, and not where `NO_COLOR` is set.
pub(crate) fn style(json: bool) -> Style {
    let coloured = || io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match json {
        true => Style::Json,
        false if coloured() => Style::Coloured,
        false => Style::Plain,
    }
}

impl Output for Terminal {
    async fn emit(&mut self, events: Vec<Event>) -> io::Result<()> {
        write(&events, self.style, &mut io::stdout().lock(), &mut io::stderr().lock())?;
        let messages = events.iter().filter(|event| event.is_message()).count();
        for event in &events {
            if let Event::Identity { offered, changed: true, .. } = event {
                self.offered = HEXLOWER.decode(offered.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
            }
        }
        self.messages += u64::try_from(messages).unwrap_or(u64::MAX);
        Ok(())
    }

    fn messages(&self) -> u64 {
        self.messages
    }
}

fn write(events: &[Event], style: Style, stdout: &mut impl Write, stderr: &mut impl Write) -> io::Result<()> {
    let rendered = render(events, style);
    stderr.write_all(rendered.stderr.as_bytes())?;
    stdout.write_all(rendered.stdout.as_bytes())?;
    stdout.flush()
}
