//! The device's side of a queue: a ring and blocks in the isolated area, and what is in flight there.

use ring_core::driver::Used;
use ring_core::error::AddErrorKind;
use ring_core::memory::AccessError;
use ring_core::{Arm, DriverQueue, Features, Notify, Segment, SetupError, Violation, driver};
use thiserror::Error;

use super::framing::{Frame, frame, in_step, last_byte};
use super::placement::Placement;
use super::requests::Request;
use crate::area::Share;
use crate::area::buddy::Buddy;
use crate::device_type::DeviceType;
use crate::guest_memory::View;
use crate::journal::LONGEST_CHAIN;
use crate::mmap::Window;

/// The frames of a request without bytes.
const NOTHING: (Frame, Frame) = ([0; 3], [0; 3]);

/// A queue as the device sees it. Whose requests it has it knows by their keys.
#[derive(Debug)]
pub struct DeviceEnd {
    ring: DriverQueue<Window, Box<[driver::Slot<usize>]>, usize>,
    window: Window,
    blocks: u64,
    buddy: Buddy,
    indirect: bool,
}

/// What became of a request that was to be submitted.
#[derive(Debug)]
pub(super) enum Submission {
    /// It is staged, after so many bytes were copied.
    Staged(u64),
    /// There is no room for it until another one comes back.
    NoRoom,
    /// It will never be.
    Never(Refusal),
}

/// Why a request cannot be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    /// The guest named memory that it does not have.
    #[error("{0}")]
    Unmapped(AccessError),
    /// It is cut into more pieces than any driver does.
    #[error("it has more than {LONGEST_CHAIN} segments")]
    TooLong,
    /// It has no bytes, and some devices stop serving a queue in which they see such a request.
    #[error("it is empty")]
    Empty,
    /// The queue was stopped, and a later request had been finished already.
    #[error("its queue was stopped before the device had finished it")]
    Interrupted,
    /// The isolated area or the ring is too small for it, even with nothing else in flight.
    #[error("{bytes} bytes do not fit the queue's share of {share} bytes; give a larger --area-size")]
    TooLarge {
        /// The request's bytes.
        bytes: u64,
        /// The bytes that the queue has in all.
        share: u64,
    },
}

impl DeviceEnd {
    /// Sets up the ring in a fresh share of the isolated area.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the ring's size or place is impossible.
    pub fn new(window: Window, share: Share) -> Result<Self, SetupError> {
        let Share { setup, blocks, buddy } = share;
        let slots = (0..setup.size).map(|_| driver::Slot::EMPTY).collect();
        Ok(Self {
            ring: DriverQueue::new(window.clone(), &setup, slots)?,
            window,
            blocks,
            buddy,
            indirect: setup.features.contains(Features::INDIRECT_DESC),
        })
    }

    /// Bytes of the share's blocks that are in use, and all of them.
    #[must_use]
    pub const fn used_of_share(&self) -> (u64, u64) {
        (self.buddy.capacity() - self.buddy.free(), self.buddy.capacity())
    }

    /// Copies a request to the isolated area and stages it.
    pub(super) fn submit(&mut self, guest: &View<'_>, key: usize, request: &mut Request) -> Submission {
        let Request { buffer, placement, .. } = request;
        let (readable, writable) = buffer.split();
        if let Some(unmapped) = writable.iter().find_map(|segment| guest.check(segment).err()) {
            return Submission::Never(Refusal::Unmapped(unmapped));
        }
        let frames = (frame(readable), frame(writable));
        if frames == NOTHING {
            return Submission::Never(Refusal::Empty);
        }
        if !placement.place(&mut self.buddy, self.blocks, frames, self.indirect) {
            return self.no_room(request);
        }
        let copied = match self.copy_out(guest, readable, placement) {
            Ok(copied) => copied,
            Err(unmapped) => {
                placement.release(&mut self.buddy);
                return Submission::Never(Refusal::Unmapped(unmapped));
            }
        };
        let (readable, writable) = placement.pieces.split();
        let added = match placement.table {
            Some(table) => self.ring.add_indirect(table, readable, writable, key),
            None => self.ring.add(readable, writable, key),
        };
        let Err(error) = added else { return Submission::Staged(copied) };
        placement.release(&mut self.buddy);
        match error.kind {
            // A stopped ring is one that the device broke; the request waits for the next device.
            AddErrorKind::Full { .. } | AddErrorKind::NotRunning => Submission::NoRoom,
            _ => self.no_room(request),
        }
    }

    /// Whether there is no room for a request now, or never.
    fn no_room(&self, request: &Request) -> Submission {
        if self.ring.in_flight() > 0 {
            return Submission::NoRoom;
        }
        let bytes = Segment::total(request.buffer.all());
        Submission::Never(Refusal::TooLarge { bytes, share: self.buddy.capacity() })
    }

    /// Fills the readable part and clears the writable one, where bytes of earlier requests may be.
    fn copy_out(
        &self,
        guest: &View<'_>,
        from: &[Segment],
        placement: &Placement,
    ) -> Result<u64, AccessError> {
        let (readable, writable) = placement.pieces.split();
        let mut copied = 0;
        for (from, to, len) in in_step(from, readable, u64::MAX) {
            guest.copy_out(from, &self.window, to, len)?;
            copied += u64::from(len);
        }
        for piece in writable {
            self.window.zero(piece.address, piece.len)?;
        }
        Ok(copied)
    }

    /// The next request that the device has done: its key, and how many bytes the device wrote.
    pub(super) fn reap(&mut self) -> Result<Option<Used<usize>>, Violation> {
        self.ring.reap()
    }

    /// Has the processor fetch the beginning of what the device wrote, if it did.
    pub(super) fn prefetch(&self, request: &Request, written: u32) {
        let from = request.placement.pieces.writable().first().filter(|_| written > 0);
        from.iter().for_each(|piece| self.window.prefetch(piece.address));
    }

    /// Copies what the device wrote to the guest, and frees the request's room.
    pub(super) fn collect(
        &mut self,
        guest: &View<'_>,
        request: &mut Request,
        written: u32,
        device_type: DeviceType,
    ) {
        if let Err(unmapped) = self.copy_in(guest, request, written, device_type) {
            // The VMM took the memory away meanwhile, as it does when a guest's memory is unplugged.
            tracing::debug!("what the device wrote is lost: {unmapped}");
        }
        request.placement.release(&mut self.buddy);
    }

    /// Copies what the device wrote to the guest.
    fn copy_in(
        &self,
        guest: &View<'_>,
        request: &Request,
        written: u32,
        device_type: DeviceType,
    ) -> Result<(), AccessError> {
        let (from, to) = (request.placement.pieces.writable(), request.buffer.writable());
        for (from, to, len) in in_step(from, to, written.into()) {
            guest.copy_in(&self.window, from, to, len)?;
        }
        if device_type.writes_status_last()
            && u64::from(written) < Segment::total(to)
            && let Some((from, to)) = last_byte(from).zip(last_byte(to))
        {
            guest.copy_in(&self.window, from, to, 1)?;
        }
        Ok(())
    }

    /// Makes all staged requests available to the device.
    pub(super) fn publish(&mut self) -> Notify {
        self.ring.publish()
    }

    /// Asks the device to notify when the next request is done.
    pub(super) fn arm(&mut self) -> Arm {
        self.ring.arm()
    }
}
