//! Bursts on a split queue: the calls for each buffer, on rings whose bounds are compared once.
//!
//! A burst does the common case itself: a running queue that is not in order, chains in the queue's
//! own ring or in an indirect table, no rule broken. In every other case the burst makes the
//! queue's plain call. So only the plain calls report errors, and a burst has the same results as
//! the plain calls.
//!
//! At the driver end, a burst holds the accounts by value, puts them back before a plain call, and
//! reads them again after it. The address of such a burst never reaches a function that is not
//! inlined, so the compiler keeps the values in registers. At the device end, there would be more
//! values than registers, and the compiler would move the values between registers and the stack.
//! So there a burst works on the values in the queue, which takes fewer instructions.

mod device;
mod driver;
mod gather;
mod plain;

pub use device::DeviceBurst;
pub use driver::DriverBurst;

use crate::memory::{Area, Memory};

/// The rings of a queue in a memory.
type RingsOf<M> = <<M as Memory>::Area as Area>::Rings;
