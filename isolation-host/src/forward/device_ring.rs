//! The device's side of a queue: a ring and blocks in the isolated area.

use ring_core::driver::Used;
use ring_core::error::AddErrorKind;
use ring_core::memory::{AccessError, Memory as _};
use ring_core::{
    AddError, Arm, DriverQueue, Features, Notify, Position, Segment, SetupError, Violation, driver,
};
use thiserror::Error;

use super::block_status;
use super::framing::{Frame, frame, in_step, last_byte};
use super::in_flight::{InFlight, Request, RequestId};
use super::pieces::Pieces;
use super::placement::Placement;
use crate::area::Share;
use crate::area::policy::Policy;
use crate::area::pool::Pool;
use crate::device_type::DeviceType;
use crate::guest_memory::View;
use crate::limits::LONGEST_CHAIN;
use crate::mmap::Window;

/// The frames of a request without data.
const EMPTY: (Frame, Frame) = ([0; 3], [0; 3]);

/// The ring that the device serves. The cookie of each buffer is its `RequestId`.
#[derive(Debug)]
pub struct DeviceRing {
    ring: DriverQueue<Window, Box<[driver::Slot<RequestId>]>, RequestId>,
    window: Window,
    pool: Pool,
    /// Whether indirect descriptors were negotiated.
    indirect: bool,
}

/// The outcome of submitting a request.
#[derive(Debug)]
pub(super) enum Submission {
    /// The request is staged, and this many bytes were copied.
    Staged(u64),
    /// There is no room until another request is returned.
    NoRoom(RequestId),
    /// The request can never be forwarded.
    Refused(RequestId, ForwardError),
}

/// The reason why a request is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum ForwardError {
    /// A segment is not in the guest's memory.
    #[error("{0}")]
    Unmapped(AccessError),
    /// The VMM has removed the memory meanwhile, for example because the guest has unplugged the
    /// memory.
    #[error("the guest's memory was removed while the device had the request: {0}")]
    Removed(AccessError),
    /// The chain has more segments than isolation-host forwards.
    #[error("the request has more than {LONGEST_CHAIN} segments")]
    TooLong,
    /// The request has no data. Some devices stop serving a queue with such a request.
    #[error("the request is empty")]
    Empty,
    /// The queue was stopped, and a later request had been returned already.
    #[error("the queue was stopped before the device had finished the request")]
    Interrupted,
    /// The isolated area or the ring is too small, even with nothing else in flight.
    #[error("{bytes} bytes exceed the queue's share of {share} bytes; give a larger --area-size")]
    TooLarge {
        /// The request's bytes.
        bytes: u64,
        /// The bytes of the queue's share.
        share: u64,
    },
}

impl DeviceRing {
    /// Sets up the ring in a fresh share of the isolated area.
    ///
    /// The ring continues at `left`, the position at which the device has left its previous ring. A
    /// position that does not exist in this ring has no effect.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the ring's size or addresses are invalid.
    pub fn new(
        window: Window,
        share: Share,
        policy: Policy,
        left: Option<Position>,
    ) -> Result<Self, SetupError> {
        let Share { setup, blocks, buddy } = share;
        let slots = (0..setup.size).map(|_| driver::Slot::EMPTY).collect();
        let mut ring = DriverQueue::new(window.clone(), &setup, slots)?;
        // With a position that does not exist, the device harms only itself.
        let _ = left.map(|left| ring.begin_at(left));
        Ok(Self {
            ring,
            pool: Pool::new(window.clone(), blocks, buddy, policy),
            window,
            indirect: setup.features.contains(Features::INDIRECT_DESC),
        })
    }

