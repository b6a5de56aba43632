//! Runs any vhost-user device without giving it guest memory.
//!
//! A vhost-user device normally maps all of the guest's memory. isolation-host is a proxy between
//! the VMM and the device. To the VMM, isolation-host is the device: it maps the guest's memory and
//! serves the guest's queues. To the device, isolation-host is the VMM: it gives the device a small
//! memory with shadow virtqueues, and copies requests and data between this memory and the guest's.
//! Neither the VMM nor the device has to be changed.
//!
//! From the outside in:
//!
//! - [`args`] is the command line.
//! - [`host`] is the thread that handles both sockets, and `control` decides what it does.
//! - [`forward`] is the data plane: worker threads that move requests between a ring in
//!   [`guest_memory`] and its shadow virtqueue in the isolated [`area`]. A [`journal`] records the
//!   requests in flight, so that they survive the end of this process.
//! - [`device_link`] is the conversation with the device, [`endpoint`] establishes connections,
//!   [`protocol`] has vhost-user's messages, [`negotiation`] decides about features. [`vdpa`]
//!   serves a vDPA device of the kernel as a vhost-user device.
//! - [`metrics`] is what operators see, and [`service_manager`] what systemd is told.
//! - [`limits`] bounds what a peer can make the process hold or do.
//! - [`sandbox`] is what the process gives up before it reads from a peer.
//! - [`mmap`] maps memory, and is the only module with unsafe code.

pub mod area;
pub mod args;
pub mod block_limits;
mod control;
pub mod device_link;
pub mod device_type;
pub mod endpoint;
pub mod error_chain;
pub mod forward;
pub mod guest_memory;
pub mod host;
pub mod journal;
pub mod limits;
pub mod log_format;
pub mod metrics;
pub mod mmap;
pub mod negotiation;
pub mod notifier;
mod poller;
pub mod protocol;
mod retry;
pub mod sandbox;
pub mod service_manager;
#[cfg(test)]
mod simulation;
pub mod vdpa;
