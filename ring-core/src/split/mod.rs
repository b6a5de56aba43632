//! Split virtqueues (VIRTIO 1.4, 2.7 "Split Virtqueues").
//!
//! The *descriptor area* is a table of descriptors, which only the driver writes. A buffer is a
//! chain of descriptors, linked by index. To make the buffer available, the driver puts the index
//! of the chain's head into the ring of the *driver area* and increments the index of that area.
//! The device processes the buffer. To return the buffer, the device puts the head and the number
//! of written bytes into the ring of the *device area* and increments the index of that area.
//!
//! Each area has one writer, and each index is a publication point: its writer stores it with
//! Release, and the other side loads it with Acquire. This pair orders everything that the index
//! covers.
//!
//! # Memory
//!
//! A queue of N descriptors has three areas. Numbers are sizes in bytes.
//!
//! ```text
//! descriptor area: 16 N bytes, aligned to 16, written by the driver
//!
//!     +---------------------------+-------+-----------+----------+
//!     | addr                    8 | len 4 | flags   2 | next   2 |   descriptor 0
//!     +---------------------------+-------+-----------+----------+
//!     |                          ...                             |   up to descriptor N - 1
//!     +----------------------------------------------------------+
//!
//! driver area: 6 + 2 N bytes, aligned to 2, written by the driver
//!
//!     +---------+-------+-----------+-----+---------------+--------------+
//!     | flags 2 | idx 2 | ring[0] 2 | ... | ring[N - 1] 2 | used_event 2 |
//!     +---------+-------+-----------+-----+---------------+--------------+
//!
//! device area: 6 + 8 N bytes, aligned to 4, written by the device
//!
//!     +---------+-------+------+-------+-----+------+-------+---------------+
//!     | flags 2 | idx 2 | id 4 | len 4 | ... | id 4 | len 4 | avail_event 2 |
//!     +---------+-------+------+-------+-----+------+-------+---------------+
//!                       '-- ring[0] ---'     '- ring[N - 1] '
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
//! 1. The driver writes the descriptors of the chain, and the head's index into `ring` of the
//!    driver area.
//! 2. The driver stores `idx` of the driver area.
//! 3. The device loads `idx` of the driver area and copies the descriptors. Nothing is written.
//! 4. Nothing is written: the device moves its own position back.
//! 5. The device writes `id` and `len` into `ring` of the device area.
//! 6. The device stores `idx` of the device area.
//! 7. The driver loads `idx` of the device area, reads the entry, and frees all descriptors of the
//!    chain.
//!
//! All descriptors of a chain change their state together. A reset of the queue frees all of them:
//! [`DriverQueue::reset`] and [`DeviceQueue::reset`].

mod burst;
mod device;
mod driver;
mod end;
mod iterated;
pub(crate) mod layout;
mod recovery;
mod suspension;
mod tables;

pub use burst::{DeviceBurst, DriverBurst};
pub use device::DeviceQueue;
pub use driver::DriverQueue;
pub use layout::layout;
