//! Timing several contenders in turns.
//!
//! Each benchmark runs in slices, and after each slice of its own comes one of the yardstick, the first
//! contender at the same work. Whatever else the machine does then concerns both, so their ratio holds where
//! their times do not. Criterion sees the times; the ratios, which it cannot know, go to a file for each benchmark in
//! `target/bench/samples`, of which `cargo xtask bench` makes its report.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use serde_json::json;

/// The samples of one benchmark: criterion's default of 100 would take too long for all.
const SAMPLES: usize = 40;

/// How many benchmarks have been saved, so that a report can keep their order.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Runs so many iterations and says how long they took.
pub(crate) type Timed = Box<dyn FnMut(u64) -> Duration>;

/// One that is to be timed.
pub(crate) struct Contender {
    /// What it is called.
    pub(crate) name: String,
    /// Sets it up, and makes sure that it is right.
    pub(crate) make: Box<dyn Fn() -> Timed>,
}

/// What contenders do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'a> {
    /// The group that it belongs to, a part of the suite.
    pub(crate) group: &'a str,
    /// What it is called.
    pub(crate) name: &'a str,
    /// Requests in an iteration.
    pub(crate) requests: u64,
    /// Iterations of a slice.
    pub(crate) slice: u64,
    /// What says how far apart the processors are, where that matters.
    pub(crate) calibrator: Option<fn() -> Duration>,
}

/// Times all contenders at this work. The first is the yardstick.
pub(crate) fn compare(criterion: &mut Criterion, work: Work<'_>, contenders: &[Contender]) {
    let mut group = criterion.benchmark_group(work.group);
    group
        .throughput(Throughput::Elements(work.requests))
        .sample_size(SAMPLES)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    let Some(yardstick) = contenders.first() else { return };
    for contender in contenders {
        let mut ready = None;
        let mut samples = Vec::new();
        group.bench_function(BenchmarkId::new(work.name, &contender.name), |bencher| {
            let (own, other) = ready.get_or_insert_with(|| ((contender.make)(), (yardstick.make)()));
            bencher.iter_custom(|iterations| {
                let sample = Sample::take(work, iterations, own, other);
                let time = sample.own;
                samples.push(sample);
                time
            });
        });
        save(work, contender, &yardstick.name, &samples);
    }
}

/// What a number of iterations took.
#[derive(Debug, Default)]
struct Sample {
    iterations: u64,
    own: Duration,
    yardstick: Duration,
    /// The calibrator's longest time.
    calibrated: Option<Duration>,
}

impl Sample {
    fn take(work: Work<'_>, iterations: u64, own: &mut Timed, yardstick: &mut Timed) -> Self {
        let mut sample = Self { iterations, ..Self::default() };
        let mut left = iterations;
        while left > 0 {
            let count = left.min(work.slice);
            let (own, yardstick, calibrated) = slice(work.calibrator, || (own(count), yardstick(count)));
            sample.own += own;
            sample.yardstick += yardstick;
            sample.calibrated = sample.calibrated.max(calibrated);
            left -= count;
        }
        sample
    }

    /// Nanoseconds a request.
    fn nanoseconds(&self, time: Duration, work: Work<'_>) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let requests = (self.iterations * work.requests) as f64;
        time.as_secs_f64() * 1e9 / requests
    }
}

/// Times both, again if the processors moved meanwhile.
fn slice(
    calibrator: Option<fn() -> Duration>,
    mut both: impl FnMut() -> (Duration, Duration),
) -> (Duration, Duration, Option<Duration>) {
    const ATTEMPTS: usize = 4;
    let Some(calibrator) = calibrator else {
        let (own, yardstick) = both();
        return (own, yardstick, None);
    };
    let mut before = calibrator();
    let mut attempt = 1;
    loop {
        let (own, yardstick) = both();
        let after = calibrator();
        let steady = after < before * 5 / 4 && before < after * 5 / 4;
        if steady || attempt == ATTEMPTS {
            return (own, yardstick, Some(before.max(after)));
        }
        (before, attempt) = (after, attempt + 1);
    }
}

/// Keeps criterion's samples for the report; those before were its warm-up.
fn save(work: Work<'_>, contender: &Contender, yardstick: &str, samples: &[Sample]) {
    let Some(samples) = samples.len().checked_sub(SAMPLES).map(|warm_up| &samples[warm_up..]) else {
        return; // filtered out, or only tried
    };
    let all = |time: fn(&Sample) -> Duration| -> Vec<f64> {
        samples.iter().map(|sample| sample.nanoseconds(time(sample), work)).collect()
    };
    let calibrated: Vec<f64> =
        samples.iter().filter_map(|sample| Some(sample.calibrated?.as_secs_f64() * 1e9)).collect();
    if !calibrated.is_empty() {
        let (near, far) =
            calibrated.iter().fold((f64::MAX, 0.0_f64), |(low, high), &t| (low.min(t), high.max(t)));
        println!("{:24}calibrator: a cache line took {near:.0} to {far:.0} ns", "");
    }
    let record = json!({
        "group": work.group,
        "work": work.name,
        "sequence": SEQUENCE.fetch_add(1, Ordering::Relaxed),
        "contender": contender.name,
        "yardstick": yardstick,
        "nanoseconds": all(|sample| sample.own),
        "yardstick_nanoseconds": all(|sample| sample.yardstick),
        "calibrator_nanoseconds": calibrated,
    });
    let name = format!("{}.{}.{}.json", work.group, work.name, contender.name).replace(['/', ' '], "_");
    if let Some(directory) = samples_directory() {
        let written =
            fs::create_dir_all(&directory).and_then(|()| fs::write(directory.join(name), record.to_string()));
        if let Err(error) = written {
            eprintln!("{} cannot be written: {error}", directory.display());
        }
    }
}

/// In the target directory, two above the one of this program.
fn samples_directory() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    Some(program.ancestors().nth(3)?.join(Path::new("bench/samples")))
}

/// Times a plain closure.
pub(crate) fn timed(mut once: impl FnMut() + 'static) -> Timed {
    Box::new(move |iterations| {
        let start = Instant::now();
        (0..iterations).for_each(|_| once());
        start.elapsed()
    })
}
