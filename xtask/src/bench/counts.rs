//! The accepted instruction counts of ring-core's requests, and their comparison with the current
//! counts.

use std::fmt::{self, Write as _};
use std::fs;

use anyhow::{Context as _, Result, bail};
use xshell::{Shell, cmd};

use super::counted::{Counted, What, count};

/// The file with the accepted counts.
const TABLE: &str = "benches/counts.txt";
/// How much ring-core's own instructions may differ from the accepted count, as a fraction. The
/// noise is smaller: two runs differ by at most 0.1 instructions.
const TOLERANCE: f64 = 0.01;
/// The end of a message about a table that does not match.
const ADVICE: &str = "if the change is intended, accept the counts with `cargo xtask bench --count --accept`";

/// Counts and compares. Also shows that 2 % more work is detected: otherwise the comparison would
/// prove nothing.
pub(crate) fn check(sh: &Shell) -> Result<()> {
    let accepted = Table::accepted()?;
    let counted = count(sh, What::Ours)?;
    compare(&accepted, &Table::of(compiler(sh)?, &counted))?;

    let mut planted = count(sh, What::Planted)?;
    planted.extend(counted.into_iter().filter(|it| it.own(&[]).is_none()));
    let planted = Table::of(String::new(), &planted);
    let row = planted.rows.first().context("the bench target `count` counted no planted slowdown")?;
    let slower = Row { name: &row.name, before: accepted.own(&row.name), now: Some(row.own) };
    if slower.verdict() != Verdict::Differs {
        bail!("a planted slowdown of {} was not detected: {slower}", row.name);
    }
    println!("detected as expected, a planted slowdown: {slower}");
    Ok(())
}

/// Counts ring-core's instructions, and writes the counts to the table as accepted.
pub(crate) fn accept(sh: &Shell) -> Result<()> {
    let table = Table::of(compiler(sh)?, &count(sh, What::Ours)?);
    let accepted = Table::accepted().unwrap_or_default();
    rows(&accepted, &table).for_each(|row| println!("{row}"));
    fs::write(TABLE, table.to_string()).with_context(|| format!("cannot write {TABLE}"))?;
    println!("wrote {TABLE}; commit the file together with the change of the code");
    Ok(())
}

fn compare(accepted: &Table, now: &Table) -> Result<()> {
    rows(accepted, now).for_each(|row| println!("{row}"));
    let failures = rows(accepted, now).filter(|row| row.verdict() != Verdict::Good).count();
    if failures == 0 {
        return Ok(());
    }
    let mut message = format!("{failures} counts differ from {TABLE}; {ADVICE}");
    if now.compiler != accepted.compiler {
        let (before, now) = (&accepted.compiler, &now.compiler);
        write!(message, " (the table was made with {before}, this is {now})")?;
    }
    bail!(message)
}

/// Returns the version of the compiler. The counts depend on this version.
fn compiler(sh: &Shell) -> Result<String> {
    Ok(cmd!(sh, "rustc --version").read()?)
}

/// Instructions for each request, by name.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    compiler: String,
    rows: Vec<Counts>,
}

/// The instructions of one case.
#[derive(Debug, PartialEq)]
struct Counts {
    name: String,
    /// ring-core's own instructions, in the ends that are measured.
    own: f64,
    /// All instructions, including the suite and the stub of the other end.
    all: f64,
}

impl Table {
    /// Returns the table of ring-core's counts. The instructions of the empty pair are subtracted.
    fn of(compiler: String, counted: &[Counted]) -> Self {
        let row = |it: &Counted| {
            let program = it.program.strip_prefix("ring_core_")?;
            let name = format!("{program}/{}", it.case);
            Some(Counts { name, own: it.own(counted)?, all: it.all })
        };
        Self { compiler, rows: counted.iter().filter_map(row).collect() }
    }

