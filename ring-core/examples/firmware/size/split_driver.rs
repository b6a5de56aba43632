//! The code size of one driver of split queues: the calls that a driver makes, and everything that
//! they need.

#![no_std]
#![no_main]

mod program;

use core::hint::black_box;

use ring_core::driver::Slot;
use ring_core::memory::RawMemory;
use ring_core::split;

type Driver = split::DriverQueue<RawMemory<'static>, &'static mut [Slot<u16>], u16>;

/// Refers to the calls whose size is measured, so that the linker keeps the calls.
#[inline(always)]
fn reach() {
    black_box(Driver::new as fn(_, _, _) -> _);
    black_box(Driver::add as fn(_, _, _, _) -> _);
    black_box(Driver::publish as fn(_) -> _);
    black_box(Driver::reap as fn(_) -> _);
    black_box(Driver::arm as fn(_) -> _);
}
