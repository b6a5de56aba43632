//! The groups of benchmarks, in the order of the report.

use super::samples::{Benchmark, Spread};

/// A group, as the report shows it.
#[derive(Debug)]
pub(super) struct Group {
    /// The name that the suites write.
    pub(super) name: &'static str,
    /// The quantity that is comparable in this group.
    pub(super) quantity: Quantity,
    /// What is measured.
    pub(super) about: &'static str,
}

/// A quantity of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantity {
    /// Nanoseconds for each request.
    Time,
    /// The ratio to the baseline.
    Ratio,
}

impl Quantity {
    /// Returns the quantity's value.
    pub(super) fn of(self, benchmark: &Benchmark) -> Spread {
        match self {
            Self::Time => benchmark.time,
            Self::Ratio => benchmark.ratio,
        }
    }
}

const fn times(name: &'static str, about: &'static str) -> Group {
    Group { name, quantity: Quantity::Time, about }
}

const fn ratios(name: &'static str, about: &'static str) -> Group {
    Group { name, quantity: Quantity::Ratio, about }
}

/// All groups.
pub(super) const GROUPS: [Group; 15] = [
    times(
        "throughput",
        "Bursts of 64 requests of one or three descriptors on one thread; queue size 256, event indices. \
         `both` measures a driver and a device. `device` and `driver` measure one end against a stub, which \
         does as little as the format allows. `neither` measures two stubs, or an empty pair: the suite's \
         own part of the time.",
    ),
    times(
        "latency",
        "One request to the device and back, on one thread. Both ends decide whether to notify.",
    ),
    ratios(
        "cross_thread",
        "Two polling threads on two processors, with up to 255 requests in flight. Each end and its totals \
         are on cache lines of their own. Only the ratios are comparable, because the times depend on the \
         distance of the processors: `far` is where a cache line takes 150 ns or more. The ends of `lines \
         of a queue` access the same fields in the same order as a virtqueue's, and do nothing else.",
    ),
    times(
        "notify",
        "One request to the device and back, with event indices. The cost of a decision is the difference to \
         the first row.",
    ),
    times(
        "payload",
        "A device copies 4 KiB from the readable to the writable part of each request. The case names the \
         number of segments of both parts.",
    ),
    times("indirect", "The device's end, with 16 segments in the indirect table of each request."),
    times("burst_length", "Requests of one descriptor through both ends, by the length of a burst."),
    times("queue_size", "Bursts of 16 through both ends, by the size of the queue."),
    times("chain_length", "Bursts of 16 chains through both ends, by the number of descriptors in a chain."),
    ratios("in_flight", "Two threads, one request at a time, by the number of buffers in flight."),
    times(
        "copy",
        "Copies of isolation-host between 256 MiB of guest memory and a block of the isolated area, beside a \
         plain copy of the same bytes. `memcpy` copies half of the bytes in each direction.",
    ),
    times(
        "request",
        "The work of isolation-host for one request, with copies and without notifications: bursts of 32 \
         readable buffers, forwarded from ring to ring or passed directly through one ring.",
    ),
    times(
        "policy",
        "The same work with the policies for bytes that requests leave in the isolated area: bursts of 32 \
         buffers in one direction, and the baseline zeroes none.",
    ),
    ratios(
        "disk on one processor",
        "Reads from qemu-storage-daemon through isolation-host, divided by reads without isolation-host. \
         The three processes share one processor and wake each other. A single request takes four context \
         switches instead of two, which is the whole difference if the device has nothing to do.",
    ),
    ratios("disk", "The same reads on all processors, while qemu-storage-daemon polls."),
];
