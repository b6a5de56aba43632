//! The code size of both formats and both ends: all calls of all four ends, and everything that
//! they need.

#![no_std]
#![no_main]

mod program;

use core::hint::black_box;
use core::iter::Copied;
use core::slice;

use ring_core::memory::RawMemory;
use ring_core::{Segment, device, driver, packed, split};

type Memory = RawMemory<'static>;
type DriverSlots = &'static mut [driver::Slot<u16>];
type DeviceSlots = &'static mut [device::Slot];
type Segments = Copied<slice::Iter<'static, Segment>>;

/// Refers to all calls of an end that both formats have in common.
macro_rules! reach {
    ($end:ty: $($call:ident($($argument:ty),*)),* $(,)?) => {
        $(black_box(<$end>::$call as fn($($argument),*) -> _);)*
    };
}

macro_rules! reach_driver {
    ($end:ty) => {
        reach!($end: new(_, _, _), reset(_, _, _, fn(u16)), add(_, _, _, _), add_indirect(_, _, _, _, _),
            notification_data(_, _), publish(_), publish_silently(_), reap(_), arm(_), arm_after(_, _),
            arm_always(_), disarm(_), pending(_), peek(_), suspend(_), resume(_), begin_at(_, _),
            position(_), free(_), in_flight(_));
        // The types of these arguments are the caller's, so the code is the caller's, too.
        black_box(<$end>::add_iter as fn(_, Segments, Segments, u16) -> _);
        black_box(<$end>::add_indirect_in as fn(_, _, fn(&mut [u8]) -> u64, _, _, _) -> _);
    };
}

macro_rules! reach_device {
    ($end:ty) => {
        reach!($end: new(_, _, _), reset(_, _, _), remap(_, _, _), pop(_, _), unpop(_, _),
            complete(_, _, _), drain(_), publish(_), publish_silently(_), arm(_), arm_after(_, _),
            arm_always(_), disarm(_), pending(_), suspend(_), resume(_, _), position(_),
            record(_, _), next_used(_), has_published(_, _), recover(_, _, _), adopt(_, _));
    };
}

/// Refers to the calls whose size is measured, so that the linker keeps the calls.
#[inline(always)]
fn reach() {
    reach_driver!(split::DriverQueue<Memory, DriverSlots, u16>);
    reach_driver!(packed::DriverQueue<Memory, DriverSlots, u16>);
    reach_device!(split::DeviceQueue<Memory, DeviceSlots>);
    reach_device!(packed::DeviceQueue<Memory, DeviceSlots>);
}
