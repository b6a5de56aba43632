//! Compares all implementations in the cases of a group.

use criterion::Criterion;
use rivals::two_threads::line_latency;
use rivals::{Group, IMPLEMENTATIONS, Implementation, ring_core, rtrb, suite};

use crate::measure::{Benchmark, Comparison, compare};

/// Compares the implementations that support a case, for each case of `group`.
///
/// The baseline of two threads is a pair of `rtrb` rings. The baseline of one thread is ring-core's
/// split queue, or the first stub where only stubs are measured.
pub(crate) fn implementations(criterion: &mut Criterion, group: Group, slice: u64) {
    let two_threads = group == Group::CrossThread;
    let baseline: &dyn Implementation = if two_threads { &rtrb::TWO_RINGS } else { &ring_core::SPLIT };
    let mut implementations = IMPLEMENTATIONS.to_vec();
    implementations.sort_by_key(|implementation| implementation.name() != baseline.name());
    for &case in group.cases() {
        let benchmarks = implementations.iter().filter_map(|&implementation| {
            let set_up = suite::prepare(implementation, case)?;
            Some(Benchmark { name: implementation.name().to_owned(), set_up })
        });
        let comparison = Comparison {
            group: group.name(),
            name: &case.to_string(),
            requests: case.requests().into(),
            slice,
            line_latency: two_threads.then_some(line_latency),
        };
        compare(criterion, comparison, &benchmarks.collect::<Vec<_>>());
    }
}
