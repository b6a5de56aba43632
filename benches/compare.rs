//! Compares all implementations in the cases of a group.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use criterion::Criterion;
use rivals::contenders::{CONTENDERS, Contender, SPLIT, TWO_RINGS};
use rivals::processors::Processors;
use rivals::{Case, Group};

use crate::measure::{Benchmark, Comparison, MEASUREMENT, Timed, compare};
use crate::programs::{self, Running};

/// Compares the implementations that support a case, for each case of `group`.
///
/// On two threads, the baseline is a pair of `rtrb` rings, between the two nearest processors and
/// between the two processors that are farthest apart. On one thread, the baseline is ring-core's
/// split queue, if that queue supports the case.
pub(crate) fn implementations(criterion: &mut Criterion, group: Group, slice: u64) {
    for &case in group.cases() {
        if matches!(case, Case::TwoThreads(_)) {
            for &processors in PAIRS.iter() {
                compare_case(criterion, group, case, slice, Some(processors));
            }
        } else {
            compare_case(criterion, group, case, slice, None);
        }
    }
}

/// The pairs of processors to measure. Empty on a machine with one processor.
static PAIRS: LazyLock<Vec<Processors>> = LazyLock::new(Processors::near_and_far);

fn compare_case(
    criterion: &mut Criterion,
    group: Group,
    case: Case,
    slice: u64,
    processors: Option<Processors>,
) {
    let baseline = if processors.is_some() { TWO_RINGS } else { SPLIT };
    let name = format!("{}/{}", group.name(), group.label(case));
    let is_compared =
        |it: &Contender| (group == Group::Throughput || it.is_main()) && supports(it.program, &name);
    let mut contenders: Vec<Contender> = CONTENDERS.into_iter().filter(is_compared).collect();
    contenders.sort_by_key(|contender| contender.program != baseline.program);
    let benchmarks = contenders.into_iter().map(|contender| {
        let name = name.clone();
        Benchmark {
            name: contender.name.to_owned(),
            set_up: Box::new(move || timed(contender.program, &name, processors)),
        }
    });
    let benchmarks: Vec<Benchmark> = benchmarks.collect();
    let comparison = Comparison {
        group: group.name(),
        name: &group.label(case),
        requests: case.requests().into(),
        slice,
        processors,
        // The groups that vary a number have many cases.
        measurement: if group.varies_a_number() { MEASUREMENT / 4 } else { MEASUREMENT },
    };
    compare(criterion, comparison, &benchmarks);
}

/// Starts a program with a case. Returns a function that times the case.
///
/// # Panics
///
/// If the program does not start.
pub(crate) fn timed(program: &str, case: &str, processors: Option<Processors>) -> Timed {
    let mut running = Running::start(program, case).unwrap_or_else(|error| panic!("{program}: {error}"));
    if let Some(processors) = processors {
        running.ask(&format!("processors {processors}")).expect("the program runs");
    }
    Box::new(move |iterations| running.time(iterations))
}

/// Returns whether a program supports a case.
///
/// # Panics
///
/// If the programs cannot be built.
pub(crate) fn supports(program: &'static str, case: &str) -> bool {
    static CASES: LazyLock<Mutex<HashMap<&'static str, Vec<String>>>> = LazyLock::new(Mutex::default);
    programs::build().unwrap_or_else(|error| panic!("{error}"));
    let mut cases = CASES.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = cases.entry(program).or_insert_with(|| programs::cases(program).unwrap_or_default());
    cases.iter().any(|it| it == case)
}
