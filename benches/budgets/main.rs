//! Budgets as ratios to bare limits of the same run: server CPU, memory and rates of a real server process, beside what
//! the same machine does without one. Prints a table; decides nothing.

#![allow(
    clippy::large_futures,
    clippy::similar_names,
    clippy::unchecked_time_subtraction,
    clippy::duration_suboptimal_units,
    reason = "a measurement's program: its futures have room, its clocks go forward, its units are those of the budgets"
)]

mod cases;
mod client;
#[allow(dead_code, unused_imports, reason = "the tests' harness is shared; measuring needs a part of it")]
#[path = "../../tests/it/harness/mod.rs"]
mod harness;
mod limits;
mod measure;
mod options;
mod process;
mod scale;
mod table;
mod town;

use std::process::ExitCode;

use clap::Parser as _;

use self::{
    options::{Bare, Options},
    table::Table,
};

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().expect("the threads start");
    match options.be {
        Some(Bare::Relay) => {
            runtime.block_on(limits::relay::serve());
            return ExitCode::SUCCESS;
        }
        Some(Bare::Door) => {
            runtime.block_on(limits::door::serve());
            return ExitCode::SUCCESS;
        }
        None => {}
    }
    process::raise_file_limit();
    let mut table = Table::default();
    runtime.block_on(cases::run(&options, &mut table));
    print!("{table}");
    match options.json.as_deref().map(|path| table.write_json(path)) {
        Some(Err(error)) => {
            eprintln!("the JSON file cannot be written: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
