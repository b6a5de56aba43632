//! A console: what comes in goes out again, a byte a buffer (VIRTIO 1.4, 5.3 "Console Device").

use ring_core::driver::Slot;
use ring_core::{Arm, Segment};

use crate::combination::Combination;
use crate::failure::Failure;
use crate::memory::Pool;
use crate::mmio::Device;
use crate::queue::{Plan, Queue};
use crate::report::Tally;

const RECEIVE: Plan = Plan { index: 0, size: 64, requests: 64, segments: 1 };
const TRANSMIT: Plan = Plan { index: 1, ..RECEIVE };

/// How many bytes the other end of the console sends for each combination. `cargo xtask firmware` is that
/// end, and sends the same number. It is just enough for the index of a split queue.
const BYTES: u32 = 3 << 16;

/// Echoes the bytes. Whether they are the right ones is the other end's to judge.
pub(super) fn check(device: &mut Device, combination: Combination) -> Result<Tally, Failure> {
    device.negotiate(combination.features())?;
    let mut pool = Pool::new();
    let mut slots = [const { [Slot::EMPTY; RECEIVE.size as usize] }; 2];
    let [receive_slots, transmit_slots] = &mut slots;
    let mut receive = Queue::start(device, RECEIVE, combination, &mut pool, receive_slots)?;
    let mut transmit = Queue::start(device, TRANSMIT, combination, &mut pool, transmit_slots)?;
    device.go();

    // A byte's memory goes around: it is received into, sent from, and received into again.
    let buffers = pool.take(RECEIVE.requests.into(), 1)?;
    let buffer = |request| [Segment::new(buffers.address + u64::from(request), 1)];
    for request in 0..RECEIVE.requests {
        receive.add(request, &[], &buffer(request))?;
    }
    let mut echoed = 0;
    while echoed < BYTES {
        let mut idle = true;
        while let Some(used) = receive.reap()? {
            if used.written != 1 {
                return Err(Failure::Written { written: used.written, expected: 1 });
            }
            transmit.add(used.cookie, &buffer(used.cookie), &[])?;
            idle = false;
        }
        while let Some(used) = transmit.reap()? {
            echoed += 1;
            if receive.buffers() < BYTES {
                receive.add(used.cookie, &[], &buffer(used.cookie))?;
            }
            idle = false;
        }
        if idle {
            receive.publish(device);
            transmit.publish(device);
            // Both queues have the same interrupt, and either may be what wakes.
            if [receive.arm(), transmit.arm()] == [Arm::Armed; 2] {
                device.sleep()?;
            }
        }
    }
    Tally::of(device, echoed.into(), &[&receive, &transmit])
}
