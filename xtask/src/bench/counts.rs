//! The table of instructions that ring-core takes for each request, and how the present code compares.

use std::fmt::{self, Write as _};
use std::fs;

use anyhow::{Context as _, Result, bail};

use super::valgrind::Counter;
use crate::command::{command, output};

/// The table of counts that were accepted.
const TABLE: &str = "benches/counts.txt";
/// A count that grows by more than this part is a fault.
const TOLERANCE: f64 = 0.03;
/// What to do about it.
const ADVICE: &str = "Where that is meant, `cargo xtask bench --count --accept` writes the new table.";
/// What is planted to show that a slowdown is noticed: a part of the accepted count, above the tolerance.
const PLANTED: f64 = 0.05;
/// The smallest slowdown that can be planted, in instructions.
const PLANTED_UNIT: f64 = 4.0;

/// Counts, compares, and shows that a slowdown would be noticed: else this would prove nothing.
pub(crate) fn check() -> Result<()> {
    let counter = Counter::build()?;
    let accepted = Table::accepted()?;
    compare(&counter, &accepted)?;

    let Some((name, count)) = accepted.rows.first() else { return Ok(()) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let planted = (count * PLANTED / PLANTED_UNIT).ceil() as u32;
    let slower = Row { name, before: Some(*count), now: Some(counter.count(name, Some(planted))?) };
    if slower.verdict() != Verdict::Slower {
        bail!("a planted slowdown of {name} was not noticed: {slower}");
    }
    println!("as it must, a planted slowdown was noticed: {slower}");
    Ok(())
}

/// Counts, and makes that the table.
pub(crate) fn accept() -> Result<()> {
    let counter = Counter::build()?;
    let table = Table { compiler: compiler()?, rows: counter.count_all(&counter.names)? };
    let accepted = Table::accepted().unwrap_or_default();
    rows(&accepted, &table).for_each(|row| println!("{row}"));
    fs::write(TABLE, table.to_string()).with_context(|| format!("{TABLE} cannot be written"))?;
    println!("{TABLE} is written; commit it with the change that it belongs to");
    Ok(())
}

fn compare(counter: &Counter, accepted: &Table) -> Result<()> {
    let now = Table { compiler: compiler()?, rows: counter.count_all(&counter.names)? };
    rows(accepted, &now).for_each(|row| println!("{row}"));
    let faults = rows(accepted, &now).filter(|row| row.verdict() != Verdict::Good).count();
    if faults > 0 {
        let mut message = format!("{faults} counts are not what {TABLE} says. {ADVICE}");
        if now.compiler != accepted.compiler {
            let (before, now) = (&accepted.compiler, &now.compiler);
            write!(message, " (The table is by {before}, and this is {now}.)")?;
        }
        bail!(message);
    }
    if rows(accepted, &now).any(|row| row.growth() < -TOLERANCE) {
        println!("Some counts are smaller. `cargo xtask bench --count --accept` holds on to that.");
    }
    Ok(())
}

/// The compiler that these counts depend on.
fn compiler() -> Result<String> {
    Ok(output(&mut command(["rustc", "--version"]))?.trim().to_owned())
}

/// Instructions for each request, by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    compiler: String,
    rows: Vec<(String, f64)>,
}

impl Table {
    /// The table that was accepted.
    pub(super) fn accepted() -> Result<Self> {
        let text = fs::read_to_string(TABLE).with_context(|| format!("{TABLE} cannot be read. {ADVICE}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix('#') {
                // The last comment names the compiler.
                comment.trim().clone_into(&mut table.compiler);
            } else {
                let row =
                    line.split_once(' ').and_then(|(name, count)| Some((name, count.trim().parse().ok()?)));
                let (name, count) =
                    row.with_context(|| format!("{TABLE}: `{line}` is not a name and a count"))?;
                table.rows.push((name.to_owned(), count));
            }
        }
        Ok(table)
    }

    /// The count of this name.
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.0 == name).map(|row| row.1)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Instructions for each request: format/ends that are ring-core's/segments. The other ends are stubs."
        )?;
        writeln!(f, "# Queue size 256, bursts of 64, event_idx. `cargo xtask bench --count` compares.")?;
        writeln!(f, "# {}", self.compiler)?;
        self.rows.iter().try_for_each(|(name, count)| writeln!(f, "{name:34} {count:7.1}"))
    }
}

/// All rows of both tables.
fn rows<'t>(before: &'t Table, now: &'t Table) -> impl Iterator<Item = Row<'t>> {
    let gone = before.rows.iter().filter(|(name, _)| now.get(name).is_none());
    let rows = now.rows.iter().chain(gone);
    rows.map(|(name, _)| Row { name, before: before.get(name), now: now.get(name) })
}

/// One count in both tables.
#[derive(Debug)]
struct Row<'t> {
    name: &'t str,
    before: Option<f64>,
    now: Option<f64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Slower,
    /// Only one of the tables has it.
    Unmatched,
}

impl Row<'_> {
    fn verdict(&self) -> Verdict {
        match (self.before, self.now) {
            (Some(_), Some(_)) if self.growth() <= TOLERANCE => Verdict::Good,
            (Some(_), Some(_)) => Verdict::Slower,
            _ => Verdict::Unmatched,
        }
    }

    /// By which part of the count before it has grown.
    fn growth(&self) -> f64 {
        match (self.before, self.now) {
            (Some(before), Some(now)) => (now - before) / before,
            _ => 0.0,
        }
    }
}

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<f64>| count.map_or("-".to_owned(), |count| format!("{count:.1}"));
        write!(f, "{:34} {:>7} → {:>7}", self.name, count(self.before), count(self.now))?;
        if self.before.is_some() && self.now.is_some() {
            write!(f, " {:+6.1} %", 100.0 * self.growth())?;
        }
        match self.verdict() {
            Verdict::Good => Ok(()),
            Verdict::Slower => f.write_str("  too slow"),
            Verdict::Unmatched => f.write_str("  not in both tables"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, f64)]) -> Table {
        let rows = rows.iter().map(|&(name, count)| (name.to_owned(), count)).collect();
        Table { compiler: "rustc 1".to_owned(), rows }
    }

    #[test]
    fn a_table_reads_as_it_was_written() -> Result<()> {
        let written = table(&[("split/both/1", 88.5), ("packed/driver/3-indirect", 1278.0)]);
        assert_eq!(Table::parse(&written.to_string())?, written);
        Ok(())
    }

    #[test]
    fn a_line_that_is_no_row_is_refused() {
        assert!(Table::parse("split/both/1 many\n").is_err());
    }

    #[test]
    fn growth_beyond_the_tolerance_is_a_fault() {
        let before = table(&[("same", 100.0), ("little", 100.0), ("much", 100.0), ("less", 100.0)]);
        let now = table(&[("same", 100.0), ("little", 103.0), ("much", 103.1), ("less", 50.0)]);
        let slower = rows(&before, &now).filter(|row| row.verdict() != Verdict::Good);
        assert_eq!(slower.map(|row| row.name).collect::<Vec<_>>(), ["much"]);
    }

    #[test]
    fn a_row_in_one_table_alone_is_a_fault() {
        let (before, now) = (table(&[("gone", 1.0)]), table(&[("new", 1.0)]));
        let verdicts: Vec<_> = rows(&before, &now).map(|row| (row.name, row.verdict())).collect();
        assert_eq!(verdicts, [("new", Verdict::Unmatched), ("gone", Verdict::Unmatched)]);
    }
}
