//! Tables and plots of everything that was measured.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::machine::Machine;
use super::plot::{Quantity, svg};
use super::samples::{Benchmark, Spread};
use super::targets;

/// The groups in the order of the report: what is measured in each, and what is worth comparing.
const GROUPS: [(&str, Quantity, &str); 10] = [
    (
        "throughput",
        Quantity::Time,
        "Bursts of 64 requests of one or three descriptors on one thread, queue size 256, event indices. \
         `both` passes them from driver to device and back; `device` and `driver` measure one end against a \
         stub that does as little as the format allows; two stubs tell how much of the time that is.",
    ),
    (
        "latency",
        Quantity::Time,
        "A single request there and back on one thread, both ends deciding about notifications.",
    ),
    (
        "cross_thread",
        Quantity::Ratio,
        "Two threads that poll, each on a processor of its own, up to 255 requests on their way. Only ratios \
         mean something here: the time is that of the processors' distance.",
    ),
    (
        "notify",
        Quantity::Time,
        "A single request there and back with event indices. What a decision costs is the difference to the first.",
    ),
    (
        "payload",
        Quantity::Time,
        "A device copies the 4 KiB that it reads to where it may write, in so many segments each way.",
    ),
    (
        "indirect",
        Quantity::Time,
        "The device's end, with chains of sixteen segments behind one descriptor each.",
    ),
    (
        "copy",
        Quantity::Time,
        "isolation-host's copies between 256 MiB of a guest's memory and a block of the isolated area, and a plain \
         copy of the same bytes, half of them each way.",
    ),
    (
        "request",
        Quantity::Time,
        "What isolation-host does for a request, copies included and notifications left out: bursts of 32 buffers that \
         a device reads, with isolation-host between the two rings and with one ring.",
    ),
    (
        "disk on one processor",
        Quantity::Ratio,
        "Reads from qemu-storage-daemon through isolation-host by those without it. The three processes share one \
         processor and wake each other up. A request that is alone takes four changes of process instead of two, \
         which is all that there is to it where the device has nothing to do.",
    ),
    ("disk", Quantity::Ratio, "The same on all processors, while qemu-storage-daemon polls."),
];

/// Where the report is kept in the repository.
const RESULTS: &str = "benches/RESULTS.md";

/// Writes the report: the page with plots to `directory`, and the tables to the repository.
pub(super) fn write(directory: &Path, benchmarks: &[Benchmark], machine: &Machine) -> Result<()> {
    let mut markdown = format!("# Results\n\nWritten by `cargo xtask bench`.\n\n{machine}\n");
    let mut html = String::from(HEAD);
    write!(html, "<h1>Measured</h1><pre>{}</pre>", escaped(&machine.to_string()))?;

    let verdicts = targets::verdicts(benchmarks)?;
    markdown.push_str("\n## Targets\n\n");
    let explanation = targets::explanation(benchmarks);
    write!(markdown, "{}\n{explanation}\n", verdicts.markdown())?;
    write!(html, "<h2>Targets</h2>{}<p>{}</p>", verdicts.html(), escaped(&explanation))?;

    for (group, quantity, about) in GROUPS {
        let members: Vec<&Benchmark> =
            benchmarks.iter().filter(|benchmark| benchmark.group == group).collect();
        if members.is_empty() {
            continue; // there is one processor only
        }
        let (table, plot) = (table(&members, quantity), svg(&members, quantity)?);
        let calibrated = calibrated(&members);
        write!(markdown, "\n## {group}\n\n{about}{calibrated}\n\n")?;
        markdown.push_str(&table.markdown());
        write!(
            html,
            "<h2>{group}</h2><p>{}</p>{plot}{}",
            escaped(&format!("{about}{calibrated}")),
            table.html()
        )?;
    }

    let page = directory.join("report.html");
    fs::write(&page, html).with_context(|| format!("{} cannot be written", page.display()))?;
    fs::write(RESULTS, markdown).with_context(|| format!("{RESULTS} cannot be written"))?;
    println!("\nThe report is in {}, its tables are in {RESULTS}.", page.display());
    Ok(())
}

/// How far apart the processors were.
fn calibrated(members: &[&Benchmark]) -> String {
    let spreads = members.iter().filter_map(|benchmark| benchmark.calibrator);
    let range = spreads.fold(None, |range: Option<(f64, f64)>, Spread { low, high, .. }| {
        let (least, most) = range.unwrap_or((low, high));
        Some((least.min(low), most.max(high)))
    });
    range.map_or(String::new(), |(least, most)| {
        format!(" A cache line took {least:.0} to {most:.0} ns from one to the other meanwhile.")
    })
}

fn table(members: &[&Benchmark], quantity: Quantity) -> Table {
    let mut table = match quantity {
        Quantity::Time => Table::new(&["work", "implementation", "median, ns", "80 % between", "ratio"]),
        Quantity::Ratio => {
            let far = members.iter().any(|benchmark| benchmark.calibrator.is_some());
            let last = if far { "cache line, ns" } else { "median, ns" };
            Table::new(&["work", "implementation", "ratio", "80 % between", last])
        }
    };
    for benchmark in members {
        let Benchmark { work, contender, time, ratio, calibrator, .. } = benchmark;
        let Spread { low, median, high } = quantity.of(benchmark);
        let last = match quantity {
            Quantity::Time => format!("{:.2}", ratio.median),
            Quantity::Ratio => format!("{:.0}", calibrator.unwrap_or(*time).median),
        };
        let between = format!("{low:.2} – {high:.2}");
        table.rows.push([work.clone(), contender.clone(), format!("{median:.2}"), between, last].into());
    }
    table
}

/// A table, in either language.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&cell| cell.to_owned()).collect(), rows: Vec::new() }
    }

    fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = line(&vec!["---".to_owned(); self.head.len()]);
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&self.head) + &rule + &rows
    }

    fn html(&self) -> String {
        let line = |cells: &[String], tag: &str| {
            let cells: String =
                cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell))).collect();
            format!("<tr>{cells}</tr>")
        };
        let rows: String = self.rows.iter().map(|row| line(row, "td")).collect();
        format!("<table>{}{rows}</table>", line(&self.head, "th"))
    }
}

const HEAD: &str = "<!DOCTYPE html><meta charset=\"utf-8\"><title>Measured</title><style>\
    body { font-family: sans-serif; max-width: 62em; margin: 2em auto; } \
    table { border-collapse: collapse; } td, th { padding: 0.2em 0.8em; text-align: left; } \
    tr:nth-child(even) { background: #f2f4f6; } svg { max-width: 100%; height: auto; }</style>";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_the_same_in_both_languages() {
        let mut table = Table::new(&["a", "b"]);
        table.rows.push(vec!["≤ 1".to_owned(), "x < y".to_owned()]);
        assert_eq!(table.markdown(), "| a | b |\n| --- | --- |\n| ≤ 1 | x < y |\n");
        assert_eq!(
            table.html(),
            "<table><tr><th>a</th><th>b</th></tr><tr><td>≤ 1</td><td>x &lt; y</td></tr></table>"
        );
    }
}
