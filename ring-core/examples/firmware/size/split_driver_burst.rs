//! The code size of one driver of split queues that adds and reaps in bursts, and everything that
//! the driver needs.
//!
//! A burst is inlined where it is used, so the size grows with each function that has a burst. This
//! driver has two such functions.

#![no_std]
#![no_main]

mod program;

use core::hint::black_box;

use ring_core::driver::Slot;
use ring_core::memory::RawMemory;
use ring_core::{Notify, Segment, Violation, split};

type Driver = split::DriverQueue<RawMemory<'static>, &'static mut [Slot<u16>], u16>;

/// Refers to the calls whose size is measured, so that the linker keeps the calls.
#[inline(always)]
fn reach() {
    black_box(Driver::new as fn(_, _, _) -> _);
    black_box(send as fn(_, _) -> _);
    black_box(collect as fn(_) -> _);
    black_box(Driver::arm as fn(_) -> _);
}

/// A buffer: its readable and its writable segments.
type Buffer = (&'static [Segment], &'static [Segment]);

/// Adds as many of the buffers as fit, and publishes them.
fn send(driver: &mut Driver, buffers: &[Buffer]) -> Notify {
    let mut burst = driver.burst();
    for (cookie, (readable, writable)) in (0..).zip(buffers) {
        if burst.add(readable, writable, cookie).is_err() {
            break;
        }
    }
    burst.publish()
}

/// Takes back the buffers that the device has used. Returns how many bytes the device has written.
fn collect(driver: &mut Driver) -> Result<u32, Violation> {
    let (mut burst, mut bytes) = (driver.burst(), 0_u32);
    while let Some(used) = burst.reap()? {
        bytes = bytes.saturating_add(used.written);
    }
    Ok(bytes)
}
