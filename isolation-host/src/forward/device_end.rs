//! The device's side of a queue: a ring and blocks in the isolated area, and what is in flight there.

use ring_core::error::AddReason;
use ring_core::memory::Unmapped;
use ring_core::{Arm, Driver, Features, Notify, Segment, SetupError, Token, Violation, driver};
use slab::Slab;
use smallvec::SmallVec;
use thiserror::Error;

use super::Request;
use super::framing::{frame, in_step, last_byte};
use super::placement::Placement;
use crate::area::Share;
use crate::area::buddy::Buddy;
use crate::device_type::DeviceType;
use crate::guest_memory::GuestMemory;
use crate::journal::LONGEST_CHAIN;
use crate::mmap::Window;

/// A queue as the device sees it.
#[derive(Debug)]
pub struct DeviceEnd {
    ring: Driver<Window, Box<[driver::Slot<usize>]>, usize>,
    window: Window,
    blocks: u64,
    buddy: Buddy,
    indirect: bool,
    in_flight: Slab<InFlight>,
    /// The number of requests submitted, which tells their order.
    submitted: u64,
}

#[derive(Debug)]
struct InFlight {
    number: u64,
    request: Box<Request>,
}

/// A request that the device has done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) token: Token,
    /// Bytes that the device wrote.
    pub(super) written: u32,
}

/// What became of a request that was to be submitted.
#[derive(Debug)]
pub(super) enum Submission {
    /// It is staged, after so many bytes were copied.
    Staged(u64),
    /// There is no room for it until another one comes back.
    NoRoom(Box<Request>),
    /// It will never be.
    Never(Box<Request>, Refusal),
}

/// Why a request cannot be forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    /// The guest named memory that it does not have.
    #[error("{0}")]
    Unmapped(Unmapped),
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
            ring: Driver::new(window.clone(), &setup, slots)?,
            window,
            blocks,
            buddy,
            indirect: setup.features.contains(Features::INDIRECT_DESC),
            in_flight: Slab::with_capacity(setup.size.into()),
            submitted: 0,
        })
    }

    /// Requests that the device has not done yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Bytes of the share's blocks that are in use, and all of them.
    #[must_use]
    pub const fn used_of_share(&self) -> (u64, u64) {
        (self.buddy.capacity() - self.buddy.free(), self.buddy.capacity())
    }

    /// Copies a request to the isolated area and stages it.
    pub(super) fn submit(&mut self, guest: &GuestMemory, mut request: Box<Request>) -> Submission {
        if let Some(unmapped) = request.writable.iter().find_map(|segment| guest.check(segment).err()) {
            return Submission::Never(request, Refusal::Unmapped(unmapped));
        }
        let (readable, writable) = (frame(&request.readable), frame(&request.writable));
        if readable.is_empty() && writable.is_empty() {
            return Submission::Never(request, Refusal::Empty);
        }
        if !request.placement.place(&mut self.buddy, self.blocks, &readable, &writable) {
            return self.no_room(request);
        }
        let copied = match self.copy_out(guest, &request) {
            Ok(copied) => copied,
            Err(unmapped) => {
                request.placement.release(&mut self.buddy);
                return Submission::Never(request, Refusal::Unmapped(unmapped));
            }
        };
        let Placement { readable, writable, table, .. } = &request.placement;
        let key = self.in_flight.vacant_key();
        let added = if self.indirect && readable.len() + writable.len() > 1 {
            self.ring.add_indirect(*table, readable, writable, key)
        } else {
            self.ring.add(readable, writable, key)
        };
        match added.map_err(|error| error.reason) {
            Ok(()) => {
                self.in_flight.insert(InFlight { number: self.submitted, request });
                self.submitted += 1;
                Submission::Staged(copied)
            }
            // A stopped ring is one that the device broke; the request waits for the next device.
            Err(AddReason::Full { .. } | AddReason::Stopped) => {
                request.placement.release(&mut self.buddy);
                Submission::NoRoom(request)
            }
            Err(_) => {
                request.placement.release(&mut self.buddy);
                self.no_room(request)
            }
        }
    }

    /// Whether there is no room for a request now, or never.
    fn no_room(&self, request: Box<Request>) -> Submission {
        if self.in_flight.is_empty() {
            let segments = request.readable.iter().chain(&request.writable);
            let bytes = segments.map(|segment| u64::from(segment.len)).sum();
            Submission::Never(request, Refusal::TooLarge { bytes, share: self.buddy.capacity() })
        } else {
            Submission::NoRoom(request)
        }
    }

    /// Fills the readable part and clears the writable one, where bytes of earlier requests may be.
    fn copy_out(&self, guest: &GuestMemory, request: &Request) -> Result<u64, Unmapped> {
        let mut copied = 0;
        for (from, to, len) in in_step(&request.readable, &request.placement.readable, u64::MAX) {
            guest.copy_out(from, &self.window, to, len)?;
            copied += u64::from(len);
        }
        for segment in &request.placement.writable {
            self.window.zero(segment.address, segment.len)?;
        }
        Ok(copied)
    }

    /// Takes back the next request that the device has done, with what it wrote copied to the guest.
    pub(super) fn reap(
        &mut self,
        guest: &GuestMemory,
        device_type: DeviceType,
    ) -> Result<Option<Done>, Violation> {
        let Some(used) = self.ring.reap()? else { return Ok(None) };
        let Some(InFlight { mut request, .. }) = self.in_flight.try_remove(used.cookie) else {
            return Err(Violation::NotInFlight { id: u32::try_from(used.cookie).unwrap_or(u32::MAX) });
        };
        let copied = copy_in(&self.window, guest, &request, used.written, device_type);
        if let Err(unmapped) = copied {
            // The VMM took the memory away meanwhile, as it does when a guest's memory is unplugged.
            tracing::debug!("what the device wrote is lost: {unmapped}");
        }
        request.placement.release(&mut self.buddy);
        Ok(Some(Done { token: request.token, written: used.written }))
    }

    /// Makes all staged requests available to the device.
    pub(super) fn publish(&mut self) -> Notify {
        self.ring.publish()
    }

    /// Asks the device to notify when the next request is done.
    pub(super) fn arm(&mut self) -> Arm {
        self.ring.arm()
    }

    /// Gives up the ring. What was in flight comes out in the order in which it went in.
    pub(super) fn into_requests(self) -> impl Iterator<Item = Box<Request>> {
        let mut left: Vec<InFlight> = self.in_flight.into_iter().map(|(_, flight)| flight).collect();
        left.sort_by_key(|flight| flight.number);
        left.into_iter().map(|InFlight { mut request, .. }| {
            // The area goes with the ring.
            request.placement = Placement::default();
            request
        })
    }
}

/// Copies what the device wrote to the guest.
fn copy_in(
    window: &Window,
    guest: &GuestMemory,
    request: &Request,
    written: u32,
    device_type: DeviceType,
) -> Result<(), Unmapped> {
    let copy = |from: &[Segment], to: &[Segment], len: u64| {
        in_step(from, to, len).try_for_each(|(from, to, len)| guest.copy_in(window, from, to, len))
    };
    copy(&request.placement.writable, &request.writable, written.into())?;
    if device_type.writes_status_last()
        && written < request.token.writable()
        && let Some((from, to)) = last_byte(&request.placement.writable).zip(last_byte(&request.writable))
    {
        let status: SmallVec<[Segment; 2]> = [from, to].map(|address| Segment::new(address, 1)).into();
        copy(status.get(..1).unwrap_or_default(), status.get(1..).unwrap_or_default(), 1)?;
    }
    Ok(())
}
