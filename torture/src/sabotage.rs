//! Shows that the checker can fail: for each class a run against a server that breaks that promise.

use std::io;

use clap::ValueEnum;

use crate::{
    args::Args,
    history::Class,
    nemesis::Nemesis,
    run::{self, Broken},
};

/// Names the promise to a server that was built for it.
pub(crate) const VARIABLE: &str = "TORTURE_SABOTAGE";
/// Seconds of each run: until the rarest deed, letting somebody in again, was done.
const SECONDS: u64 = 14;

/// What `--sabotage` takes: a class, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    /// Each in turn.
    All,
    Lost,
    #[value(name = "duplicate_effect")]
    DuplicateEffect,
    Phantom,
    Reorder,
    #[value(name = "gap_unannounced")]
    GapUnannounced,
    Leak,
    Fork,
    Torn,
    #[value(name = "early_ack")]
    EarlyAck,
    #[value(name = "late_event")]
    LateEvent,
}

/// Runs what is wanted; whether every one of them turned red.
pub(crate) async fn run(args: &Args, wanted: Wanted, seed: u64) -> io::Result<bool> {
    let name = wanted.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let chosen = |class: &&Class| wanted == Wanted::All || class.name() == name;
    let mut red = true;
    for class in Class::ALL.iter().filter(chosen) {
        let broken = Broken { class: *class, nemeses: faults(*class), seconds: SECONDS };
        let outcome = run::run(args, seed, Some(broken)).await?;
        let count = outcome.verdict.count(*class);
        red &= count > 0;
        println!("{}: {} ({count})", class.name(), if count > 0 { "red" } else { "NOT SEEN" });
        if let Some(told) = outcome.verdict.told().iter().find(|told| told.starts_with(class.name())) {
            println!("    {told}");
        }
    }
    Ok(red)
}

/// What brings the broken promise to light.
fn faults(class: Class) -> Vec<Nemesis> {
    match class {
        Class::DuplicateEffect => vec![Nemesis::DropAnswers],
        Class::EarlyAck => vec![Nemesis::Kill],
        Class::LateEvent => vec![Nemesis::Revoke, Nemesis::Reset],
        Class::Reorder => vec![Nemesis::Reset, Nemesis::Kill],
        _ => vec![Nemesis::Reset],
    }
}
