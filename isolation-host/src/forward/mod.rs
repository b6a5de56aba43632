//! The data plane: moves requests between the guest's ring and the device's ring.
//!
//! A [`ForwardedQueue`] is one queue of the guest together with its shadow virtqueue in the isolated area.
//! It knows neither sockets nor file descriptors: [`run`](ForwardedQueue::run) moves requests and returns
//! which side to notify. An `ActiveQueue` adds the notifications, and is what a worker thread of
//! [`Workers`] runs. Nothing here imports the control plane ([`host`](crate::host)).
//!
//! A request on its way to the device and back, with the functions that move it:
//!
//! ```text
//!  guest RAM                        isolation-host                             isolated area
//!                   worker.rs: ActiveQueue::kicked, ActiveQueue::run
//! ┌──────────┐  1 GuestRing::take            4 framing::frame            ┌───────────────────┐
//! │  ring    │ ─────────────────▶ InFlight   5 Placement::place          │  shadow virtqueue │
//! │          │  2 Journal::record_taken      6 DeviceRing::copy_out ───▶ │  and blocks       │
//! │          │  3 InFlight::insert           7 DeviceRing::submit   ───▶ │                   │
//! │  data    │                               8 DeviceRing::publish  ───▶ │    kick ─▶ device │
//! │          │                                                           │                   │
//! │          │                               9 DeviceRing::reap     ◀─── │ device ─▶ call    │
//! │          │ ◀─────────────────────────── 10 DeviceRing::copy_back ◀── │                   │
//! │          │                              11 InFlight::remove          └───────────────────┘
//! │          │ 12 GuestRing::complete (Journal::mark_returned)
//! │          │ 13 GuestRing::publish (Journal::prepare_batch, then the used entries, then
//! └──────────┘    Journal::commit_batch) ─▶ call ─▶ guest
//! ```
//!
//! `ForwardedQueue::poll` runs steps 9 to 13 for everything that the device has used, then steps 1 to 8
//! for a batch of new requests, and publishes once in each direction.

mod active_queue;
mod device_ring;
mod forwarded_queue;
mod framing;
mod guest_ring;
mod in_flight;
mod pieces;
mod placement;
mod poll_window;
mod queue_event;
mod statistics;
mod worker;

pub(crate) use active_queue::{ActiveQueue, signal};
pub use device_ring::DeviceRing;
pub use forwarded_queue::{ForwardedQueue, Round};
pub(crate) use queue_event::QueueEvent;
pub use statistics::Statistics;
pub use worker::{WorkerError, Workers};
