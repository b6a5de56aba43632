//! The data path: requests go from the guest's ring to the device's, and come back.
//!
//! A [`Shadow`] is one queue of the guest and its counterpart in the isolated area. It takes a request from the
//! guest's ring, copies what the device may read to the area, and offers it to the device there; when the
//! device has used it, what it wrote is copied to the guest, and the guest gets its buffer back. It knows
//! neither sockets nor file descriptors: it is told to [run](Shadow::run), and says whom to notify.

mod device_end;
pub mod framing;
mod guest_end;
mod placement;
mod requests;
mod shadow;
mod statistics;

pub use device_end::DeviceEnd;
pub use shadow::{Round, Shadow, ShadowError};
pub use statistics::Statistics;
