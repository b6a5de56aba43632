//! The end of the process when guest memory disappears.
//!
//! A front-end can truncate the file behind guest memory at any time. The next access to the memory
//! raises SIGBUS, which by default ends the process without a message.

// UNSAFETY: registers the handler of a signal.
#![expect(unsafe_code)]

use std::io;

use signal_hook::consts::SIGBUS;
use signal_hook::low_level::register;

use super::fatal;

/// Makes SIGBUS end the process with a message.
pub(super) fn end_on_fault() -> io::Result<()> {
    let end = || {
        fatal::end(
            "the file behind guest memory has been truncated; \
             use a memory backend with a sealed file, such as memory-backend-memfd",
        )
    };
    // SAFETY: `fatal::end` makes the system calls poll, writev and exit_group, and nothing else:
    // it neither allocates nor locks, and does not return to the code that was interrupted.
    unsafe { register(SIGBUS, end) }?;
    Ok(())
}
