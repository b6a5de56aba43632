//! The report: a table for each group, then the targets.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::groups::{GROUPS, Quantity};
use super::machine::Machine;
use super::samples::{Benchmark, Spread};
use super::table::{Table, wrapped};
use super::targets;

/// The report's file in the repository.
const RESULTS: &str = "benches/RESULTS.md";

/// Writes the report.
pub(super) fn write(benchmarks: &[Benchmark], machine: &Machine) -> Result<()> {
    fs::write(RESULTS, markdown(benchmarks, machine)?).with_context(|| format!("cannot write {RESULTS}"))?;
    println!("\nThe report is in {RESULTS}.");
    Ok(())
}

fn markdown(benchmarks: &[Benchmark], machine: &Machine) -> Result<String> {
    let mut text = format!("# Results\n\nWritten by `cargo xtask bench`.\n\n{machine}");
    for group in GROUPS {
        let members: Vec<&Benchmark> = benchmarks.iter().filter(|it| it.group == group.name).collect();
        // A machine with one processor measures no threads.
        if !members.is_empty() {
            let about = wrapped(&format!("{}{}", group.about, distance(&members)));
            write!(text, "\n## {}\n\n{about}\n{}", group.name, table(&members, group.quantity))?;
        }
    }
    let explanation = wrapped(&targets::explanation(benchmarks));
    write!(text, "\n## Targets\n\n{}\n{explanation}", targets::verdicts(benchmarks)?)?;
    Ok(text)
}

/// Returns a sentence about the distance of the processors, if the distance was measured.
fn distance(members: &[&Benchmark]) -> String {
    let lines: Vec<Spread> = members.iter().filter_map(|benchmark| benchmark.line).collect();
    let least = lines.iter().map(|line| line.low).reduce(f64::min);
    let most = lines.iter().map(|line| line.high).reduce(f64::max);
    let range = least.zip(most);
    range.map_or(String::new(), |(least, most)| {
        format!(" Meanwhile, a cache line took {least:.0} to {most:.0} ns from one processor to the other.")
    })
}

fn table(members: &[&Benchmark], quantity: Quantity) -> Table {
    let far = members.iter().any(|benchmark| benchmark.line.is_some());
    let (main, last) = match quantity {
        Quantity::Time => ("median, ns", "ratio"),
        Quantity::Ratio if far => ("ratio", "cache line, ns"),
        Quantity::Ratio => ("ratio", "median, ns"),
    };
    let mut table = Table::new(&["case", "implementation", main, "80 % between", last]);
    for benchmark in members {
        let Benchmark { case, implementation, time, ratio, line, .. } = benchmark;
        let Spread { low, median, high } = quantity.of(benchmark);
        let last = match quantity {
            Quantity::Time => format!("{:.2}", ratio.median),
            Quantity::Ratio => format!("{:.0}", line.unwrap_or(*time).median),
        };
        let (median, between) = (format!("{median:.2}"), format!("{low:.2} – {high:.2}"));
        table.rows.push([case.clone(), implementation.clone(), median, between, last].into());
    }
    table
}
