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

use ring_core::{Segment, Token};
use smallvec::SmallVec;

use placement::Placement;

/// A request of the guest that it has not got back yet.
///
/// It is a private copy of the guest's descriptors, checked when it was popped. It can be offered to a device
/// any number of times, and completed once.
#[derive(Debug)]
pub struct Request {
    token: Token,
    readable: SmallVec<[Segment; 4]>,
    writable: SmallVec<[Segment; 4]>,
    /// Where it lies in the isolated area, while a device has it.
    placement: Placement,
}

impl Request {
    /// In a box, because it is passed on several times, and copying it each time would take longer than all the rest.
    fn new(
        token: Token,
        readable: impl Into<SmallVec<[Segment; 4]>>,
        writable: impl Into<SmallVec<[Segment; 4]>>,
    ) -> Box<Self> {
        let (readable, writable) = (readable.into(), writable.into());
        Box::new(Self { token, readable, writable, placement: Placement::default() })
    }
}
