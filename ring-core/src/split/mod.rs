//! Split virtqueues (VIRTIO 1.4, 2.7 "Split Virtqueues").
//!
//! The *descriptor area* is a table of descriptors, written by the driver alone. A buffer is a chain of
//! them, linked by index. The driver puts the index of a chain's head into the *driver area*'s ring and
//! then moves that area's index on: the buffer is available. The device does with it what it is for, puts
//! the head and the number of bytes it wrote into the *device area*'s ring and moves that area's index
//! on: the buffer is used.
//!
//! Each area has one writer, and each index is a publication point: a Release store by its writer pairs
//! with an Acquire load by the other side, and orders everything that the index covers.

mod device;
mod driver;
mod end;
pub(crate) mod layout;
mod recovery;

pub use device::DeviceQueue;
pub use driver::DriverQueue;
pub use layout::layout;
