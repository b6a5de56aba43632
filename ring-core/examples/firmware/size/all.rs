//! The code size of both formats and both ends: all calls of all four ends, and everything that
//! they need.

#![no_std]
#![no_main]

mod program;

use core::hint::black_box;

use ring_core::memory::RawMemory;
use ring_core::{device, driver, packed, split};

type Memory = RawMemory<'static>;
type DriverSlots = &'static mut [driver::Slot<u16>];
type DeviceSlots = &'static mut [device::Slot];

/// Refers to all calls of an end that both formats have in common.
macro_rules! reach {
    ($end:ty: $($call:ident($($argument:ty),*)),* $(,)?) => {
        $(black_box(<$end>::$call as fn($($argument),*) -> _);)*
    };
}

macro_rules! reach_driver {
    ($end:ty) => {
        reach!($end: new(_, _, _), reset(_, _, _, fn(u16)), add(_, _, _, _), add_indirect(_, _, _, _, _),
            notification_data(_, _), publish(_), publish_silently(_), reap(_), arm(_), suspend(_),
            resume(_), position(_));
    };
}

macro_rules! reach_device {
    ($end:ty) => {
        reach!($end: new(_, _, _), reset(_, _, _), pop(_, _), complete(_, _, _), publish(_),
            publish_silently(_), arm(_), suspend(_), resume(_, _), position(_));
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
