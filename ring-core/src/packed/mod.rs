//! Packed virtqueues (VIRTIO 1.4, 2.8 "Packed Virtqueues").
//!
//! The *descriptor area* is a ring of descriptors, which both sides write. The driver writes a
//! buffer's descriptors into consecutive slots and makes the first descriptor available last. The
//! device reads the descriptors and processes the buffer. To return the buffer, the device writes
//! one descriptor, with the buffer's id and the number of written bytes, over the first of the
//! slots that the device has read and not returned yet. Each side compares two flags of a
//! descriptor with a wrap counter of its own. The comparison tells whether the slot is available or
//! used.
//!
//! The flags of a descriptor are its publication point. Flags, length and id share an aligned
//! 64-bit word. So one Release store publishes all three fields and everything written before them,
//! and one Acquire load of the other side observes the fields.
//!
//! Each side only looks at one slot: the next one. So a batch is published by its *first*
//! descriptor, which is stored last. The order in which the other descriptors become visible does
//! not matter.
//!
//! The *driver area* and the *device area* each hold one event suppression structure.
//!
//! # Memory
//!
//! A queue of N descriptors has three areas. Numbers are sizes in bytes.
//!
//! ```text
//! descriptor area: 16 N bytes, aligned to 16, written by both sides
//!
//!     +---------------------------+-------+-----------+----------+
//!     | addr                    8 | len 4 | id      2 | flags  2 |   slot 0
//!     +---------------------------+-------+-----------+----------+
//!     |                          ...                             |   up to slot N - 1
//!     +----------------------------------------------------------+
//!                                 '----- the control word -------'
//!
//! driver area and device area: 4 bytes each, aligned to 4, written by the driver and the device
//!
//!     +---------+---------+
//!     | desc  2 | flags 2 |   desc: a slot in bits 0 to 14, a wrap counter in bit 15
//!     +---------+---------+
//! ```
//!
//! [`layout()`] returns these sizes and alignments.
//!
//! # The life of a descriptor
//!
//! ```text
//!            driver                                      device
//!
//!        +-----------+
//!   +--->|   free    |
//!   |    +-----------+
//!   |          | 1 DriverQueue::add
//!   |          v
//!   |    +-----------+
//!   |    |  staged   |
//!   |    +-----------+
//!   |          | 2 DriverQueue::publish
//!   |          v
//!   |    +-----------+     3 DeviceQueue::pop      +-----------+
//!   |    |           |---------------------------->|           |
//!   |    | available |                             |   taken   |
//!   |    |           |<----------------------------|           |
//!   |    +-----------+     4 DeviceQueue::unpop    +-----------+
//!   |                                                    | 5 DeviceQueue::complete
//!   |                                                    v
//!   |                                              +-----------+
//!   |                                              | completed |
//!   |                                              +-----------+
//!   |                                                    | 6 DeviceQueue::publish
//!   |                                                    v
//!   |          7 DriverQueue::reap                 +-----------+
//!   +----------------------------------------------|   used    |
//!                                                  +-----------+
//! ```
//!
//! 1. The driver writes `addr` and the control word of each descriptor, but keeps back the control
//!    word of the batch's first descriptor.
//! 2. The driver stores the control word of the batch's first descriptor.
//! 3. The device loads the control word of the next slot and copies the descriptors of the buffer.
//!    Nothing is written.
//! 4. Nothing is written: the device moves its own position back.
//! 5. The device writes the control word of one used descriptor for the buffer, but keeps back the
//!    control word of the batch's first used descriptor.
//! 6. The device stores the control word of the batch's first used descriptor.
//! 7. The driver loads the control word of the next slot, and frees all descriptors of the buffer.
//!
//! All descriptors of a buffer change their state together. A reset of the queue frees all of them:
//! [`DriverQueue::reset`] and [`DeviceQueue::reset`].
//!
//! The flags `AVAIL` and `USED` of a slot, over two laps:
//!
//! ```text
//!                      wrap counter 1           wrap counter 0
//!                      AVAIL  USED              AVAIL  USED
//!     free               0     0                  1     1
//!     available          1     0                  0     1
//!     used               1     1                  0     0   (as at the start of the next lap)
//! ```

mod burst;
mod device;
mod driver;
mod end;
mod event;
mod iterated;
pub(crate) mod layout;
mod recovery;
mod suspension;
mod tables;

pub use burst::{DeviceBurst, DriverBurst};
pub use device::DeviceQueue;
pub use driver::DriverQueue;
pub use layout::layout;
