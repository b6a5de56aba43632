//! A console: incoming bytes are echoed, one byte in each buffer (VIRTIO 1.4, 5.3 "Console
//! Device").

use ring_core::driver::Slot;
use ring_core::{Arm, Segment};

use crate::combination::Combination;
use crate::error::CheckError;
use crate::memory::Pool;
use crate::mmio::Device;
use crate::queue::{Plan, Queue};
use crate::report::Counts;

const RECEIVE: Plan = Plan { index: 0, size: 64, requests: 64, segments: 1 };
const TRANSMIT: Plan = Plan { index: 1, ..RECEIVE };

/// The number of bytes that the other end of the console sends for each combination. `cargo xtask
/// firmware` is the other end, and sends the same number. It is just large enough to wrap the index
/// of a split queue.
const BYTES: u32 = 3 << 16;

/// Echoes the bytes. The other end checks them.
pub(super) fn check(device: &mut Device, combination: Combination) -> Result<Counts, CheckError> {
    device.negotiate(combination.features())?;
    let mut pool = Pool::new();
    let mut slots = [const { [Slot::EMPTY; RECEIVE.size as usize] }; 2];
    let [receive_slots, transmit_slots] = &mut slots;
    let mut receive = Queue::start(device, RECEIVE, combination, &mut pool, receive_slots)?;
    let mut transmit = Queue::start(device, TRANSMIT, combination, &mut pool, transmit_slots)?;
    device.set_driver_ok();

    // A byte is sent from the memory into which it was received.
    let buffers = pool.take(RECEIVE.requests.into(), 1)?;
    let buffer = |request| Segment::new(buffers.address + u64::from(request), 1);
    receive.add_all(buffer)?;
    echo(device, &mut receive, &mut transmit, buffer)?;
    Counts::of(device, BYTES.into(), &[&receive, &transmit])
}

/// Sends every received byte, from the memory into which the byte was received.
fn echo(
    device: &mut Device,
    receive: &mut Queue<'_>,
    transmit: &mut Queue<'_>,
    buffer: impl Fn(u16) -> Segment,
) -> Result<(), CheckError> {
    let mut echoed = 0;
    while echoed < BYTES {
        let received = receive.reap_all(|used| {
            if used.written != 1 {
                return Err(CheckError::Written { written: used.written, expected: 1 });
            }
            transmit.add(used.cookie, &[buffer(used.cookie)], &[])
        })?;
        let sent = transmit.reap_all(|used| {
            echoed += 1;
            if receive.buffers() == BYTES {
                return Ok(());
            }
            receive.add(used.cookie, &[], &[buffer(used.cookie)])
        })?;
        if !received && !sent {
            receive.publish(device);
            transmit.publish(device);
            // Both queues share one interrupt.
            if [receive.arm(), transmit.arm()] == [Arm::Armed; 2] {
                device.sleep()?;
            }
        }
    }
    Ok(())
}
