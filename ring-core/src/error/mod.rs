//! Errors, grouped by who causes them.
//!
//! - A [`Violation`] is caused by the other side. A violation **latches**: the queue reports it
//!   once and is idle from then on, until it is reset. The numbers in a violation are those that
//!   the other side wrote. A device can ask for the reset with `DEVICE_NEEDS_RESET` (VIRTIO 1.4,
//!   2.1 "Device Status Field").
//! - A [`SetupError`] is caused by the configuration of the queue. In a device, the driver
//!   configures the queue.
//! - [`AddError`], [`PopError`] and [`CompleteError`] are for the caller to handle. They return
//!   what was passed to the call if it is still valid, so nothing is lost.
//!
//! Nothing in ring-core panics.

mod calls;
mod setup;
mod violation;

pub use calls::{AddError, AddErrorKind, CompleteError, PopError};
pub use setup::{AreaName, SetupError};
pub use violation::Violation;
