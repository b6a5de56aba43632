//! The two ends of a queue.
//!
//! Implementors mark `submit`, `serve` and `collect` as `#[inline(never)]`. Each of these functions
//! is then compiled only once in a program, and its instructions can be counted by the function's
//! name.

use crate::request::Request;
use crate::tally::{Returned, Seen};

/// The driver's end of a queue.
pub trait DriverEnd {
    /// Adds `requests`, for which there is room, and makes them available. Does not decide about
    /// notifications.
    fn submit(&mut self, requests: &[Request]);

    /// Takes back every used buffer, and returns `returned` with these buffers added.
    fn collect(&mut self, returned: Returned) -> Returned;

    /// Decides whether to notify the device of what was submitted. An end without notifications
    /// does not.
    #[inline(always)]
    fn decide(&mut self) -> bool {
        false
    }
}

/// The device's end of a queue.
pub trait DeviceEnd {
    /// Takes up to `limit` requests and returns them as fully written. Does not decide about
    /// notifications.
    ///
    /// Returns `seen` with these requests added. All of these requests are used when the call
    /// returns.
    fn serve(&mut self, limit: usize, seen: Seen) -> Seen;

    /// Decides whether to notify the driver of what was used. An end without notifications does
    /// not.
    #[inline(always)]
    fn decide(&mut self) -> bool {
        false
    }

    /// Asks to be notified of the next available buffer. Returns true if no buffer is available
    /// yet. An end without notifications does not look.
    fn arm(&mut self) -> bool {
        true
    }
}
