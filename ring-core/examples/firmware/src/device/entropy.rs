//! An entropy device: 1 MiB of random bytes, four bytes in each request (VIRTIO 1.4, 5.4 "Entropy
//! Device").

use ring_core::Segment;
use ring_core::driver::Slot;
use ring_core::memory::Memory as _;

use crate::combination::Combination;
use crate::error::CheckError;
use crate::memory::Pool;
use crate::mmio::Device;
use crate::queue::{Plan, Queue};
use crate::report::Counts;

const PLAN: Plan = Plan { index: 0, size: 8, requests: 8, segments: 1 };

const BYTES: u32 = 1 << 20;
/// Small enough for the index of a split queue to wrap around four times.
const REQUEST: u32 = 4;

/// The largest accepted difference between the number of ones and half of all bits. With good
/// random bits, the difference reaches half of this value once in 10^40 runs.
const TOLERANCE: u64 = 40_000;

/// Fetches the bytes, and counts the bits that are one.
pub(super) fn check(device: &mut Device, combination: Combination) -> Result<Counts, CheckError> {
    device.negotiate(combination.features())?;
    let mut pool = Pool::new();
    let mut slots = [Slot::EMPTY; PLAN.size as usize];
    let mut queue = Queue::start(device, PLAN, combination, &mut pool, &mut slots)?;
    device.set_driver_ok();

    let buffers = pool.take(u32::from(PLAN.requests) * REQUEST, REQUEST)?;
    let buffer = |request| Segment::new(buffers.address + u64::from(request) * u64::from(REQUEST), REQUEST);
    queue.add_all(buffer)?;
    let mut ones = 0;
    for _ in 0..BYTES / REQUEST {
        let used = queue.next(device)?;
        if used.written != REQUEST {
            return Err(CheckError::Written { written: used.written, expected: REQUEST });
        }
        let mut bytes = [0; REQUEST as usize];
        pool.memory().read_bytes(buffer(used.cookie).address, &mut bytes)?;
        ones += u64::from(u32::from_le_bytes(bytes).count_ones());
        if queue.buffers() < BYTES / REQUEST {
            queue.add(used.cookie, &[], &[buffer(used.cookie)])?;
        }
    }

    let half = u64::from(BYTES) * 8 / 2;
    if ones.abs_diff(half) > TOLERANCE {
        return Err(CheckError::Data { offset: 0, found: ones, expected: half });
    }
    Counts::of(device, BYTES.into(), &[&queue])
}
