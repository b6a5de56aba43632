//! Interrupts: from a device's line through the I/O APIC to the code that sleeps until the
//! interrupt.
//!
//! Interrupts are enabled only while the program sleeps. So there is no concurrency in the program.
//! A check that found no new interrupt cannot become stale before the processor sleeps. No
//! interrupt is lost: an early interrupt ends the sleep as soon as the sleep begins.

// UNSAFETY: interrupts belong to the processor: their table, its sleep, its controller's registers.
#![expect(unsafe_code)]

use core::arch::{asm, global_asm};
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::{Exit, Registers, Serial, exit, port};

/// The number of interrupt lines, counted from 0.
const LINES: u8 = 15;

/// The vector of line 0; lower vectors are the processor's exceptions.
const FIRST_VECTOR: u8 = 32;
const VECTORS: usize = 48;
/// The vector after those of the lines. The local APIC raises this vector when an interrupt has
/// vanished before delivery.
const SPURIOUS_VECTOR: u8 = FIRST_VECTOR + LINES;
const STUB_BYTES: usize = 16;

/// The number of interrupts taken on each line. Only the assembly counts.
static TAKEN: [AtomicU32; VECTORS - FIRST_VECTOR as usize] =
    [const { AtomicU32::new(0) }; VECTORS - FIRST_VECTOR as usize];

/// The interrupt descriptor table: two words for each vector.
static TABLE: [[AtomicU64; 2]; VECTORS] = [const { [const { AtomicU64::new(0) }; 2] }; VECTORS];

// Sound, because the stubs save the registers that they use and end in `iretq`, or do not return.
// They write the counter of their vector, which is an atomic, and the local APIC's end-of-interrupt
// register.
global_asm!(include_str!("interrupts.s"), exception = sym exception, taken = sym TAKEN);

unsafe extern "C" {
    /// The first of the stubs; there is one stub for each vector.
    safe static interrupt_stubs: [u8; VECTORS * STUB_BYTES];
}

/// The local APIC. Its registers are 16 bytes apart.
mod local {
    pub(super) const ADDRESS: usize = 0xfee0_0000;
    pub(super) const TASK_PRIORITY: usize = 0x80;
    pub(super) const SPURIOUS: usize = 0xf0;
    pub(super) const ENABLE: u32 = 1 << 8;
}

/// The I/O APIC: an index register, and a window onto the register with that index.
mod io {
    pub(super) const ADDRESS: usize = 0xfec0_0000;
    pub(super) const INDEX: usize = 0;
    pub(super) const WINDOW: usize = 0x10;
    /// The lower half of line 0's entry. Its zero bits mean: fixed, physical, active high, edge,
    /// unmasked. The upper half, the destination, stays 0: this processor.
    pub(super) const ENTRIES: u32 = 0x10;
}

/// The mask registers of the legacy interrupt controllers, which would raise the same interrupts
/// again.
const OLD_MASKS: [u16; 2] = [0x21, 0xa1];

/// Prepares the processor to take interrupts.
pub(super) fn enable() {
    let stubs = (&raw const interrupt_stubs).addr() as u64;
    for (stub, [low, high]) in (stubs..).step_by(STUB_BYTES).zip(&TABLE) {
        // The fields are: offset 0..16, code segment, present interrupt gate, offset 16..32, offset
        // 32..64.
        let gate = stub & 0xffff | 0x08 << 16 | 0x8e << 40 | (stub >> 16 & 0xffff) << 48;
        low.store(gate, Ordering::Relaxed);
        high.store(stub >> 32, Ordering::Relaxed);
    }
    let limit = size_of_val(&TABLE) as u64 - 1;
    let table = (&raw const TABLE).addr() as u64;
    // The pointer has ten bytes; the limit is in the first two.
    let pointer = [limit << 48, table];
    // SAFETY: the table is a static that is not changed any more, and its gates lead to the stubs.
    // The pointer is what the instruction expects, six bytes into two little-endian words.
    unsafe { asm!("lidt [{} + 6]", in(reg) &raw const pointer, options(readonly, nostack, preserves_flags)) };

    for mask in OLD_MASKS {
        port::write_u8(mask, 0xff);
    }
    // SAFETY: on a PC, these are the local APIC's registers after a reset; everything below 4 GiB
    // is mapped.
    let registers = unsafe { Registers::new(local::ADDRESS, 0x400) };
    registers.write(local::TASK_PRIORITY, 0);
    registers.write(local::SPURIOUS, local::ENABLE | u32::from(SPURIOUS_VECTOR));
}

/// An interrupt line to wait on.
#[derive(Debug)]
pub(crate) struct Line {
    number: u8,
    /// The number of the line's interrupts that [`wait`](Self::wait) has reported.
    seen: u32,
}

impl Line {
    /// Returns the line with this number, unmasked; `None` if there is no such line.
    pub(crate) fn unmask(number: u8) -> Option<Self> {
        if number >= LINES {
            return None;
        }
        // SAFETY: on a PC, these are the I/O APIC's registers; everything below 4 GiB is mapped.
        let registers = unsafe { Registers::new(io::ADDRESS, 0x20) };
        registers.write(io::INDEX, io::ENTRIES + 2 * u32::from(number));
        registers.write(io::WINDOW, u32::from(FIRST_VECTOR + number));
        Some(Self { number, seen: 0 })
    }

    /// Sleeps until there are interrupts that no earlier call has reported. Returns the number of
    /// these interrupts.
    pub(crate) fn wait(&mut self) -> u32 {
        loop {
            let taken = TAKEN.get(usize::from(self.number)).map_or(0, |count| count.load(Ordering::Relaxed));
            let new = taken.wrapping_sub(self.seen);
            if new != 0 {
                self.seen = taken;
                return new;
            }
            sleep();
        }
    }
}

/// Sleeps until an interrupt has been taken.
fn sleep() {
    // SAFETY: the stubs restore every register, and without `nostack` the compiler keeps nothing
    // below the stack pointer, where the stubs push. `sti` takes effect only after `hlt` has begun.
    unsafe { asm!("sti", "hlt", "cli") };
}

/// Stops the processor permanently.
pub(super) fn halt() {
    // SAFETY: interrupts are disabled, so the processor never continues.
    unsafe { asm!("hlt", options(nomem, nostack, preserves_flags)) };
}

/// Called by the assembly for a processor exception.
extern "C" fn exception(vector: u64) -> ! {
    // Writes to the serial port never fail.
    let _ = writeln!(Serial, "CRASHED: processor exception {vector}");
    exit(Exit::Crashed)
}
