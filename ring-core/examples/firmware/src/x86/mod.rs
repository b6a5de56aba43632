//! The processor and the board: start-up, interrupts, ports. Nothing in this module is specific to
//! VIRTIO.

mod boot;
mod interrupts;
mod memory_functions;
mod port;
mod registers;
mod serial;
mod start_info;

pub(crate) use interrupts::Line;
pub(crate) use registers::Registers;
pub(crate) use serial::Serial;
pub(crate) use start_info::command_line;

/// The port of QEMU's `isa-debug-exit`, as `cargo xtask firmware` configures it.
const DEBUG_EXIT: u16 = 0xf4;

/// How the program ends. QEMU exits with twice the number, plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every check passed.
    Passed = 0x10,
    /// A check failed.
    Failed = 0x11,
    /// The program itself failed: a panic or a processor exception.
    Crashed = 0x12,
}

/// Ends QEMU.
pub(crate) fn exit(how: Exit) -> ! {
    port::write_u32(DEBUG_EXIT, how as u32);
    // Without the debug exit device there is nothing left to do.
    loop {
        interrupts::halt();
    }
}
