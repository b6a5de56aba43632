//! The functions that compiled Rust expects on every platform, and that a C library would have.

// UNSAFETY: C's memory functions have C's contracts, which the compiler keeps when it calls them.
// They are assembly, since the compiler makes calls of them out of loops.
#![expect(unsafe_code)]

use core::arch::global_asm;

// Sound, since the functions do what C says of them, in the registers of the System V calling convention,
// and touch no others than it lets them.
global_asm!(include_str!("memory_functions.s"));
