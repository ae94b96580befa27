//! How much room text takes on a terminal: in cells, by what a reader takes for one character.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr;

use crate::text::turns_text;

/// Scalar values that one cell shows at most: a character under a pile of marks does not reach other lines.
const STACK_MAX: usize = 12;

/// The cells that the text takes.
pub(super) fn width(text: &str) -> usize {
    text.graphemes(true).map(UnicodeWidthStr::width).sum()
}

/// The start of the text that fits; the last cell says whether something was left out.
pub(super) fn cut(text: &str, room: usize, ascii: bool) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let sign = if ascii { "~" } else { "…" };
    let mut kept = String::new();
    let mut used = 0;
    for one in text.graphemes(true) {
        if used + one.width() + 1 > room {
            break;
        }
        used += one.width();
        kept.push_str(one);
    }
    if room > 0 {
        kept.push_str(sign);
    }
    kept
}

/// Lines of at most `room` cells, broken at spaces where there are some. Never empty.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(2);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_word_bounds() {
            let wide = width(word);
            if used + wide > room && used > 0 {
                if word.chars().all(char::is_whitespace) {
                    // The space at a line's end is the break itself.
                    used = room;
                    continue;
                }
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            for one in word.graphemes(true) {
                if used + one.width() > room {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                used += one.width();
                line.extend(one.chars().take(STACK_MAX));
            }
        }
        lines.push(line);
    }
    lines
}

/// Where the rows of an edited text begin and end, in bytes; broken at the room's edge and at line breaks.
pub(super) fn rows(text: &str, room: usize) -> Vec<Range<usize>> {
    let room = room.max(2);
    let mut rows = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (at, one) in text.grapheme_indices(true) {
        if one == "\n" {
            rows.push(start..at);
            (start, used) = (at + 1, 0);
            continue;
        }
        let wide = drawn(one).width();
        if used + wide > room {
            rows.push(start..at);
            (start, used) = (at, 0);
        }
        used += wide;
    }
    rows.push(start..text.len());
    rows
}

/// One character of an edited text as it is drawn: nothing acts on the terminal, and each stands for itself.
pub(super) fn drawn(one: &str) -> String {
    if one.chars().any(|c| c.is_control() || turns_text(c)) || one.width() == 0 {
        "?".to_owned()
    } else {
        one.chars().take(STACK_MAX).collect()
    }
}

/// An edited row as it is drawn.
pub(super) fn drawn_row(row: &str) -> String {
    row.graphemes(true).map(drawn).collect()
}

/// The byte where the character before `at` begins.
pub(super) fn before(text: &str, at: usize) -> usize {
    text[..at].grapheme_indices(true).next_back().map_or(0, |(start, _)| start)
}

/// The byte behind the character at `at`.
pub(super) fn behind(text: &str, at: usize) -> usize {
    text[at..].graphemes(true).next().map_or(at, |one| at + one.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_cells() {
        assert_eq!((width("日本"), width("e\u{301}"), width("👨‍👩‍👧")), (4, 1, 2));
        assert_eq!(cut("日本語", 5, false), "日本…");
        assert_eq!(cut("abc", 3, false), "abc");
        assert_eq!(cut("abcd", 3, true), "ab~");
        assert_eq!(cut("abcd", 0, true), "");
    }

    #[test]
    fn lines_break_at_words_and_long_words_anywhere() {
        assert_eq!(wrap("see you at the harbour", 8), ["see you ", "at the ", "harbour"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("a\n\nb", 5), ["a", "", "b"]);
        assert_eq!(wrap("", 5), [""]);
        for line in wrap("x 日本語 👨‍👩‍👧 and e\u{301}\u{301} some-thing", 3) {
            assert!(width(&line) <= 3, "{line:?}");
        }
    }

    #[test]
    fn a_pile_of_marks_stays_in_its_cell() {
        let pile = format!("e{}", "\u{301}".repeat(1000));
        assert!(wrap(&pile, 10)[0].chars().count() <= STACK_MAX);
        assert!(drawn(&pile).chars().count() <= STACK_MAX);
    }

    #[test]
    fn rows_of_an_edited_text_cover_it() {
        assert_eq!(rows("abcdef", 4), [0..4, 4..6]);
        assert_eq!(rows("ab\ncd", 4), [0..2, 3..5]);
        assert_eq!(rows("\n", 4), [0..0, 1..1]);
        assert_eq!(rows("ab\n", 4), [0..2, 3..3]);
        assert_eq!(drawn_row("a\u{202e}b\u{1b}"), "a?b?");
    }
}
