//! The line that is being written, and its editing.

use unicode_segmentation::UnicodeSegmentation as _;

use super::cells::{before, behind, rows, width};
use crate::verbs::send::TEXT_BYTES_MAX;

/// A text with a cursor. The cursor stands between two characters, in bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Composer {
    text: String,
    cursor: usize,
    /// What was killed last, for yanking.
    killed: String,
}

/// The text would become too long for one message by so many bytes. Nothing was changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub(super) usize);

impl Composer {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn has_lines(&self) -> bool {
        self.text.contains('\n')
    }

    /// Everything, and the line is empty.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Puts another text there, with the cursor behind it.
    pub(super) fn set(&mut self, text: String) {
        self.cursor = text.len();
        self.text = text;
    }

    /// Inserts at the cursor. Line breaks of all kinds become `\n`, tabs spaces; other control characters are left out.
    pub(super) fn insert(&mut self, text: &str) -> Result<(), TooLong> {
        let mut clean = String::with_capacity(text.len());
        for character in text.replace("\r\n", "\n").chars() {
            match character {
                '\n' | '\r' => clean.push('\n'),
                '\t' => clean.push_str("    "),
                other if other.is_control() => {}
                other => clean.push(other),
            }
        }
        let max = usize::try_from(TEXT_BYTES_MAX).unwrap_or(usize::MAX);
        let length = self.text.len() + clean.len();
        if length > max {
            return Err(TooLong(length - max));
        }
        self.text.insert_str(self.cursor, &clean);
        self.cursor += clean.len();
        Ok(())
    }

    pub(super) fn left(&mut self) {
        self.cursor = before(&self.text, self.cursor);
    }

    pub(super) fn right(&mut self) {
        self.cursor = behind(&self.text, self.cursor);
    }

    pub(super) fn word_left(&mut self) {
        self.cursor = self.word_start();
    }

    pub(super) fn word_right(&mut self) {
        self.cursor = self.word_end();
    }

    /// To the start of the line.
    pub(super) fn home(&mut self) {
        self.cursor = self.line_start();
    }

    /// To the end of the line.
    pub(super) fn end(&mut self) {
        self.cursor = self.line_end();
    }

    /// To the line above, as near to the same place as there is.
    pub(super) fn up(&mut self) {
        let start = self.line_start();
        let column = self.text[start..self.cursor].graphemes(true).count();
        if start > 0 {
            self.cursor = start - 1;
            let above = self.line_start();
            self.cursor = place(&self.text, above, start - 1, column);
        }
    }

    /// To the line below.
    pub(super) fn down(&mut self) {
        let column = self.text[self.line_start()..self.cursor].graphemes(true).count();
        let end = self.line_end();
        if end < self.text.len() {
            self.cursor = end + 1;
            self.cursor = place(&self.text, end + 1, self.line_end(), column);
        }
    }

