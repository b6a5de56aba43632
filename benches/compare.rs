//! Compares all implementations in the cases of a group.

use std::time::Duration;

use criterion::Criterion;
use rivals::{Group, IMPLEMENTATIONS, suite};

use crate::measure::{Benchmark, Comparison, compare};

/// Compares the implementations that support a case, for each case of `group`.
pub(crate) fn implementations(
    criterion: &mut Criterion,
    group: Group,
    slice: u64,
    line_latency: Option<fn() -> Duration>,
) {
    for &case in group.cases() {
        let benchmarks = IMPLEMENTATIONS.iter().filter_map(|&implementation| {
            let set_up = suite::prepare(implementation, case)?;
            Some(Benchmark { name: implementation.name().to_owned(), set_up })
        });
        let comparison = Comparison {
            group: group.name(),
            name: &case.to_string(),
            requests: case.requests().into(),
            slice,
            line_latency,
        };
        compare(criterion, comparison, &benchmarks.collect::<Vec<_>>());
    }
}
