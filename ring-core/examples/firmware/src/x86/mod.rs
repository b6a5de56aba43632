//! The processor and the board: start-up, interrupts, ports. Nothing here knows about VIRTIO.

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

/// QEMU's `isa-debug-exit`, as `cargo xtask firmware` places it.
const DEBUG_EXIT: u16 = 0xf4;

/// How the program ends. QEMU exits with twice the number, plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every check was passed.
    Passed = 0x10,
    /// A check failed.
    Failed = 0x11,
    /// The program itself went wrong: a panic or a processor fault.
    Crashed = 0x12,
}

/// Ends QEMU.
pub(crate) fn exit(how: Exit) -> ! {
    port::write_u32(DEBUG_EXIT, how as u32);
    // Without the device there is nobody to tell.
    loop {
        interrupts::halt();
    }
}
