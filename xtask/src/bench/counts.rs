//! The accepted instruction counts of ring-core's requests, and the comparison with the code.

use std::fmt::{self, Write as _};
use std::fs;

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use super::valgrind::Counter;

/// The file with the accepted counts.
const TABLE: &str = "benches/counts.txt";
/// The largest growth of a count that passes, as a fraction.
const TOLERANCE: f64 = 0.03;
/// The end of a message about a table that does not match.
const ADVICE: &str = "if the change is intended, accept the counts with `cargo xtask bench --count --accept`";
/// The planted slowdown as a fraction of the accepted count. Larger than the tolerance.
const PLANTED: f64 = 0.05;
/// The smallest slowdown that can be planted, in instructions.
const PLANTED_UNIT: f64 = 4.0;

/// Counts and compares. Also shows that a planted slowdown is detected: otherwise the comparison
/// would prove nothing.
pub(crate) fn check(sh: &Shell) -> Result<()> {
    let counter = Counter::build(sh)?;
    let accepted = Table::accepted()?;
    let now = Table { compiler: compiler(sh)?, rows: counter.count_all(&counter.names)? };
    compare(&accepted, &now)?;

    let Some((name, count)) = accepted.rows.first() else { return Ok(()) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
    let planted = (count * PLANTED / PLANTED_UNIT).ceil() as u32;
    let slower = Row { name, before: Some(*count), now: Some(counter.count(name, Some(planted))?) };
    if slower.verdict() != Verdict::Slower {
        bail!("a planted slowdown of {name} was not detected: {slower}");
    }
    println!("detected as expected, a planted slowdown: {slower}");
    Ok(())
}

/// Counts, and writes the accepted counts.
pub(crate) fn accept(sh: &Shell) -> Result<()> {
    let counter = Counter::build(sh)?;
    let table = Table { compiler: compiler(sh)?, rows: counter.count_all(&counter.names)? };
    let accepted = Table::accepted().unwrap_or_default();
    rows(&accepted, &table).for_each(|row| println!("{row}"));
    fs::write(TABLE, table.to_string()).with_context(|| format!("cannot write {TABLE}"))?;
    println!("wrote {TABLE}; commit the file together with the change of the code");
    Ok(())
}

fn compare(accepted: &Table, now: &Table) -> Result<()> {
    rows(accepted, now).for_each(|row| println!("{row}"));
    let failures = rows(accepted, now).filter(|row| row.verdict() != Verdict::Good).count();
    if failures > 0 {
        let mut message = format!("{failures} counts differ from {TABLE}; {ADVICE}");
        if now.compiler != accepted.compiler {
            let (before, now) = (&accepted.compiler, &now.compiler);
            write!(message, " (the table was made with {before}, this is {now})")?;
        }
        bail!(message);
    }
    if rows(accepted, now).any(|row| row.growth() < -TOLERANCE) {
        println!("Some counts are smaller. `cargo xtask bench --count --accept` records the improvement.");
    }
    Ok(())
}

/// Returns the version of the compiler, which the counts depend on.
fn compiler(sh: &Shell) -> Result<String> {
    Ok(cmd!(sh, "rustc --version").read()?)
}

/// Instructions for each request, by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    compiler: String,
    rows: Vec<(String, f64)>,
}

impl Table {
    /// Reads the accepted table.
    pub(super) fn accepted() -> Result<Self> {
        let text = fs::read_to_string(TABLE).with_context(|| format!("cannot read {TABLE}; {ADVICE}"))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix('#') {
                // The last comment is the compiler's version.
                comment.trim().clone_into(&mut table.compiler);
            } else {
                let row =
                    line.split_once(' ').and_then(|(name, count)| Some((name, count.trim().parse().ok()?)));
                let (name, count) =
                    row.with_context(|| format!("{TABLE}: `{line}` is not a name and a count; {ADVICE}"))?;
                table.rows.push((name.to_owned(), count));
            }
        }
        Ok(table)
    }

    /// Returns the count with this name.
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

/// Returns the rows of both tables.
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
    /// The row is in one of the tables only.
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

    /// Returns the growth of the count, as a fraction of the count before.
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
    fn a_table_survives_writing_and_reading() -> Result<()> {
        let written = table(&[("split/both/1", 88.5), ("packed/driver/3-indirect", 1278.0)]);
        assert_eq!(Table::parse(&written.to_string())?, written);
        Ok(())
    }

    #[test]
    fn a_malformed_line_is_refused() {
        assert!(Table::parse("split/both/1 many\n").is_err());
    }

    #[test]
    fn growth_beyond_the_tolerance_is_a_failure() {
        let before = table(&[("same", 100.0), ("little", 100.0), ("much", 100.0), ("less", 100.0)]);
        let now = table(&[("same", 100.0), ("little", 103.0), ("much", 103.1), ("less", 50.0)]);
        let slower = rows(&before, &now).filter(|row| row.verdict() != Verdict::Good);
        assert_eq!(slower.map(|row| row.name).collect::<Vec<_>>(), ["much"]);
    }

    #[test]
    fn a_row_in_one_table_only_is_a_failure() {
        let (before, now) = (table(&[("gone", 1.0)]), table(&[("new", 1.0)]));
        let verdicts: Vec<_> = rows(&before, &now).map(|row| (row.name, row.verdict())).collect();
        assert_eq!(verdicts, [("new", Verdict::Unmatched), ("gone", Verdict::Unmatched)]);
    }
}
