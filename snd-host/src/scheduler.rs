//! The scheduling policy of a thread.

// UNSAFETY: makes a system call.
#![expect(unsafe_code)]

use std::io;

/// Schedules this thread with SCHED_RR and `priority`.
///
/// The functions of the C library for threads name the thread by its number. This call names it
/// with 0, and the sandbox of the card process allows no other number.
pub(crate) fn set_round_robin(priority: u8) -> io::Result<()> {
    schedule(0, libc::SCHED_RR, priority)
}

/// Schedules thread number `thread`, or this thread if `thread` is 0.
fn schedule(thread: libc::pid_t, policy: libc::c_int, priority: u8) -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: priority.into() };
    // SAFETY: the call reads `priority`, which outlives the call.
    match unsafe { libc::sched_setscheduler(thread, policy, &raw const priority) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Schedules thread number `thread` with SCHED_OTHER, which needs no privilege.
    pub(crate) fn set_other(thread: libc::pid_t) -> io::Result<()> {
        schedule(thread, libc::SCHED_OTHER, 0)
    }
}
