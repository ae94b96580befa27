//! Where things stand on a screen of a certain size.

use super::model::Model;

/// Sizes in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Columns of the list; 0: it is not beside the messages.
    pub(super) list: usize,
    /// Columns and rows of the messages.
    pub(super) messages: (usize, usize),
    /// Rows of the line that is written.
    pub(super) compose: usize,
    /// Rules above and below the messages.
    pub(super) rules: bool,
}

/// With fewer rows there are no rules.
const RULES_HEIGHT_MIN: u16 = 10;
/// Rows that a long text may take.
const COMPOSE_ROWS_MAX: usize = 5;

impl Model {
    /// For the present size and the present text.
    pub(super) fn places(&self) -> Places {
        let (width, height) = (usize::from(self.size.0), usize::from(self.size.1));
        let list = if self.is_wide() { (width * 3 / 10).clamp(18, 30) } else { 0 };
        let columns = if list > 0 { width - list - 1 } else { width };
        let rules = self.size.1 >= RULES_HEIGHT_MIN;
        let rows = self.current().map_or(1, |it| it.composer.drawn(columns.saturating_sub(2)).0.len());
        let compose = rows.min(COMPOSE_ROWS_MAX).min((height / 4).max(1));
        let around = 2 + compose + if rules { 2 } else { 0 };
        Places { list, messages: (columns, height.saturating_sub(around)), compose, rules }
    }
}
