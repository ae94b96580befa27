//! Shows that the checker can fail: for each class a run against a server that breaks that promise.

use std::io;

use clap::ValueEnum;

use crate::{
    args::{Args, Wish},
    history::Class,
    nemesis::Nemesis,
    run::{self, Broken},
    shape::Shape,
    stop::Stop,
};

/// Names the promise to a server that was built for it.
pub(crate) const VARIABLE: &str = "TORTURE_SABOTAGE";
/// Seconds of each run, at least.
const SECONDS: u64 = 14;
/// And at most, where deeds are waited for.
const SECONDS_MAX: u64 = 60;
/// Accepted changes of groups where they bring it to light: those that the groups were founded with, and some more.
const CHANGES: u64 = 40;

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
pub(crate) async fn run(args: &Args, wanted: Wanted, seed: u64, stop: &Stop) -> io::Result<bool> {
    let name = wanted.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let chosen = |class: &&Class| wanted == Wanted::All || class.name() == name;
    let mut red = true;
    for class in Class::ALL.iter().filter(chosen) {
        eprintln!("{}: a run against a server that breaks this promise", class.name());
        let outcome = Box::pin(run::run(args, seed, Some(broken(*class)), stop)).await?;
        let count = outcome.verdict.count(*class);
        red &= count > 0;
        println!("{}: {} ({count})", class.name(), if count > 0 { "red" } else { "NOT SEEN" });
        if let Some(told) = outcome.verdict.told().iter().find(|told| told.starts_with(class.name())) {
            println!("    {told}");
        }
    }
    Ok(red)
}

/// What brings the broken promise to light. A server whose promises on changes of groups are broken does so in the calm,
/// where many of them are made: faults would hide more than they show.
fn broken(class: Class) -> Broken {
    let (nemeses, shape, commits) = match class {
        Class::DuplicateEffect => (vec![Nemesis::DropAnswers], Shape::RESTLESS, 0),
        Class::EarlyAck => (vec![Nemesis::Kill], Shape::RESTLESS, 0),
        Class::LateEvent => (vec![Nemesis::Revoke, Nemesis::Reset], Shape::RESTLESS, 0),
        Class::Reorder => (vec![Nemesis::Reset, Nemesis::Kill], Shape::RESTLESS, 0),
        Class::Leak => (Vec::new(), Shape::AJAR, CHANGES),
        Class::Fork => (Vec::new(), Shape::QUARRELSOME, CHANGES),
        _ => (vec![Nemesis::Reset], Shape::RESTLESS, 0),
    };
    let wish = Wish { seconds: SECONDS, kills: 0, sends: 0, commits, seconds_max: SECONDS_MAX };
    Broken { class, nemeses, shape, wish }
}
