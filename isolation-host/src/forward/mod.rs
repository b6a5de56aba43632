//! The data plane: moves requests between the guest's ring and the device's ring.
//!
//! A [`ForwardedQueue`] is one queue of the guest together with its shadow virtqueue in the
//! isolated area. It knows neither sockets nor file descriptors: [`run`](ForwardedQueue::run) moves
//! requests and returns which side to notify. An `ActiveQueue` adds the notifications, and is what
//! a worker thread of [`Workers`] runs. Nothing here imports the control plane
//! ([`host`](crate::host)).
//!
//! A request on its way to the device and back, with the functions that move it:
//!
//! ```text
//!  guest                       isolation-host                                        device
//!    │ kick ─▶    Assignment::handle, ActiveQueue::kicked                               │
//!    │            ActiveQueue::run, ForwardedQueue::run, ForwardedQueue::poll           │
//!    │ ring ─▶  1 GuestRing::take         pops the chain                                │
//!    │          2 Journal::record_taken   records its segments                          │
//!    │          3 InFlight::insert        keeps its token, issues a RequestId           │
//!    │          4 DeviceRing::submit      cuts it (frame), places it (Placement::place) │
//!    │ data ─▶  5 DeviceRing::copy_out    copies readable data ──────────────────▶ area │
//!    │          6 DeviceRing::publish     makes it available ───────────▶ ring and kick │
//!    │                                                                                  │
//!    │            Assignment::handle, ActiveQueue::called ◀──────────────────────  call │
//!    │          7 DeviceRing::reap        returns the RequestId ◀────────────────  ring │
//!    │ data ◀─  8 DeviceRing::copy_back   copies written data, frees the blocks ◀─ area │
//!    │          9 InFlight::remove        returns the token                             │
//!    │ ring ◀─ 10 GuestRing::complete     stages the return (Journal::mark_returned)    │
//!    │ call ◀─ 11 GuestRing::publish      returns the batch (Journal::prepare_batch     │
//!    │                                    before, Journal::commit_batch after)          │
//! ```
//!
//! Each round collects a batch of requests that the device has used (7 to 10), takes and submits a
//! batch of new requests (1 to 5), and then publishes once in each direction (11 and 6).

mod active_queue;
mod backlog;
mod block_status;
mod counters;
mod detach;
mod device_ring;
mod forwarded_queue;
mod framing;
mod guest_ring;
mod in_flight;
mod pieces;
mod placement;
mod poll_window;
mod quarantine;
mod queue_event;
mod scrub_timer;
mod suspicion;
mod worker;

pub(crate) use active_queue::{ActiveQueue, signal};
pub use counters::{Counter, QueueCounters};
pub use device_ring::DeviceRing;
pub use forwarded_queue::{ForwardedQueue, Round};
pub use quarantine::FailedRequest;
pub(crate) use quarantine::Quarantine;
pub(crate) use queue_event::QueueEvent;
pub use suspicion::Held;
pub use worker::{WorkerError, Workers};
