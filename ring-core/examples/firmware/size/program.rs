//! The common part of the programs that consist of ring-core and an entry point.
//!
//! `cargo xtask firmware` sums up their code. The programs are never run.

// UNSAFETY: without a start-up object the program itself has to export the entry point.

#[path = "../src/x86/memory_functions.rs"]
mod memory_functions;

use core::panic::PanicInfo;

/// The linker's entry point.
#[expect(unsafe_code, reason = "the name is the linker's")]
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    crate::reach();
    stop()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    stop()
}

fn stop() -> ! {
    loop {
        core::hint::spin_loop();
    }
}
