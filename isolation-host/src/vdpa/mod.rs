//! vDPA devices of the kernel, `/dev/vhost-vdpa-N`.
//!
//! The control plane sees a vDPA device as a vhost-user device: a thread of this process is the
//! back-end of a socket pair, and turns messages into requests to the kernel (`link`). So a vDPA
//! device is negotiated with, lost and replaced like any other device, and a request that the
//! kernel does not complete for half a minute holds up only this thread.
//!
//! ```text
//! control thread ══ socket pair ══ thread "vdpa" ── ioctl, write ── /dev/vhost-vdpa-N
//! workers ── kick and call eventfds ─────────────────────────────── its queues
//! ```
//!
//! | file | concern |
//! |---|---|
//! | `requests` | the requests to the kernel |
//! | `device` | an open device: what it has, starting and resetting it |
//! | `vrings` | what the queues are configured to be |
//! | `backend` | serving one connection |
//! | `link` | the thread, and how the control plane connects to it |
//! | `removal` | noticing that an administrator removes the device |

mod backend;
mod device;
mod error;
mod link;
mod removal;
mod requests;
mod vrings;

pub use device::Facts;
pub use error::VdpaError;
pub use link::VdpaLink;
