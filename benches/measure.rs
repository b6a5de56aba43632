//! Times several benchmarks in turns and compares them.
//!
//! A benchmark runs in slices. Each slice is followed by a slice of the baseline, which is the
//! first benchmark of the comparison. Other load on the machine then slows both slices down, so the
//! ratio holds even where the times do not. Criterion records the times but no ratios, so each
//! benchmark writes its samples to a file in `target/bench/samples`, and `cargo xtask bench` makes
//! its report from these files.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use rivals::processors::Processors;
use serde_json::json;

/// The samples of one benchmark. Criterion's default of 100 would take too long for all benchmarks.
const SAMPLES: usize = 40;

/// The usual time of a measurement. Short, so that all suites take less than 15 minutes.
pub(crate) const MEASUREMENT: Duration = Duration::from_millis(400);

/// The number of resamples from which criterion estimates the confidence of its own report: fewer
/// than criterion's 100,000, to save time.
const RESAMPLES: usize = 10_000;

/// The number of benchmarks saved so far. Reports list the benchmarks in the order of these
/// numbers.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Runs a number of iterations and returns how long they took.
pub(crate) type Timed = Box<dyn FnMut(u64) -> Duration>;

/// Times a closure.
pub(crate) fn repeated(mut once: impl FnMut() + 'static) -> Timed {
    Box::new(move |iterations| {
        let start = Instant::now();
        (0..iterations).for_each(|_| once());
        start.elapsed()
    })
}

/// One benchmark of a comparison.
pub(crate) struct Benchmark {
    /// The name in reports.
    pub(crate) name: String,
    /// Sets the benchmark up and checks its results.
    pub(crate) set_up: Box<dyn Fn() -> Timed>,
}

/// The properties that all benchmarks of a comparison share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison<'a> {
    /// The part of the suite.
    pub(crate) group: &'a str,
    /// The name in the group.
    pub(crate) name: &'a str,
    /// The number of requests in one iteration.
    pub(crate) requests: u64,
    /// The number of iterations in one slice.
    pub(crate) slice: u64,
    /// The two processors, if the benchmarks use two.
    pub(crate) processors: Option<Processors>,
    /// How long criterion measures each benchmark, without the baseline.
    pub(crate) measurement: Duration,
}

/// Times all benchmarks. The first one is the baseline.
pub(crate) fn compare(criterion: &mut Criterion, comparison: Comparison<'_>, benchmarks: &[Benchmark]) {
    let mut group = criterion.benchmark_group(comparison.group);
    group
        .throughput(Throughput::Elements(comparison.requests))
        .sample_size(SAMPLES)
        .nresamples(RESAMPLES)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(comparison.measurement / 4)
        .measurement_time(comparison.measurement);
    let Some(baseline) = benchmarks.first() else { return };
    for benchmark in benchmarks {
        let mut ready = None;
        let mut samples = Vec::new();
        group.bench_function(BenchmarkId::new(comparison.name, &benchmark.name), |bencher| {
            let (own, other) = ready.get_or_insert_with(|| ((benchmark.set_up)(), (baseline.set_up)()));
            bencher.iter_custom(|iterations| {
                let sample = Sample::take(comparison, iterations, own, other);
                let time = sample.own;
                samples.push(sample);
                time
            });
        });
        save(comparison, &benchmark.name, &baseline.name, &samples);
    }
}

/// The times of some iterations.
#[derive(Debug, Default)]
struct Sample {
    iterations: u64,
    own: Duration,
    baseline: Duration,
    /// The longest time that a cache line took between the processors.
    line: Option<Duration>,
}

impl Sample {
    fn take(comparison: Comparison<'_>, iterations: u64, own: &mut Timed, baseline: &mut Timed) -> Self {
        let mut sample = Self { iterations, ..Self::default() };
        let mut left = iterations;
        while left > 0 {
            let count = left.min(comparison.slice);
            let (own, baseline, line) = slice(comparison.processors, || (own(count), baseline(count)));
            sample.own += own;
            sample.baseline += baseline;
            sample.line = sample.line.max(line);
            left -= count;
        }
        sample
    }

    /// Returns the nanoseconds of one request.
    fn nanoseconds(&self, time: Duration, comparison: Comparison<'_>) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let requests = (self.iterations * comparison.requests) as f64;
        time.as_secs_f64() * 1e9 / requests
    }
}

/// Times a slice of the benchmark and a slice of the baseline. Repeats both if the distance of the
/// processors has changed meanwhile.
fn slice(
    processors: Option<Processors>,
    mut both: impl FnMut() -> (Duration, Duration),
) -> (Duration, Duration, Option<Duration>) {
    const ATTEMPTS: usize = 4;
    let Some(processors) = processors else {
        let (own, baseline) = both();
        return (own, baseline, None);
    };
    let mut before = processors.line_latency();
    let mut attempt = 1;
    loop {
        let (own, baseline) = both();
        let after = processors.line_latency();
        let steady = after < before * 5 / 4 && before < after * 5 / 4;
        if steady || attempt == ATTEMPTS {
            return (own, baseline, Some(before.max(after)));
        }
        (before, attempt) = (after, attempt + 1);
    }
}

/// Writes criterion's samples to a file. The samples before them belong to the warm-up.
fn save(comparison: Comparison<'_>, name: &str, baseline: &str, samples: &[Sample]) {
    let Some(samples) = samples.len().checked_sub(SAMPLES).map(|warm_up| &samples[warm_up..]) else {
        return; // filtered out, or only tested
    };
    let all = |time: fn(&Sample) -> Duration| -> Vec<f64> {
        samples.iter().map(|sample| sample.nanoseconds(time(sample), comparison)).collect()
    };
    let lines: Vec<f64> =
        samples.iter().filter_map(|sample| Some(sample.line?.as_secs_f64() * 1e9)).collect();
    if !lines.is_empty() {
        let (near, far) =
            lines.iter().fold((f64::MAX, 0.0_f64), |(low, high), &time| (low.min(time), high.max(time)));
        println!("{:24}a cache line took {near:.0} to {far:.0} ns", "");
    }
    let record = json!({
        "group": comparison.group,
        "case": comparison.name,
        "sequence": SEQUENCE.fetch_add(1, Ordering::Relaxed),
        "implementation": name,
        "baseline": baseline,
        "nanoseconds": all(|sample| sample.own),
        "baseline_nanoseconds": all(|sample| sample.baseline),
        "line_nanoseconds": lines,
    });
    let pair = comparison.processors.map_or(String::new(), |pair| format!(".{pair}"));
    let file = format!("{}.{}.{name}{pair}.json", comparison.group, comparison.name).replace(['/', ' '], "_");
    write("samples", &file, &record.to_string());
}

/// Writes a file to a directory in `target/bench`.
pub(crate) fn write(directory: &str, file: &str, text: &str) {
    let Some(target) = env::current_exe().ok().and_then(|it| Some(it.ancestors().nth(3)?.to_owned())) else {
        return;
    };
    let directory: PathBuf = target.join("bench").join(directory);
    let written = fs::create_dir_all(&directory).and_then(|()| fs::write(directory.join(file), text));
    if let Err(error) = written {
        eprintln!("cannot write {file} to {}: {error}", directory.display());
    }
}
