//! docs/reliability.md, from the results of runs.

use std::{fmt::Write as _, fs, io, path::Path};

use serde_json::Value;

use crate::{history::Class, results::RunResult, spread::millis};

/// Figures that a page without them would be silent about, and the least of each.
const WANTED: [(&str, u64); 4] = [("kills", 1000), ("sends", 100_000), ("commits", 20_000), ("deliveries", 1_000_000)];

/// Times by name, what they are of, and what is wanted of them; of several runs the slowest is told.
const SPREADS: [(&str, &str, &str); 3] = [
    ("last_entry", "request to revoke to the last entry that the device was given", " ≤ 1,000 ms "),
    ("last_byte", "request to revoke to the last byte on the connections it had", " ≤ 1,000 ms "),
    ("ready", "start of a killed server to taking connections", " "),
];

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
    let measured: Vec<&RunResult> = results.iter().filter(|result| result.kind == "measured").collect();
    if !measured.is_empty() {
        page.push_str(&timed(&measured));
    }
    for result in results.iter().filter(|result| !["torture", "sabotage", "measured"].contains(&result.kind.as_str())) {
        page.push_str(&other(result));
    }
    page
}

/// For each class, what the checker found in the newest run where that promise was broken on purpose; and how many of all
/// such runs it was found in, so that none is passed over.
fn sabotaged(runs: &[&RunResult]) -> String {
    let mut page = "\n## Sabotage\n\nThe checker can fail: runs against a server that breaks one promise on purpose\n\
                    (`./scripts/torture --sabotage all`).\n\n\
                    | promise broken | found | begun | seed | source | found in runs |\n|---|---:|---|---|---|---:|\n"
        .to_owned();
    for class in Class::ALL {
        let of: Vec<&&RunResult> =
            runs.iter().filter(|run| run.more.get("broken").is_some_and(|broken| broken == class.name())).collect();
        let found = |run: &RunResult| run.counts.get(class.name()).and_then(Value::as_u64).unwrap_or(0);
        // Results are in the order of their dates.
        let Some(newest) = of.last() else {
            line(&mut page, &format!("| `{}` | **no run** | | | | 0 of 0 |", class.name()));
            continue;
        };
        let count = match found(newest) {
            0 => "**not found**".to_owned(),
            count => thousands(count),
        };
        let (red, all) = (of.iter().filter(|run| found(run) > 0).count(), of.len());
        let (date, seed) = (&newest.date, newest.more.get("seed").map_or_else(String::new, plain));
        line(&mut page, &format!("| `{}` | {count} | {date} | {seed} | {} | {red} of {all} |", class.name(), newest.commit));
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
    for (name, what, wanted) in SPREADS {
        let of = |end: &str| most(&format!("{name}_{end}"));
        if of("times") > 0 {
            let [median, p99, longest] = ["median_us", "p99_us", "longest_us"].map(|end| millis(of(end)));
            let times = thousands(sum(&format!("{name}_times")));
            line(&mut page, &format!("| {what}: median / p99 / longest of {times} | {median} / {p99} / {longest} ms |{wanted}|"));
        }
    }
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

/// What was timed apart from faults: the rows that each result brings.
fn timed(results: &[&RunResult]) -> String {
    let mut page = "\n## Measured\n\nEach on a server of its own (`./scripts/torture --full --measure all`).\n\n\
                    | figure | measured | wanted | begun | source |\n|---|---:|---|---|---|\n"
        .to_owned();
    for result in results {
        let rows = result.more.get("rows").and_then(Value::as_array);
        for row in rows.into_iter().flatten() {
            let cell = |at: usize| row.get(at).map_or_else(String::new, plain);
            let (figure, value, wanted) = (cell(0), cell(1), cell(2));
            line(&mut page, &format!("| {figure} | {value} | {wanted} | {} | {} |", result.date, result.commit));
        }
    }
    if let Some(result) = results.last() {
        line(&mut page, &format!("\nWith {}.", versions(result)));
    }
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
    use crate::spread::Spread;

    #[test]
    fn numbers_have_commas() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn runs_add_up_and_other_programs_have_their_place() {
        let run = |kills: u64, lost: u64| {
            let mut result = RunResult::begin("torture", 0, Path::new("none"));
            result.count("kills", kills);
            result.count("lost", lost);
            result.count("fault kill", kills);
            Spread::of(&[kills * 1000, 5]).figures("ready").into_iter().for_each(|(name, value)| result.count(&name, value));
            result
        };
        let mut images = RunResult::begin("powercut", 0, Path::new("none"));
        images.count("images", 5000);
        let mut ready = RunResult::begin("measured", 0, Path::new("none"));
        "abcdef".clone_into(&mut ready.commit);
        ready.more.insert("rows".to_owned(), serde_json::json!([["ready", "7 ms", "≤ 1,000 ms"]]));
        let page = render(&[images, ready, run(900, 0), run(200, 1)]);
        for wanted in [
            "| kills with sends outstanding | 1,100 | ≥ 1,000 |",
            "| `lost` | 1 |",
            "| kill | 1,100 |",
            "| start of a killed server to taking connections: median / p99 / longest of 4 | 0.1 / 900.0 / 900.0 ms | |",
            "## powercut",
            "| ready | 7 ms | ≤ 1,000 ms | 1970-01-01T00:00:00Z | abcdef |",
            "| images | 5,000 |",
        ] {
            assert!(page.contains(wanted), "{wanted} in:\n{page}");
        }
    }

    #[test]
    fn a_sabotage_that_was_not_found_is_said_and_none_is_passed_over() {
        let run = |now: u64, class: Class, seed: &str, found: u64| {
            let mut result = RunResult::begin("sabotage", now, Path::new("none"));
            "abcdef".clone_into(&mut result.commit);
            result.more.insert("broken".to_owned(), class.name().into());
            result.more.insert("seed".to_owned(), seed.into());
            result.count(class.name(), found);
            result
        };
        let day = 86_400_000;
        let runs = [
            run(0, Class::Leak, "5", 0),
            run(day, Class::Leak, "6", 2),
            run(0, Class::Torn, "7", 3),
            run(day, Class::Torn, "8", 0),
        ];
        let page = render(&runs);
        for wanted in [
            "| `leak` | 2 | 1970-01-02T00:00:00Z | 6 | abcdef | 1 of 2 |",
            "| `torn` | **not found** | 1970-01-02T00:00:00Z | 8 | abcdef | 1 of 2 |",
            "| `fork` | **no run** | | | | 0 of 0 |",
        ] {
            assert!(page.contains(wanted), "{wanted} in:\n{page}");
        }
    }
}
