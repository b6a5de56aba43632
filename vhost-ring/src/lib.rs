//! Split and packed virtqueues for devices on rust-vmm's `vhost-user-backend`.
//!
//! `vhost-user-backend` owns the socket, the vhost-user protocol and the event loop of a device,
//! and keeps a split-only queue for each vring. This crate replaces that queue with ring-core's
//! device queue, which serves both formats. The front-end's messages start and stop the queue:
//!
//! ```text
//!   front-end (VMM)                      vhost-ring                       device
//!
//!   SET_VRING_NUM, _ADDR, _BASE ──► Vring  (what the front-end said)
//!   SET_VRING_KICK, _CALL, _ERR ──►   │
//!   SET_VRING_ENABLE 1 ───────────►   │
//!                                     │ Queues::start
//!                                     ▼
//!   kick ─────────────────────────► Queue  (ring-core's DeviceQueue) ──► Queue::pop
//!   call ◄────────────────────────    │    Queue::publish ◄───────────── Queue::complete
//!                                     │ Queues::stop
//!                                     ▼
//!   GET_VRING_BASE ◄────────────── Vring  (the position that the queue has reached)
//! ```
//!
//! - [`Vring`] is the `VringT` that a back-end names in `VhostUserBackend::Vring`. It records what
//!   the front-end says about a vring, allows any size, and tolerates a kick that cannot be read.
//! - [`Queues`] has the queues of a device. A queue starts at the position at which it was stopped,
//!   or at another position if its driver has been reset; [`Started`] tells the two cases apart.
//!   When a queue stops, its position is stored in its vring, and GET_VRING_BASE returns the
//!   position.
//! - [`Queue`] is one queue that runs: [`pop`](Queue::pop), [`complete`](Queue::complete),
//!   [`publish`](Queue::publish), [`arm`](Queue::arm) as in ring-core, with notifications through
//!   the vring's call file.
//!
//! A device that answers each request at once needs only [`Queues::serve`]. The example `entropy`
//! is a complete virtio-entropy device of this kind.
//!
//! # Limits
//!
//! - `vhost-user-backend` passes on 16 bits of a vring base. These bits describe a packed queue
//!   only while no chain is in flight. So before a packed queue stops, the device has to return its
//!   chains: [`Queues::stop`] calls a function of the device for this. [`Queue::resume`] takes all
//!   32 bits, for a device that learns the upper bits in another way.
//! - The queues of one [`Queues`] belong to one thread of the event loop.

mod memory;
mod queue;
mod queues;
mod restart;
mod vring;
mod waker;

use std::sync::Arc;

pub use memory::MemoryError;
pub use queue::Queue;
pub use queues::Queues;
pub use restart::Started;
pub use ring_core;
use vm_memory::GuestMemoryMmap;
pub use vring::Vring;
pub use waker::Waker;

/// A snapshot of the guest's memory.
pub type GuestMemory<B = ()> = Arc<GuestMemoryMmap<B>>;
