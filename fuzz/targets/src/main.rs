//! `./scripts/fuzz`: inputs made of the corpus, on stable Rust, for as long as one likes.

use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use sovereign_fuzz_targets::{TARGETS, Target, corpus, drive, seeds, target};

/// Feeds decoders and the session's state machine with inputs made of the corpus, until something is wrong or time is up.
///
/// Exits with 0 when nothing was found and with 70 when something was: the input is kept in fuzz/artifacts/TARGET, and --replay runs it again.
#[derive(Parser)]
#[command(name = "./scripts/fuzz")]
struct Arguments {
    /// The targets; without any, all of them after one another.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What all inputs follow from; without it a new one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs one file through the target, or a whole directory of them.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["seconds", "seed"])]
    replay: Option<PathBuf>,
    /// Makes the corpus anew, in this directory.
    #[arg(long, value_name = "DIRECTORY", exclusive = true)]
    write_seeds: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => {
            drop(told.print());
            return ExitCode::from(if told.use_stderr() { 64 } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err((code, problem)) => {
            eprintln!("{problem}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, (u8, String)> {
    if let Some(directory) = &arguments.write_seeds {
        seeds::write(directory).map_err(|error| (74, format!("{}: {error}", directory.display())))?;
        return Ok(0);
    }
    let targets = chosen(&arguments.targets).map_err(|problem| (64, problem))?;
    if let Some(path) = &arguments.replay {
        let [target] = targets.as_slice() else { return Err((64, "--replay takes one TARGET".to_owned())) };
        return replay(*target, path).map_err(|problem| (74, problem));
    }
    let seed = arguments.seed.unwrap_or_else(|| u64::from_be_bytes(sovereign::entropy::random()));
    println!("seed {seed}");
    let mut code = 0;
    for target in targets {
        match drive(target, seed, drive::Until::Elapsed(Duration::from_secs(arguments.seconds))) {
            Ok(cases) => println!("{:12} {cases} cases", target.name),
            Err(finding) => {
                println!("{finding}");
                code = 70;
            }
        }
    }
    Ok(code)
}

fn chosen(names: &[String]) -> Result<Vec<Target>, String> {
    if names.is_empty() {
        return Ok(TARGETS.to_vec());
    }
    let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    names.iter().map(|name| target(name).ok_or_else(|| format!("no target {name}; there are: {}", known()))).collect()
}

fn replay(target: Target, path: &std::path::Path) -> Result<u8, String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", path.display());
    let inputs =
        if path.is_dir() { corpus::files(path) } else { vec![(path.display().to_string(), fs::read(path).map_err(unreadable)?)] };
    for (name, data) in inputs {
        println!("{name}");
        (target.run)(&data);
    }
    Ok(0)
}
