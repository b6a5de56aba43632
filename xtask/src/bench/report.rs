//! The report: ring-core compared with the others, the targets, then a table for each group.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::counted::Counted;
use super::groups::{GROUPS, Quantity};
use super::machine::Machine;
use super::samples::{Benchmark, Spread};
use super::summary;
use super::table::{Table, wrapped};
use super::targets::{self, UNEXPLAINED};

/// The report's file in the repository.
const RESULTS: &str = "benches/RESULTS.md";

/// The machine and the dates of the measurements.
#[derive(Debug)]
pub(super) struct Runs<'a> {
    pub(super) machine: &'a Machine,
    /// The date and commit at which the instructions were counted.
    pub(super) counts: String,
    /// The date and commit at which the times were measured; `None` without times.
    pub(super) times: Option<String>,
}

/// Writes the report.
pub(super) fn write(benchmarks: &[Benchmark], counted: &[Counted], runs: &Runs<'_>) -> Result<()> {
    let text = markdown(benchmarks, counted, runs)?;
    fs::write(RESULTS, &text).with_context(|| format!("cannot write {RESULTS}"))?;
    println!("\nThe report is in {RESULTS}.");
    let unexplained = text.matches(UNEXPLAINED).count();
    if unexplained > 0 {
        println!(
            "{unexplained} missed targets have no reason there. Before the report is committed, add the reasons \
             to xtask/src/bench/reasons.rs, and run `cargo xtask bench --report`."
        );
    }
    Ok(())
}

fn markdown(benchmarks: &[Benchmark], counted: &[Counted], runs: &Runs<'_>) -> Result<String> {
    let Runs { machine, counts, times } = runs;
    let mut text = format!("# Results\n\nWritten by `cargo xtask bench`.\n\n{machine}");
    writeln!(text, "- instructions: counted on {counts}")?;
    match times {
        Some(times) => writeln!(text, "- times: measured on {times}")?,
        None => writeln!(text, "- times: not measured by this suite yet; `cargo xtask bench` measures them")?,
    }
    text += &summaries(benchmarks, counted)?;
    let explanation = wrapped(&targets::explanation(benchmarks));
    write!(text, "\n## Targets\n\n{}\n{explanation}", targets::verdicts(benchmarks, counted))?;
    for group in GROUPS {
        let members: Vec<&Benchmark> = benchmarks.iter().filter(|it| it.group == group.name).collect();
        if !members.is_empty() {
            let about = wrapped(&format!("{}{}", group.about, distance(&members)));
            write!(text, "\n## {}\n\n{about}\n{}", group.name, table(&members, group.quantity))?;
        }
    }
    write!(text, "\n## instructions\n\n{}\n{}", wrapped(INSTRUCTIONS), instructions(counted))?;
    Ok(text.trim_end().to_owned() + "\n")
}

const SUMMARY: &str = "\
`both` is a driver and a device; `driver` and `device` are one end, and a stub that does as little as \
the format allows is the other end. The number in a case is the number of descriptors of a request; \
70 % of `mixed` requests have one descriptor, 20 % have three, and 10 % have three in an indirect table. \
Requests are made in bursts of 64, in queues of 256, with event indices. The suite's own \
loops and the stubs are included in all figures. Each virtqueue is used in the fastest way that we know; \
for ring-core's device end, this is mostly `serve`, by which a device answers immediately. The section \
`instructions` below has all ways. All programs are built with the same options, those that are fastest \
for the other virtqueues. `other ÷ split` is the figure of the best other virtqueue divided by that of \
ring-core's split queue. The other virtqueues have all chains of `mixed` requests in the ring.";

const INSTRUCTIONS: &str = "\
`all` counts all instructions for each request, with the suite and the stub of the other end. `own` \
counts those of the implementation itself: the functions of the measured ends, without the suite's \
loops, whose instructions are those of the empty pair. Two runs differ by at most 0.1 instructions. \
`benches/counts.txt` holds ring-core's counts, and `cargo xtask test` compares them.";

/// Returns the tables that compare ring-core with the best of the others.
fn summaries(benchmarks: &[Benchmark], counted: &[Counted]) -> Result<String> {
    let mut text = format!("\n## ring-core beside the others\n\n{}", wrapped(SUMMARY));
    let instructions = summary::instructions(counted);
    write!(text, "\nInstructions for each request:\n\n{}", summary::table(&instructions, 0))?;
    let times = summary::times(benchmarks, "throughput");
    if !times.is_empty() {
        write!(text, "\nNanoseconds for each request, medians:\n\n{}", summary::table(&times, 1))?;
    }
    let ratios = summary::ratios(benchmarks, "cross_thread");
    if !ratios.is_empty() {
        let about =
            "Two threads, as multiples of the time that two rtrb rings take in the same milliseconds:";
        write!(text, "\n{}\n{}", wrapped(about), summary::table(&ratios, 2))?;
    }
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

fn instructions(counted: &[Counted]) -> Table {
    let mut table = Table::new(&["case", "implementation", "all", "own"]);
    for it in counted {
        let own = it.own(counted).map_or(String::new(), |own| format!("{own:.1}"));
        table.rows.push(vec![it.case.clone(), it.name.clone(), format!("{:.1}", it.all), own]);
    }
    table.rows.sort_by(|a, b| a[0].cmp(&b[0]));
    table
}

fn table(members: &[&Benchmark], quantity: Quantity) -> Table {
    let far = members.iter().any(|benchmark| benchmark.line.is_some());
    let (main, last) = match quantity {
        Quantity::Time => ("median, ns", "÷ first row of the case"),
        Quantity::Ratio if far => ("÷ two rtrb rings", "cache line, ns"),
        Quantity::Ratio => ("÷ direct", "median, ns"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_report_explains_each_missed_target() {
        let text = include_str!("../../../benches/RESULTS.md");
        assert!(text.contains("## Targets"));
        assert!(!text.contains(UNEXPLAINED));
    }
}
