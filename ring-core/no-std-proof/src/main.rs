//! A freestanding program that sends one request through a queue of either format.
//!
//! Its purpose is to link, without a C library and without an allocator. With the feature
//! `use-alloc` the program also allocates, and then it must not link.

#![no_std]
#![no_main]
#![no_builtins] // else the loops in `mem` would be compiled to calls of themselves
// UNSAFETY: without a start-up object the program itself has to export the entry point.

#[cfg(feature = "use-alloc")]
extern crate alloc;

mod mem;

use core::hint::{black_box, spin_loop};
use core::panic::PanicInfo;

use ring_core::memory::{AlignedWord, RawMemory};
use ring_core::{Areas, DeviceQueue, DriverQueue, Features, Segment, Setup, device, driver};

/// The linker's default entry point.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    #[cfg(feature = "use-alloc")]
    black_box(alloc::vec![black_box(0_u8)]);

    // The optimiser cannot know this value, so it cannot remove code that depends on it.
    let features = Features::from_bits_retain(black_box(0));
    black_box(one_request(features));
    stop()
}

/// Passes a request from the driver to the device and back. Returns how much the device wrote.
fn one_request(features: Features) -> Option<u32> {
    let mut page = [AlignedWord::ZERO; 512];
    let memory = RawMemory::from_mut(&mut page, 0x1000);
    let setup = Setup::new(4, features, Areas { descriptor: 0x1000, driver: 0x1100, device: 0x1200 });
    let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4]).ok()?;
    let mut device = DeviceQueue::new(memory, &setup, [device::Slot::EMPTY; 4]).ok()?;

    driver.add(&[], &[Segment::new(0x1900, 16)], ()).ok()?;
    let _ = driver.publish(); // both ends are in this function
    let mut segments = [Segment::default(); 4];
    let chain = device.pop(&mut segments).ok()??;
    device.complete(chain.into_token(), 4).ok()?;
    let _ = device.publish();
    Some(driver.reap().ok()??.written)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    stop()
}

fn stop() -> ! {
    loop {
        spin_loop();
    }
}