    /// Reads the accepted table.
    fn accepted() -> Result<Self> {
        let text = fs::read_to_string(TABLE).with_context(|| format!("cannot read {TABLE}; {ADVICE}"))?;
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix('#') {
                // The last comment is the compiler's version.
                comment.trim().clone_into(&mut table.compiler);
                continue;
            }
            let cells: Vec<&str> = line.split_whitespace().collect();
            let row = match *cells.as_slice() {
                [name, own, all] => own.parse().ok().zip(all.parse().ok()).map(|(own, all)| (name, own, all)),
                _ => None,
            };
            let (name, own, all) =
                row.with_context(|| format!("{TABLE}: `{line}` is not a name and two counts; {ADVICE}"))?;
            table.rows.push(Counts { name: name.to_owned(), own, all });
        }
        Ok(table)
    }

    fn get(&self, name: &str) -> Option<&Counts> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Returns ring-core's own instructions in the case with this name.
    pub(super) fn own(&self, name: &str) -> Option<f64> {
        Some(self.get(name)?.own)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Instructions for each request: queue/ends that are ring-core's/segments, then two counts:"
        )?;
        writeln!(
            f,
            "# ring-core's own in these ends, without the suite, and all with the suite and the other end."
        )?;
        writeln!(
            f,
            "# Queue size 256, bursts of 64, event_idx. `cargo xtask bench --count` compares the first count,"
        )?;
        writeln!(f, "# which may differ by {} % in both directions.", 100.0 * TOLERANCE)?;
        writeln!(f, "# {}", self.compiler)?;
        self.rows
            .iter()
            .try_for_each(|Counts { name, own, all }| writeln!(f, "{name:34} {own:7.1} {all:7.1}"))
    }
}

/// Returns the rows of both tables.
fn rows<'t>(before: &'t Table, now: &'t Table) -> impl Iterator<Item = Row<'t>> {
    let gone = before.rows.iter().filter(|row| now.get(&row.name).is_none());
    let rows = now.rows.iter().chain(gone);
    rows.map(|row| Row { name: &row.name, before: before.own(&row.name), now: now.own(&row.name) })
}

/// ring-core's own instructions in both tables.
#[derive(Debug)]
struct Row<'t> {
    name: &'t str,
    before: Option<f64>,
    now: Option<f64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Differs,
    /// The row is in one of the tables only.
    Unmatched,
}

impl Row<'_> {
    fn verdict(&self) -> Verdict {
        match (self.before, self.now) {
            (Some(_), Some(_)) if self.growth().abs() <= TOLERANCE => Verdict::Good,
            (Some(_), Some(_)) => Verdict::Differs,
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
            Verdict::Differs if self.growth() > 0.0 => f.write_str("  too slow"),
            Verdict::Differs => f.write_str("  faster; accept the count, so that it stays"),
            Verdict::Unmatched => f.write_str("  not in both tables"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&str, f64)]) -> Table {
        let row = |&(name, own): &(&str, f64)| Counts { name: name.to_owned(), own, all: own + 40.0 };
        Table { compiler: "rustc 1".to_owned(), rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn a_table_survives_writing_and_reading() -> Result<()> {
        let written = table(&[("split/both/1", 88.5), ("packed/driver/3-indirect", 1278.0)]);
        assert_eq!(Table::parse(&written.to_string())?, written);
        Ok(())
    }

    #[test]
    fn a_malformed_line_is_refused() {
        assert!(Table::parse("split/both/1 many 1.0\n").is_err());
        assert!(Table::parse("split/both/1 88.5\n").is_err());
    }

    #[test]
    fn a_difference_beyond_the_tolerance_is_a_failure() {
        let before = table(&[("same", 100.0), ("little", 100.0), ("much", 100.0), ("less", 100.0)]);
        let now = table(&[("same", 100.0), ("little", 101.0), ("much", 101.1), ("less", 98.9)]);
        let different = rows(&before, &now).filter(|row| row.verdict() != Verdict::Good);
        assert_eq!(different.map(|row| row.name).collect::<Vec<_>>(), ["much", "less"]);
    }

    #[test]
    fn a_row_in_one_table_only_is_a_failure() {
        let (before, now) = (table(&[("gone", 1.0)]), table(&[("new", 1.0)]));
        let verdicts: Vec<_> = rows(&before, &now).map(|row| (row.name, row.verdict())).collect();
        assert_eq!(verdicts, [("new", Verdict::Unmatched), ("gone", Verdict::Unmatched)]);
    }
}
