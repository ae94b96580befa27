//! Lists on standard output: a table for people, one JSON object a line for scripts.

use std::io::{self, Write as _};

use serde_json::Value;

use super::{duration, failure::Failure};

/// A list on its way to standard output.
pub(super) struct Listing {
    json: bool,
    /// The table's cells, its head first.
    rows: Vec<Vec<String>>,
    objects: Vec<Value>,
}

impl Listing {
    /// An empty list.
    pub(super) fn new(json: bool, head: &[&str]) -> Self {
        Self { json, rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()], objects: Vec::new() }
    }

    /// Adds a row: its cells for people, its object for scripts.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N], object: Value) {
        if self.json {
            self.objects.push(object);
        } else {
            self.rows.push(cells.into());
        }
    }

    /// Prints everything. A reader that has seen enough and went away is no error.
    pub(super) fn print(self) -> Result<(), Failure> {
        let text = if self.json {
            self.objects.iter().flat_map(|object| [object.to_string(), "\n".to_owned()]).collect()
        } else {
            table(&self.rows)
        };
        print(&text)
    }
}

/// Prints a text as it is.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::io("standard output", &error)),
        _ => Ok(()),
    }
}

/// How long ago something was, as people read it; 0: never.
pub(super) fn ago(now_ms: u64, then_ms: u64) -> String {
    if then_ms == 0 { "never".to_owned() } else { format!("{} ago", duration::show(now_ms.saturating_sub(then_ms) / 1000)) }
}

/// Bytes as people read them.
pub(super) fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut whole = bytes;
    while whole >= 10 * 1024 && unit + 1 < units.len() {
        whole /= 1024;
        unit += 1;
    }
    format!("{whole} {}", units[unit])
}

fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["NAME".to_owned(), "STATE".to_owned()], vec!["bartholomew".to_owned(), "enabled".to_owned()]];
        assert_eq!(table(&rows), "NAME         STATE\nbartholomew  enabled\n");
    }

    #[test]
    fn times_and_sizes_are_readable() {
        assert_eq!([ago(10_000, 0), ago(10_000, 4_000), ago(0, 9)], ["never", "6s ago", "0s ago"]);
        assert_eq!([size(900), size(64 << 20), size(u64::MAX)], ["900 B", "64 MiB", "16383 PiB"]);
    }
}
