//! Packed virtqueues (VIRTIO 1.4, 2.8 "Packed Virtqueues").
//!
//! The *descriptor area* is a ring of descriptors that both sides write. The driver puts a buffer's
//! descriptors into consecutive slots and makes the first one available last; the device reads them,
//! does with the buffer what it is for, and writes one descriptor, with the buffer's id and the number of
//! bytes written, over the slots that it has read first: the buffer is used. Two flags in each descriptor,
//! compared with a wrap counter that each side keeps, tell whose turn the slot is on.
//!
//! A descriptor's flags are the publication point. They share an aligned 64-bit word with its length and
//! id, so one Release store publishes all three and whatever came before, and one Acquire load by the
//! other side observes them.
//!
//! Both sides look at one slot only: the next one. So a batch is published by its *first* descriptor,
//! which is stored last, whatever order the others become visible in.
//!
//! The *driver area* and the *device area* hold one event suppression structure each.

mod device;
mod driver;
mod end;
mod event;
pub(crate) mod layout;
mod recovery;

pub use device::DeviceQueue;
pub use driver::DriverQueue;
pub use layout::layout;
