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
    /// The time, divided by the baseline's time in the same milliseconds.
    pub(super) ratio: Spread,
    /// The nanoseconds that a cache line took between the processors; `None` on one thread.
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
        benchmarks.extend(parse(&text).with_context(|| format!("{} has no samples", path.display()))?);
    }
    if benchmarks.is_empty() {
        bail!("{} is empty; run the suites without a filter", directory.display());
    }
    benchmarks.sort_by_key(|benchmark| benchmark.sequence);
    Ok(benchmarks)
}

/// Two processors between which a cache line takes at least this many nanoseconds are far apart.
const FAR: f64 = 150.0;
/// The smallest number of samples for which a benchmark is reported.
const LEAST: usize = 5;

/// Returns the benchmark of a record, or two benchmarks: one of the samples with near processors
/// and one of the samples with far processors.
fn parse(text: &str) -> Result<Vec<Benchmark>> {
    let record: serde_json::Value = serde_json::from_str(text)?;
    let string = |name: &str| record[name].as_str().map(str::to_owned).context(name.to_owned());
    let numbers = |name: &str| -> Vec<f64> {
        record[name].as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64).collect()
    };
    let (times, baseline) = (numbers("nanoseconds"), numbers("baseline_nanoseconds"));
    let lines = numbers("line_nanoseconds");
    let samples: Vec<(f64, f64)> = times.into_iter().zip(baseline).collect();
    let benchmark = |distance: &str, samples: Vec<(f64, f64)>, lines: Vec<f64>| {
        Ok(Benchmark {
            sequence: record["sequence"].as_u64().context("sequence")?,
            group: string("group")?,
            case: string("case")? + distance,
            implementation: string("implementation")?,
            baseline: string("baseline")?,
            time: Spread::of(samples.iter().map(|sample| sample.0).collect()).context("nanoseconds")?,
            ratio: Spread::of(samples.iter().map(|sample| sample.0 / sample.1).collect()).context("ratio")?,
            line: Spread::of(lines),
        })
    };
    if lines.is_empty() {
        return Ok(vec![benchmark("", samples, lines)?]);
    }
    let placed: Vec<((f64, f64), f64)> = samples.into_iter().zip(lines).collect();
    let (far, near): (Vec<_>, Vec<_>) = placed.into_iter().partition(|(_, line)| *line >= FAR);
    let parts = [(", near", near), (", far", far)].into_iter().filter(|(_, part)| part.len() >= LEAST);
    let benchmarks = parts.map(|(distance, part)| {
        let (samples, lines) = part.into_iter().unzip();
        benchmark(distance, samples, lines)
    });
    benchmarks.collect()
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
        let benchmarks = parse(
            r#"{"sequence": 0, "group": "g", "case": "c", "implementation": "i", "baseline": "b",
                "nanoseconds": [2.0, 20.0, 200.0], "baseline_nanoseconds": [1.0, 10.0, 100.0],
                "line_nanoseconds": []}"#,
        )?;
        let benchmark = benchmarks.first().context("a benchmark")?;
        assert_eq!(benchmark.ratio, Spread { low: 2.0, median: 2.0, high: 2.0 });
        assert_eq!((benchmark.time.median, benchmark.line), (20.0, None));
        Ok(())
    }

    #[test]
    fn samples_that_were_taken_near_and_far_are_two_benchmarks() -> Result<()> {
        let benchmarks = parse(
            r#"{"sequence": 0, "group": "g", "case": "c", "implementation": "i", "baseline": "b",
                "nanoseconds": [2, 2, 2, 2, 2, 9, 9, 9, 9, 9, 9],
                "baseline_nanoseconds": [1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3],
                "line_nanoseconds": [40, 40, 40, 40, 40, 200, 200, 200, 200, 200, 200]}"#,
        )?;
        let cases: Vec<_> = benchmarks.iter().map(|it| (it.case.as_str(), it.ratio.median)).collect();
        assert_eq!(cases, [("c, near", 2.0), ("c, far", 3.0)]);
        Ok(())
    }
}
