//! Times reads from qemu-storage-daemon, through isolation-host and directly.

use std::time::{Duration, Instant};

use criterion::Criterion;

use crate::measure::{Benchmark, Comparison, MEASUREMENT, Timed, compare};
use crate::rig::{Backing, Disk, Processors};

/// The reads: their name, the bytes of a request, the requests in flight, and the storage behind
/// the device.
const READS: [(&str, u32, u32, Backing); 5] = [
    ("4 KiB, depth 1, null", 4 << 10, 1, Backing::Null),
    ("4 KiB, depth 32, null", 4 << 10, 32, Backing::Null),
    ("4 KiB, depth 1, tmpfs", 4 << 10, 1, Backing::Tmpfs),
    ("64 KiB, depth 32, tmpfs", 64 << 10, 32, Backing::Tmpfs),
    ("1 MiB, depth 32, tmpfs", 1 << 20, 32, Backing::Tmpfs),
];

pub(crate) fn disk(criterion: &mut Criterion) {
    for (group, processors) in [("disk on one processor", Processors::One), ("disk", Processors::Any)] {
        for (name, len, depth, backing) in READS {
            // An iteration takes about a millisecond.
            let requests = u64::from(depth) * (16 << 10) / u64::from(len).min(16 << 10);
            let comparison =
                Comparison { group, name, requests, slice: 4, processors: None, measurement: MEASUREMENT };
            let benchmark = |name: &str, forwarded| Benchmark {
                name: name.to_owned(),
                set_up: Box::new(move || reads(backing, forwarded, processors, requests, len, depth)),
            };
            let benchmarks = [benchmark("direct", false), benchmark("through isolation-host", true)];
            compare(criterion, comparison, &benchmarks);
        }
    }
}

fn reads(
    backing: Backing,
    forwarded: bool,
    processors: Processors,
    count: u64,
    len: u32,
    depth: u32,
) -> Timed {
    let disk = Disk::start(backing, forwarded, processors).and_then(|mut disk| {
        disk.check(backing)?;
        Ok(disk)
    });
    let mut disk = disk.unwrap_or_else(|error| panic!("{backing:?}, forwarded: {forwarded}: {error}"));
    Box::new(move |iterations| {
        let start = Instant::now();
        for _ in 0..iterations {
            if let Err(error) = disk.read(count, len, depth) {
                eprintln!("{backing:?}, forwarded: {forwarded}: {error}");
                return Duration::MAX;
            }
        }
        start.elapsed()
    })
}
