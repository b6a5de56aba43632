//! The start-up code, which the loader calls and which calls Rust code.

// UNSAFETY: the entry point is assembly.
#![expect(unsafe_code)]

use core::arch::global_asm;

// Sound, because the assembly defines the symbols that the linker script and the loader look for
// and no others. It calls `enter` in the state that compiled Rust expects: 64-bit mode, a stack of
// 256 KiB of its own, SSE enabled, and everything that the program accesses mapped.
global_asm!(include_str!("boot.s"), enter = sym enter);

/// Called by the assembly, once, with the address of the start info that the loader passed on.
extern "C" fn enter(start_info: u32) -> ! {
    super::interrupts::enable();
    super::exit(crate::run(start_info))
}
