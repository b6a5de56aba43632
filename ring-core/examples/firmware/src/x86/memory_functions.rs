//! The functions that compiled Rust expects on every platform, and that a C library would provide.

// UNSAFETY: C's memory functions have C's contracts, which the compiler keeps when it calls them.
// They are assembly, because the compiler turns loops into calls to these functions.
#![expect(unsafe_code)]

use core::arch::global_asm;

// Sound, because the functions do what C specifies, in the registers of the System V calling
// convention, and change only the registers that the convention lets them change.
global_asm!(include_str!("memory_functions.s"));
