//! docs/reliability.md, from the results of runs.

use std::{fmt::Write as _, fs, io, path::Path};

use serde_json::Value;

use crate::{history::Class, results::RunResult};

/// Figures that a page without them would be silent about, and the least of each.
const WANTED: [(&str, u64); 4] = [("kills", 1000), ("sends", 100_000), ("commits", 20_000), ("deliveries", 1_000_000)];

const HEAD: &str = "\
# Reliability

Figures of runs against the real server, made by `./scripts/torture --report` from what those runs left behind; nothing here is
written by hand. The promises are those of the [delivery contract](delivery-contract.md), which also says how breaches are counted.
";

/// Writes the page.
pub(crate) fn write(target: &Path, page: &Path) -> io::Result<usize> {
    let results = RunResult::all(target)?;
    fs::write(page, render(&results))?;
    Ok(results.len())
}

fn render(results: &[RunResult]) -> String {
    let mut page = HEAD.to_owned();
    let torture: Vec<&RunResult> = results.iter().filter(|result| result.kind == "torture").collect();
    if !torture.is_empty() {
        page.push_str(&tortured(&torture));
    }
    let sabotage: Vec<&RunResult> = results.iter().filter(|result| result.kind == "sabotage").collect();
    if !sabotage.is_empty() {
        page.push_str(&sabotaged(&sabotage));
    }
    for result in results.iter().filter(|result| !["torture", "sabotage"].contains(&result.kind.as_str())) {
        page.push_str(&other(result));
    }
    page
}

/// For each class, what the checker found where that promise was broken on purpose.
fn sabotaged(runs: &[&RunResult]) -> String {
    let mut page = "\n## Sabotage\n\nThe checker can fail: runs against a server that breaks one promise on purpose\n\
                    (`./scripts/torture --sabotage all`).\n\n| promise broken | found |\n|---|---:|\n"
        .to_owned();
    for class in Class::ALL {
        let of = |run: &&&RunResult| run.more.get("broken").is_some_and(|broken| broken == class.name());
        let found: u64 = runs.iter().filter(of).filter_map(|run| run.counts.get(class.name())?.as_u64()).sum();
        line(&mut page, &format!("| `{}` | {} |", class.name(), thousands(found)));
    }
    page
}

/// All torture runs together: the figures, every class, every fault.
fn tortured(runs: &[&RunResult]) -> String {
    let sum = |name: &str| runs.iter().filter_map(|run| run.counts.get(name)?.as_u64()).sum::<u64>();
    let most = |name: &str| runs.iter().filter_map(|run| run.counts.get(name)?.as_u64()).max().unwrap_or(0);
    let mut page = "\n## Torture\n\n| figure | of all runs | wanted |\n|---|---:|---:|\n".to_owned();
    for (name, wanted) in WANTED {
        line(&mut page, &format!("| {} | {} | ≥ {} |", meaning(name), thousands(sum(name)), thousands(wanted)));
    }
    line(
        &mut page,
        &format!("| messages that reached whole clients, of these | {} | |", thousands(sum("deliveries_to_persons"))),
    );
    line(&mut page, &format!("| devices revoked while messages for them were under way | {} | |", sum("revocations")));
    line(
        &mut page,
        &format!("| request to revoke to the last byte, longest | {} ms | ≤ 1,000 ms |", thousands(most("last_byte_ms"))),
    );
    line(&mut page, &format!("| killed to taking connections again, longest | {} ms | |", thousands(most("ready_ms"))));
    page.push_str("\n| broken promises | count |\n|---|---:|\n");
    for class in Class::ALL {
        line(&mut page, &format!("| `{}` | {} |", class.name(), sum(class.name())));
    }
    page.push_str("\n| fault | times |\n|---|---:|\n");
    let mut faults: Vec<&String> =
        runs.iter().flat_map(|run| run.counts.keys()).filter(|name| name.starts_with("fault ")).collect();
    faults.sort_unstable();
    faults.dedup();
    for fault in faults {
        line(&mut page, &format!("| {} | {} |", fault.trim_start_matches("fault "), thousands(sum(fault))));
    }
    page.push_str("\n| run | seed | seconds | source | with |\n|---|---|---:|---|---|\n");
    for run in runs {
        let text = |name: &str| run.more.get(name).map_or_else(String::new, plain);
        let seconds = run.counts.get("seconds").map_or_else(String::new, plain);
        line(&mut page, &format!("| {} | {} | {seconds} | {} | {} |", run.date, text("seed"), run.commit, versions(run)));
    }
    page.push_str(
        "\nA run is begun anew by `./scripts/torture --full --seed SEED`: the same is done, and the same goes wrong.\n",
    );
    page
}

fn other(result: &RunResult) -> String {
    let mut page = format!("\n## {}\n\n", result.kind);
    let more = result.more.iter().filter(|(name, _)| *name != "versions").map(|(name, value)| format!("{name} {}", plain(value)));
    line(&mut page, &format!("{}, source {}; {}", result.date, result.commit, more.collect::<Vec<_>>().join("; ")));
    let versions = versions(result);
    if !versions.is_empty() {
        line(&mut page, &format!("\nWith {versions}."));
    }
    page.push_str("\n| figure | |\n|---|---:|\n");
    for (name, value) in &result.counts {
        line(&mut page, &format!("| {name} | {} |", value.as_u64().map_or_else(|| plain(value), thousands)));
    }
    page
}

fn versions(result: &RunResult) -> String {
    let Some(Value::Object(versions)) = result.more.get("versions") else { return String::new() };
    versions.iter().map(|(name, version)| format!("{name} {}", plain(version))).collect::<Vec<_>>().join(", ")
}

fn meaning(name: &str) -> &'static str {
    match name {
        "kills" => "kills with sends outstanding",
        "sends" => "distinct acknowledged sends",
        "commits" => "commits",
        _ => "checked deliveries",
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn line(page: &mut String, text: &str) {
    writeln!(page, "{text}").expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn runs_add_up_and_other_programs_have_their_place() {
        let run = |kills: u64, lost: u64| {
            let mut result = RunResult::new("torture", 0, Path::new("none"));
            result.count("kills", kills);
            result.count("lost", lost);
            result.count("fault kill", kills);
            result
        };
        let mut images = RunResult::new("powercut", 0, Path::new("none"));
        images.count("images", 5000);
        let page = render(&[images, run(900, 0), run(200, 1)]);
        for wanted in [
            "| kills with sends outstanding | 1,100 | ≥ 1,000 |",
            "| `lost` | 1 |",
            "| kill | 1,100 |",
            "## powercut",
            "| images | 5,000 |",
        ] {
            assert!(page.contains(wanted), "{wanted} in:\n{page}");
        }
    }
}
