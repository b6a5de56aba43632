//! Files that programs started by this process must not have.

// UNSAFETY: makes a system call.
#![expect(unsafe_code)]

use std::io;

/// Marks all open files except standard input, output and error as closed in programs that this
/// process starts. The process may have inherited the listening socket without that mark.
pub(super) fn all() -> io::Result<()> {
    let (first, last) = (3, libc::c_uint::MAX);
    // SAFETY: with CLOSE_RANGE_CLOEXEC the call closes no file of this process.
    match unsafe { libc::close_range(first, last, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
