//! What can go wrong, by whose fault.
//!
//! - A [`Violation`] is the other side's fault. It **latches**: the queue reports it once and is idle
//!   from then on, until it is reset. The numbers in it are what the other side wrote. A device can ask for the
//!   reset with `DEVICE_NEEDS_RESET` (VIRTIO 1.4, 2.1 "Device Status Field").
//! - A [`SetupError`] is the fault of whoever configured the queue; in a device that is the driver, too.
//!   There is no queue then.
//! - [`AddError`], [`CompleteError`] and [`PopError`] are the caller's to handle. They return whatever was
//!   handed in and still means something, so nothing is lost.
//!
//! Nothing in ring-core panics.

mod calls;
mod setup;
mod violation;

pub use calls::{AddError, AddErrorKind, CompleteError, PopError};
pub use setup::{AreaName, SetupError};
pub use violation::Violation;
