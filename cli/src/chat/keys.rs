//! Keys as the model knows them, whatever brought them.

/// A key that was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) code: Code,
    pub(super) ctrl: bool,
    pub(super) alt: bool,
}

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Char(char),
    Enter,
    Tab,
    BackTab,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    PageUp,
    PageDown,
    Esc,
    F(u8),
}

#[cfg(test)]
impl Key {
    pub(super) fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    pub(super) fn ctrl(character: char) -> Self {
        Self { code: Code::Char(character), ctrl: true, alt: false }
    }

    pub(super) fn alt(code: Code) -> Self {
        Self { code, ctrl: false, alt: true }
    }
}
