//! What was measured, for people and for machines.

use std::{fmt, fs, io, path::Path};

use serde_json::json;

/// One figure.
pub struct Row {
    /// What it says.
    pub what: String,
    /// The figure itself.
    pub measured: f64,
    /// Of figure and limit.
    pub unit: &'static str,
    /// What is possible without a server, in the same run: what that is, and its figure.
    pub limit: Option<(&'static str, f64)>,
    /// What it has to meet, if anything.
    pub gate: Option<Gate>,
}

/// A bound.
#[derive(Clone, Copy)]
pub enum Gate {
    /// Of the figure.
    AtMost(f64),
    /// Of the figure over its limit.
    RatioAtMost(f64),
    /// The same from below.
    RatioAtLeast(f64),
}

/// All rows, in the order they came.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Row {
    /// A figure without a limit or a gate.
    pub fn context(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self { what: what.into(), measured, unit, limit: None, gate: None }
    }

    /// With what is possible without a server.
    pub fn beside(self, limit: &'static str, figure: f64) -> Self {
        Self { limit: Some((limit, figure)), ..self }
    }

    /// With a bound.
    pub fn gated(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }

    fn ratio(&self) -> Option<f64> {
        self.limit.map(|(_, limit)| self.measured / limit)
    }

    fn met(&self) -> Option<bool> {
        match self.gate? {
            Gate::AtMost(most) => Some(self.measured <= most),
            Gate::RatioAtMost(most) => self.ratio().map(|ratio| ratio <= most),
            Gate::RatioAtLeast(least) => self.ratio().map(|ratio| ratio >= least),
        }
    }

    fn cells(&self) -> [String; 6] {
        let unit = self.unit;
        let gate = self.gate.map_or_else(String::new, |gate| match gate {
            Gate::AtMost(most) => format!("<= {} {unit}", figure(most)),
            Gate::RatioAtMost(most) => format!("<= {}x", figure(most)),
            Gate::RatioAtLeast(least) => format!(">= {}x", figure(least)),
        });
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "gate missed",
            None => "",
        };
        [
            self.what.clone(),
            format!("{} {unit}", figure(self.measured)),
            self.limit.map_or_else(String::new, |(name, limit)| format!("{} {unit} ({name})", figure(limit))),
            self.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
            gate,
            met.to_owned(),
        ]
    }
}

impl Table {
    /// Adds a row, and tells whoever waits.
    pub fn add(&mut self, row: Row) {
        eprintln!("  {}", row.cells().join("  ").trim_end());
        self.0.push(row);
    }

    /// Writes the figures as JSON.
    pub fn write_json(&self, path: &Path) -> io::Result<()> {
        let rows: Vec<_> = self
            .0
            .iter()
            .map(|row| {
                let limit = row.limit.map(|(name, figure)| json!({ "what": name, "figure": figure }));
                json!({
                    "what": row.what, "measured": row.measured, "unit": row.unit, "limit": limit,
                    "ratio": row.ratio(), "gate": row.gate.map(|_| row.cells()[4].clone()), "met": row.met(),
                })
            })
            .collect();
        fs::write(path, serde_json::to_vec_pretty(&json!({ "rows": rows }))?)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "measured", "bare limit in the same run", "ratio", "gate", "met?"].map(str::to_owned);
        let lines: Vec<[String; 6]> = std::iter::once(head).chain(self.0.iter().map(Row::cells)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        for (index, line) in lines.iter().enumerate() {
            let cells: Vec<String> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "| {} |", cells.join(" | "))?;
            if index == 0 {
                writeln!(f, "|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"))?;
            }
        }
        Ok(())
    }
}

/// Three digits that mean something.
fn figure(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
