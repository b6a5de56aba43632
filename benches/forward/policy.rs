//! Times the policies for bytes in the isolated area, on one thread.

use criterion::Criterion;
use isolation_host::area::policy::{Policy, Scrub, Zero};
use ring_core::Features;

use crate::measure::{Benchmark, Comparison, MEASUREMENT, compare};
use crate::request::{Direction, forwarded};

pub(crate) fn policy(criterion: &mut Criterion) {
    let scrub = |scrub| Policy { scrub, ..Policy::default() };
    let zero = |zero| Policy { zero, ..Policy::default() };
    let to_device = [
        ("--scrub never", scrub(Scrub::Never)),
        ("--scrub auto", scrub(Scrub::Auto)),
        ("--scrub always", scrub(Scrub::Always)),
    ];
    let from_device = [("--zero auto", zero(Zero::Auto)), ("--zero always", zero(Zero::Always))];
    for (size, len) in [("1500 B", 1500), ("4 KiB", 4 << 10), ("64 KiB", 64 << 10)] {
        for (direction, policies) in
            [(Direction::ToDevice, &to_device[..]), (Direction::FromDevice, &from_device[..])]
        {
            let name = match direction {
                Direction::ToDevice => format!("{size} to the device"),
                Direction::FromDevice => format!("{size} from the device"),
            };
            let comparison = Comparison {
                group: "policy",
                name: &name,
                requests: 32,
                slice: 200,
                processors: None,
                measurement: MEASUREMENT,
            };
            let benchmarks = policies.iter().map(|(name, policy)| Benchmark {
                name: (*name).to_owned(),
                set_up: {
                    let policy = *policy;
                    Box::new(move || forwarded(len, Features::empty(), direction, policy))
                },
            });
            compare(criterion, comparison, &benchmarks.collect::<Vec<_>>());
        }
    }
}
