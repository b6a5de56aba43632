//! Runs any vhost-user device without giving it guest memory.
//!
//! A vhost-user device normally maps all of the guest's memory. isolation-host stands between the VMM and the
//! device, neither of which has to know of it. To the VMM it is the device: it maps the guest's memory and serves
//! the guest's rings. To the device it is the VMM: it gives it a small memory of its own with rings in it, and
//! copies requests and data between the two.
//!
//! From the outside in:
//!
//! - [`args`] is the command line, [`host`] the process: one thread that waits for all sockets and notifications.
//! - [`endpoint`] makes connections, [`protocol`] puts messages on them, [`negotiation`] decides about features,
//!   [`device_link`] drives the device.
//! - [`forward`] moves requests between a ring in [`guest_memory`] and its counterpart in the isolated [`area`], and
//!   keeps a [`journal`] of them in case this process is killed.
//! - [`sandbox`] is what the process gives up before it hears a peer.
//! - [`mmap`] maps memory, and is the only module with unsafe code.

pub mod area;
pub mod args;
pub mod block_limits;
pub mod causes;
pub mod device_link;
pub mod device_type;
pub mod endpoint;
pub mod forward;
pub mod guest_memory;
pub mod host;
pub mod journal;
pub mod mmap;
pub mod negotiation;
pub mod notifier;
pub mod protocol;
pub mod sandbox;
