//! Code that ring-core's tests and the fuzz targets share.
//!
//! The kit has one small queue with its areas at fixed addresses, the constructors of both ends of
//! this queue, the operations that random tests perform, and memory that records every access.

#![expect(clippy::missing_panics_doc, reason = "the kit panics where a test has to fail")]

mod anywhere;
mod burst;
mod ends;
mod operation;
mod pair;
mod watched;

use std::env;

use ring_core::memory::{AlignedWord, Memory};
use ring_core::{Areas, DeviceQueue, DriverQueue, Features, Position, Segment, Setup, device, driver};

pub use anywhere::Anywhere;
pub use burst::{Burst, BurstEnd, DeviceCall, DriverCall};
pub use ends::{Ends, Step};
pub use operation::Operation;
pub use pair::Pair;
pub use watched::{Access, Watched, WatchedArea};

/// The features of a plain split queue: none.
pub const SPLIT: Features = Features::empty();
/// The feature of packed queues.
pub const PACKED: Features = Features::RING_PACKED;
/// Notification suppression by event index.
pub const EVENT_IDX: Features = Features::EVENT_IDX;
/// Indirect descriptor tables.
pub const INDIRECT: Features = Features::INDIRECT_DESC;
/// The device returns buffers in the order in which it has taken them.
pub const IN_ORDER: Features = Features::IN_ORDER;

/// Both formats.
pub const FORMATS: [Features; 2] = [SPLIT, PACKED];
/// Both formats, in any order and in order.
pub const ORDERS: [Features; 4] = [SPLIT, PACKED, IN_ORDER, PACKED.union(IN_ORDER)];
/// Both formats with each way to suppress notifications.
pub const SUPPRESSION: [Features; 4] = [SPLIT, SPLIT.union(EVENT_IDX), PACKED, PACKED.union(EVENT_IDX)];

/// The address of the descriptor area, where shared memory begins.
pub const DESCRIPTORS: u64 = 0x1000;
/// The address of the driver area.
pub const DRIVER: u64 = 0x1200;
/// The address of the device area.
pub const DEVICE: u64 = 0x1280;
/// The address of the first buffer. The buffers reach to the end of shared memory.
pub const BUFFERS: u64 = 0x1400;

/// The contents of shared memory before a queue is set up.
pub const ZEROED: [AlignedWord; 0x400] = [AlignedWord::ZERO; 0x400];

/// A driver queue of either format, with its slots on the heap.
pub type HeapDriverQueue<M, T> = DriverQueue<M, Vec<driver::Slot<T>>, T>;
/// A device queue of either format, with its slots on the heap.
pub type HeapDeviceQueue<M> = DeviceQueue<M, Vec<device::Slot>>;

/// Returns the configuration of a queue of up to 32 descriptors in shared memory.
pub const fn setup(size: u16, features: Features) -> Setup {
    Setup::new(size, features, Areas { descriptor: DESCRIPTORS, driver: DRIVER, device: DEVICE })
}

/// Returns the position of a queue that has not run yet.
pub const fn start(features: Features) -> Position {
    if features.contains(PACKED) { Position::PACKED_START } else { Position::SPLIT_START }
}

/// Returns how many cases a property is tested with: `usual`, or as many as `PROPTEST_CASES` allows
/// if these are fewer.
pub fn cases(usual: u32) -> u32 {
    let allowed = env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    allowed.map_or(usual, |allowed: u32| usual.min(allowed))
}

/// Returns `count` segments of 8 bytes each, the first one at `address`.
pub fn segments(address: u64, count: u8) -> Vec<Segment> {
    (0..u64::from(count)).map(|at| Segment::new(address + 8 * at, 8)).collect()
}

/// Sets up the driver end of a queue.
pub fn driver_queue<M: Memory, T>(memory: M, setup: &Setup) -> HeapDriverQueue<M, T> {
    let slots = (0..setup.size).map(|_| driver::Slot::EMPTY).collect();
    DriverQueue::new(memory, setup, slots).expect("the areas are mapped")
}

/// Sets up the device end of a queue.
pub fn device_queue<M: Memory>(memory: M, setup: &Setup) -> HeapDeviceQueue<M> {
    let slots = vec![device::Slot::default(); usize::from(setup.size)];
    DeviceQueue::new(memory, setup, slots).expect("the areas are mapped")
}

/// Sets up both ends of a queue in the same memory.
pub fn queues<M: Memory + Clone, T>(
    memory: &M,
    setup: &Setup,
) -> (HeapDriverQueue<M, T>, HeapDeviceQueue<M>) {
    (driver_queue(memory.clone(), setup), device_queue(memory.clone(), setup))
}

/// Resets the device end.
pub fn reset_device<M: Memory + Clone>(device: &mut HeapDeviceQueue<M>, memory: &M, setup: &Setup) {
    device.reset(memory.clone(), setup).expect("the areas are mapped");
}

/// Resets the driver end. Returns the cookies of the buffers that were in flight.
pub fn reset_driver<M: Memory + Clone, T>(
    driver: &mut HeapDriverQueue<M, T>,
    memory: &M,
    setup: &Setup,
) -> Vec<T> {
    let mut cookies = Vec::new();
    driver.reset(memory.clone(), setup, |cookie| cookies.push(cookie)).expect("the areas are mapped");
    cookies
}
