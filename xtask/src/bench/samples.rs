//! The samples that the suites write.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// One benchmark: an implementation in a case.
#[derive(Debug, Clone)]
pub(super) struct Benchmark {
    /// The position in the suite.
    sequence: u64,
    pub(super) group: String,
    pub(super) case: String,
    pub(super) implementation: String,
    /// The implementation that the ratio refers to.
    pub(super) baseline: String,
    /// Nanoseconds for each request.
    pub(super) time: Spread,
    /// The time divided by the baseline's time in the same milliseconds.
    pub(super) ratio: Spread,
    /// Nanoseconds in which a cache line passed between the processors, where that matters.
    pub(super) line: Option<Spread>,
}

/// A median, and the range of the middle 80 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Spread {
    /// Returns the spread of the values, or `None` without values.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |tenths: usize| values.get((last * tenths + 5) / 10).copied();
        Some(Self { low: at(1)?, median: at(5)?, high: at(9)? })
    }
}

/// Reads all files of samples in `directory`.
pub(super) fn read(directory: &Path) -> Result<Vec<Benchmark>> {
    let unreadable = || format!("cannot read {}", directory.display());
    let mut benchmarks = Vec::new();
    for file in fs::read_dir(directory).with_context(unreadable)? {
        let path = file.with_context(unreadable)?.path();
        let text = fs::read_to_string(&path).with_context(unreadable)?;
        benchmarks.push(parse(&text).with_context(|| format!("{} has no samples", path.display()))?);
    }
    if benchmarks.is_empty() {
        bail!("{} is empty; run the suites without a filter", directory.display());
    }
    benchmarks.sort_by_key(|benchmark| benchmark.sequence);
    Ok(benchmarks)
}

fn parse(text: &str) -> Result<Benchmark> {
    let record: serde_json::Value = serde_json::from_str(text)?;
    let string = |name: &str| record[name].as_str().map(str::to_owned).context(name.to_owned());
    let numbers = |name: &str| -> Vec<f64> {
        record[name].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
    };
    let (times, baseline) = (numbers("nanoseconds"), numbers("baseline_nanoseconds"));
    let ratios = times.iter().zip(&baseline).map(|(own, other)| own / other).collect();
    Ok(Benchmark {
        sequence: record["sequence"].as_u64().context("sequence")?,
        group: string("group")?,
        case: string("case")?,
        implementation: string("implementation")?,
        baseline: string("baseline")?,
        time: Spread::of(times).context("nanoseconds")?,
        ratio: Spread::of(ratios).context("baseline_nanoseconds")?,
        line: Spread::of(numbers("line_nanoseconds")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_are_outside_the_spread() {
        let values = (0..=10).map(|i| if i == 10 { 1000.0 } else { f64::from(i) }).rev().collect();
        assert_eq!(Spread::of(values), Some(Spread { low: 1.0, median: 5.0, high: 9.0 }));
        assert_eq!(Spread::of(vec![3.0]), Some(Spread { low: 3.0, median: 3.0, high: 3.0 }));
        assert_eq!(Spread::of(Vec::new()), None);
    }

    #[test]
    fn a_ratio_compares_times_that_were_taken_together() -> Result<()> {
        let benchmark = parse(
            r#"{"sequence": 0, "group": "g", "case": "c", "implementation": "i", "baseline": "b",
                "nanoseconds": [2.0, 20.0, 200.0], "baseline_nanoseconds": [1.0, 10.0, 100.0],
                "line_nanoseconds": []}"#,
        )?;
        assert_eq!(benchmark.ratio, Spread { low: 2.0, median: 2.0, high: 2.0 });
        assert_eq!((benchmark.time.median, benchmark.line), (20.0, None));
        Ok(())
    }
}
