//! The data path: requests go from the guest's ring to the device's, and come back.
//!
//! A [`Shadow`] is one queue of the guest and its counterpart in the isolated area. It takes a request from the
//! guest's ring, copies what the device may read to the area, and offers it to the device there; when the
//! device has used it, what it wrote is copied to the guest, and the guest gets its buffer back. It knows
//! neither sockets nor file descriptors: it is told to [run](Shadow::run), and says whom to notify.

mod device_end;
pub mod framing;
mod guest_end;
mod placement;
mod shadow;
mod statistics;

pub use device_end::DeviceEnd;
pub use shadow::{Round, Shadow, ShadowError};
pub use statistics::Statistics;

use ring_core::{Chain, Segment, Token};
use smallvec::SmallVec;

/// A request of the guest that it has not got back yet.
///
/// It is a private copy of the guest's descriptors, checked when it was popped. It can be offered to a device
/// any number of times, and completed once.
#[derive(Debug)]
pub struct Request {
    token: Token,
    readable: SmallVec<[Segment; 4]>,
    writable: SmallVec<[Segment; 4]>,
}

impl Request {
    fn new(chain: Chain<'_>) -> Self {
        let (readable, writable) = (chain.readable().into(), chain.writable().into());
        Self { token: chain.into_token(), readable, writable }
    }
}
