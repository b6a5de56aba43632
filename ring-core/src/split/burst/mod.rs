//! Bursts on a split queue: the calls for each buffer, with all that changes held by value.
//!
//! A burst does the common case itself: a running queue that is not in order, buffers in the
//! queue's own ring, no rule broken. In every other case it writes its values back, makes the
//! queue's plain call, and reads its values again. So only the plain calls report errors, and a
//! burst has the same results as the plain calls.
//!
//! The address of a burst never reaches a function that is not inlined. So the compiler keeps the
//! values in registers.

mod device;
mod driver;

pub use device::DeviceBurst;
pub use driver::DriverBurst;

/// The offset of the entries in the driver area and in the device area.
const ENTRIES: usize = 4;
