//! The programs of all implementations.

/// The program of one implementation, used in one way.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    /// The name of the program, which is a file in `src/bin`.
    pub program: &'static str,
    /// The name in reports.
    pub name: &'static str,
}

impl Contender {
    /// Returns whether this is the best known use of an implementation, or a use of ring-core's
    /// main types. All other programs take part in the group `throughput` only.
    #[must_use]
    pub fn is_main(&self) -> bool {
        let iterates = format!("{}_iterating", self.program);
        let is_outdone = CONTENDERS.iter().any(|other| other.program == iterates);
        !is_outdone && !self.program.ends_with("_negotiated")
    }
}

const fn contender(program: &'static str, name: &'static str) -> Contender {
    Contender { program, name }
}

/// ring-core's split queues, the baseline on one thread.
pub const SPLIT: Contender = contender("ring_core_split", "ring-core split");

/// ring-core's packed queues.
pub const PACKED: Contender = contender("ring_core_packed", "ring-core packed");

/// Two rtrb rings: the baseline of the benchmarks with two threads.
pub const TWO_RINGS: Contender = contender("rtrb", "two rtrb rings (no virtqueue)");

/// The suite's own loops, without a queue.
pub const EMPTY_PAIR: Contender = contender("empty_pair", "empty pair (the suite alone)");

/// All programs, in the order of reports. Another way to use ring-core is one more line here, one
/// more file in `src/ring_core`, and a program for each format.
pub const CONTENDERS: [Contender; 28] = [
    SPLIT,
    PACKED,
    contender("ring_core_split_burst", "ring-core split, burst"),
    contender("ring_core_packed_burst", "ring-core packed, burst"),
    contender("ring_core_split_serve", "ring-core split, serve"),
    contender("ring_core_packed_serve", "ring-core packed, serve"),
    contender("ring_core_split_negotiated", "ring-core split, negotiated"),
    contender("ring_core_packed_negotiated", "ring-core packed, negotiated"),
    contender("ring_core_split_vm_memory", "ring-core split on vm-memory"),
    contender("ring_core_packed_vm_memory", "ring-core packed on vm-memory"),
    contender("ring_core_payload", "ring-core"),
    contender("ring_core_payload_vm_memory", "ring-core on vm-memory"),
    contender("virtio_queue", "virtio-queue"),
    contender("virtio_queue_iterating", "virtio-queue, iterating"),
    contender("virtio_queue_payload", "virtio-queue"),
    contender("virtio_drivers", "virtio-drivers"),
    contender("virtio_drivers_virtio_queue", "virtio-drivers + virtio-queue"),
    contender("virtio_drivers_virtio_queue_iterating", "virtio-drivers + virtio-queue, iterating"),
    contender("virtio_driver_split", "virtio-driver split"),
    contender("virtio_driver_packed", "virtio-driver packed"),
    contender("virtio_driver_virtio_queue", "virtio-driver + virtio-queue"),
    contender("virtio_driver_virtio_queue_iterating", "virtio-driver + virtio-queue, iterating"),
    TWO_RINGS,
    contender("lines_split", "lines of a split queue (no virtqueue)"),
    contender("lines_packed", "lines of a packed queue (no virtqueue)"),
    contender("stub_split", "two split stubs"),
    contender("stub_packed", "two packed stubs"),
    EMPTY_PAIR,
];