    pub(super) fn backspace(&mut self) {
        let start = before(&self.text, self.cursor);
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    pub(super) fn delete(&mut self) {
        let end = behind(&self.text, self.cursor);
        self.text.replace_range(self.cursor..end, "");
    }

    pub(super) fn kill_word_left(&mut self) {
        self.kill(self.word_start(), self.cursor);
    }

    pub(super) fn kill_word_right(&mut self) {
        self.kill(self.cursor, self.word_end());
    }

    pub(super) fn kill_to_start(&mut self) {
        self.kill(self.line_start(), self.cursor);
    }

    /// To the end of the line; at the end, the line break.
    pub(super) fn kill_to_end(&mut self) {
        let end = self.line_end();
        self.kill(self.cursor, if end == self.cursor { behind(&self.text, end) } else { end });
    }

    /// Inserts what was killed last.
    pub(super) fn yank(&mut self) -> Result<(), TooLong> {
        let killed = self.killed.clone();
        self.insert(&killed)
    }

    /// The rows as they are drawn `room` cells wide, and the cursor's row and column. A cursor behind a full row stands
    /// at the start of the next.
    pub(super) fn drawn(&self, room: usize) -> (Vec<String>, usize, usize) {
        let room = room.max(3);
        // The last column is the cursor's.
        let ranges = rows(&self.text, room - 1);
        let row = ranges.iter().rposition(|range| range.start <= self.cursor).unwrap_or(0);
        let column = width(&super::cells::drawn_row(&self.text[ranges[row].start..self.cursor.min(ranges[row].end)]));
        let drawn = ranges.into_iter().map(|range| super::cells::drawn_row(&self.text[range])).collect();
        (drawn, row, column)
    }

    fn kill(&mut self, start: usize, end: usize) {
        if start < end {
            self.killed = self.text[start..end].to_owned();
            self.text.replace_range(start..end, "");
            self.cursor = start;
        }
    }

    fn line_start(&self) -> usize {
        self.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text[self.cursor..].find('\n').map_or(self.text.len(), |at| self.cursor + at)
    }

    fn word_start(&self) -> usize {
        let mut words = self.text[..self.cursor].unicode_word_indices();
        words.next_back().map_or(0, |(start, _)| start)
    }

    fn word_end(&self) -> usize {
        let mut words = self.text[self.cursor..].unicode_word_indices();
        words.next().map_or(self.text.len(), |(start, word)| self.cursor + start + word.len())
    }
}

/// The byte of the character number `column` between two bytes, or the end.
fn place(text: &str, start: usize, end: usize, column: usize) -> usize {
    text[start..end].grapheme_indices(true).nth(column).map_or(end, |(at, _)| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composer(text: &str) -> Composer {
        let mut composer = Composer::default();
        composer.insert(text).expect("short");
        composer
    }

    #[test]
    fn characters_are_what_a_reader_takes_for_one() {
        let mut line = composer("ae\u{301}👨‍👩‍👧日");
        line.left();
        line.backspace();
        assert_eq!(line.text(), "ae\u{301}日");
        line.backspace();
        assert_eq!(line.text(), "a日");
        line.home();
        line.delete();
        line.delete();
        line.delete();
        line.backspace();
        assert!(line.is_empty());
    }

    #[test]
    fn words_are_jumped_over_and_killed() {
        let mut line = composer("one two, three");
        line.word_left();
        line.word_left();
        line.insert("x").expect("short");
        assert_eq!(line.text(), "one xtwo, three");
        line.word_right();
        line.kill_word_left();
        assert_eq!(line.text(), "one , three");
        line.kill_to_end();
        assert_eq!(line.text(), "one ");
        line.kill_to_start();
        line.yank().expect("short");
        line.yank().expect("short");
        assert_eq!(line.text(), "one one ");
        line.home();
        line.kill_word_right();
        assert_eq!(line.text(), " one ");
    }

    #[test]
    fn lines_have_their_own_starts_and_ends() {
        let mut line = composer("ab\r\ncdef\rg\u{1b}h");
        assert_eq!(line.text(), "ab\ncdef\ngh");
        line.up();
        line.insert("X").expect("short");
        line.up();
        line.insert("Y").expect("short");
        line.up();
        line.home();
        line.insert("Z").expect("short");
        line.down();
        line.down();
        line.down();
        line.end();
        line.insert("!").expect("short");
        assert_eq!(line.text(), "ZabY\ncdXef\ngh!");
    }

    #[test]
    fn a_text_too_long_for_a_message_is_not_taken() {
        let mut line = composer(&"x".repeat(60 * 1024));
        assert_eq!(line.insert("yz"), Err(TooLong(2)));
        line.backspace();
        line.backspace();
        assert_eq!(line.insert("yz"), Ok(()));
    }

    #[test]
    fn the_cursor_is_where_the_next_character_goes() {
        let mut line = composer("abcdef");
        assert_eq!(line.drawn(5), (vec!["abcd".to_owned(), "ef".to_owned()], 1, 2));
        line.home();
        assert_eq!((line.drawn(5).1, line.drawn(5).2), (0, 0));
        let line = composer("日本\n");
        assert_eq!(line.drawn(9), (vec!["日本".to_owned(), String::new()], 1, 0));
        let line = composer("日本");
        assert_eq!(line.drawn(9).2, 4);
    }
}