    /// Returns the position of the ring. Before the first request, this is the position at which
    /// the ring begins.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.ring.position()
    }

    /// Returns the number of bytes of the share's blocks that are in use, and the number of all
    /// bytes of these blocks.
    #[must_use]
    pub const fn used_of_share(&self) -> (u64, u64) {
        (self.pool.capacity() - self.pool.free(), self.pool.capacity())
    }

    /// Copies a request to the isolated area and stages it.
    pub(super) fn submit(
        &mut self,
        guest: &View<'_>,
        in_flight: &mut InFlight,
        id: RequestId,
        device_type: DeviceType,
    ) -> Submission {
        let Request { buffer, placement, .. } = in_flight.get_mut(&id);
        let (readable, writable) = buffer.split();
        // Copying is the expensive part, so the whole request is checked before.
        if let Some(unmapped) = buffer.all().iter().find_map(|segment| guest.check(segment).err()) {
            return Submission::Refused(id, ForwardError::Unmapped(unmapped));
        }
        let frames = (frame(readable), frame(writable));
        if frames == EMPTY {
            return Submission::Refused(id, ForwardError::Empty);
        }
        if !placement.place(&mut self.pool, frames, self.indirect) {
            return self.no_room(id, buffer);
        }
        let copied = match self.copy_out(guest, readable, placement, device_type) {
            Ok(copied) => copied,
            Err(unmapped) => {
                placement.release(&mut self.pool);
                return Submission::Refused(id, ForwardError::Unmapped(unmapped));
            }
        };
        let (readable, writable) = placement.pieces.split();
        let added = match placement.table {
            Some(table) => self.ring.add_indirect(table, readable, writable, id),
            None => self.ring.add(readable, writable, id),
        };
        let Err(AddError { kind, cookie: id }) = added else { return Submission::Staged(copied) };
        placement.release(&mut self.pool);
        match kind {
            // The device has broken the ring; the request waits for the next device.
            AddErrorKind::Full { .. } | AddErrorKind::NotRunning => Submission::NoRoom(id),
            _ => self.no_room(id, buffer),
        }
    }

    /// Returns whether there will be room for a request once other requests have been returned.
    fn no_room(&self, id: RequestId, buffer: &Pieces) -> Submission {
        if self.ring.in_flight() > 0 {
            return Submission::NoRoom(id);
        }
        let bytes = Segment::total(buffer.all());
        Submission::Refused(id, ForwardError::TooLarge { bytes, share: self.pool.capacity() })
    }

    /// Copies the readable part. Returns the number of bytes copied.
    ///
    /// A status that the device does not write is an error.
    fn copy_out(
        &self,
        guest: &View<'_>,
        from: &[Segment],
        placement: &Placement,
        device_type: DeviceType,
    ) -> Result<u64, AccessError> {
        let (readable, writable) = placement.pieces.split();
        let mut copied = 0;
        for (from, to, len) in in_step(from, readable, u64::MAX) {
            guest.copy_out(from, &self.window, to, len)?;
            copied += u64::from(len);
        }
        if let Some(status) = last_byte(writable).filter(|_| device_type.has_status()) {
            self.window.write_bytes(status, &[block_status::FAILED])?;
        }
        Ok(copied)
    }

    /// Reaps the next request that the device has used.
    pub(super) fn reap(&mut self) -> Result<Option<Used<RequestId>>, Violation> {
        self.ring.reap()
    }

    /// Prefetches the first bytes that the device wrote.
    pub(super) fn prefetch(&self, request: &Request, written: u32) {
        if let Some(first) = request.placement.pieces.writable().first().filter(|_| written > 0) {
            self.window.prefetch(first.address);
        }
    }

    /// Copies the bytes that the device wrote to the guest, and frees the request's blocks.
    ///
    /// # Errors
    ///
    /// [`ForwardError::Removed`] if the guest no longer has the memory.
    pub(super) fn copy_back(
        &mut self,
        guest: &View<'_>,
        request: &mut Request,
        written: u32,
        device_type: DeviceType,
    ) -> Result<(), ForwardError> {
        let copied = self.copy_in(guest, request, written, device_type);
        request.placement.release(&mut self.pool);
        copied.map_err(ForwardError::Removed)
    }

    fn copy_in(
        &self,
        guest: &View<'_>,
        request: &Request,
        written: u32,
        device_type: DeviceType,
    ) -> Result<(), AccessError> {
        let (from, to) = (request.placement.pieces.writable(), request.buffer.writable());
        let status = last_byte(from).zip(last_byte(to)).filter(|_| device_type.has_status());
        // The status is checked before the guest sees it.
        let room = Segment::total(to) - u64::from(status.is_some());
        for (from, to, len) in in_step(from, to, room.min(written.into())) {
            guest.copy_in(&self.window, from, to, len)?;
        }
        let Some((from, to)) = status else { return Ok(()) };
        let mut status = [0];
        self.window.read_bytes(from, &mut status)?;
        let status = status.map(|status| block_status::believed(guest, &request.buffer, written, status));
        guest.write_bytes(to, &status)
    }

    /// Makes all staged requests available to the device.
    pub(super) fn publish(&mut self) -> Notify {
        self.ring.publish()
    }

    /// Returns whether there are bytes that [`scrub`](Self::scrub) has to zero eventually.
    pub(super) fn has_residue(&self) -> bool {
        self.pool.has_residue()
    }

    /// Zeroes up to about `limit` bytes that the device has read. Returns whether there are more.
    pub(super) fn scrub(&mut self, limit: u64) -> bool {
        self.pool.scrub(limit)
    }

    /// Enables the device's notification for the next used request.
    pub(super) fn arm(&mut self) -> Arm {
        self.ring.arm()
    }
}
