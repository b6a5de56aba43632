//! Bursts on a split queue: the calls for each buffer, on rings whose bounds are compared once.
//!
//! A burst does the common case itself: a running queue that is not in order, chains in the queue's
//! own ring or in a table that the memory resolves, no rule broken. In every other case it makes
//! the queue's plain call. So only the plain calls report errors, and a burst has the same results
//! as the plain calls.
//!
//! At the driver end, a burst holds the accounts by value, puts them back before a plain call, and
//! reads them again after it. The address of such a burst never reaches a function that is not
//! inlined, so the compiler keeps the values in registers. At the device end, values would be more
//! than there are registers: there, a burst works on those in the queue, which takes as many
//! instructions as it takes to move values between registers and the stack.

mod device;
mod driver;
mod gather;
mod plain;

pub use device::DeviceBurst;
pub use driver::DriverBurst;

use crate::memory::{Area, Memory};

/// The rings of a queue in a memory.
type RingsOf<M> = <<M as Memory>::Area as Area>::Rings;
