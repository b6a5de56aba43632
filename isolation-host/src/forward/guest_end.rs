//! The guest's side of a queue: its ring, and the journal of what was taken from it.

use ring_core::{
    Arm, CompleteError, Device, Features, PopError, Position, Segment, Setup, SetupError, Token, device,
};

use super::framing::last_byte;
use super::request::Request;
use crate::device_type::DeviceType;
use crate::guest_memory::{GuestMemory, View};
use crate::journal::{Journal, LONGEST_CHAIN, Legacy, Noted};

/// A queue as the guest sees it.
#[derive(Debug)]
pub(super) struct GuestEnd {
    ring: Ring,
    /// Where requests are noted that this process must not forget even if it is killed.
    journal: Option<Journal>,
    /// Where a chain's segments are put when it is popped.
    segments: Box<[Segment]>,
}

type Ring = Device<GuestMemory, Box<[device::Slot]>>;

impl GuestEnd {
    /// Goes on with the guest's ring where `base`, a vhost-user vring base, says; or where a process that died has
    /// left it, as it has noted in the journal. Returns what was in flight then, too, in the order in which it was taken.
    pub(super) fn new(
        memory: GuestMemory,
        setup: &Setup,
        base: u32,
        mut journal: Option<Journal>,
    ) -> Result<(Self, Vec<Request>), SetupError> {
        let slots = vec![device::Slot::default(); setup.size.into()].into();
        let mut ring = Device::new(memory, setup, slots)?;
        let legacy = journal.as_mut().and_then(|journal| journal.recover(|used| ring.has_published(used)));
        let requests = match legacy {
            Some(legacy) => recover(&mut ring, legacy)?,
            None => {
                start(&mut ring, setup, base)?;
                journal.iter_mut().for_each(|journal| journal.begin(ring.position().used));
                Vec::new()
            }
        };
        Ok((Self { ring, journal, segments: vec![Segment::default(); LONGEST_CHAIN].into() }, requests))
    }

    /// Takes the next request, if there is one.
    #[inline]
    pub(super) fn take(&mut self) -> Result<Option<Request>, PopError> {
        let Some(chain) = self.ring.pop(&mut self.segments)? else { return Ok(None) };
        let (readable, writable) = (chain.readable(), chain.writable());
        let token = chain.into_token();
        if let Some(journal) = &mut self.journal
            && let Some(taken) = self.ring.record(&token)
        {
            journal.note(&taken, readable, writable);
        }
        Ok(Some(Request::new(token, readable, writable)))
    }

    /// Stages a request that is done.
    pub(super) fn complete(&mut self, token: Token, written: u32) {
        if let Some(journal) = &mut self.journal
            && let Some(taken) = self.ring.record(&token)
        {
            journal.mark_returned(taken.id);
        }
        // Refused only after a violation of the guest's, when its ring is idle anyway.
        let _ = self.ring.complete(token, written);
    }

    /// Stages a request unserved, with an error where its device type has one.
    pub(super) fn refuse(&mut self, memory: &View<'_>, request: Request, device_type: DeviceType) {
        let status = device_type.failure_status().zip(last_byte(request.buffer.writable()));
        if let Some((failure, address)) = status {
            // If even this is no memory, the guest has asked for it.
            let _ = memory.write_bytes(address, &[failure]);
        }
        self.complete(request.token, 0);
    }

    /// Puts a request back into the ring as if it had never been taken. One that is not the newest is returned.
    pub(super) fn give_back(&mut self, request: Request) -> Option<Request> {
        let Request { token, buffer, placement } = request;
        let taken = self.ring.record(&token);
        match self.ring.give_back(token) {
            Ok(()) => {
                if let Some((journal, taken)) = self.journal.as_mut().zip(taken) {
                    journal.forget(&taken);
                }
                None
            }
            Err(CompleteError::NotNewest(token)) => Some(Request { token, buffer, placement }),
            // Its ring has been reset; there is nothing to give back to.
            Err(_) => None,
        }
    }

    /// A number that is higher than that of any request taken before it.
    pub(super) fn serial(&self, request: &Request) -> u64 {
        self.ring.record(&request.token).map_or(0, |taken| taken.serial)
    }

    /// Returns all that is staged. Returns whether to notify the guest.
    pub(super) fn publish(&mut self) -> bool {
        let Some(journal) = &mut self.journal else { return self.ring.publish().is_needed() };
        journal.intend(self.ring.next_used());
        let call = self.ring.publish().is_needed();
        journal.settle();
        call
    }

    /// Asks the guest to notify when it makes the next request.
    pub(super) fn arm(&mut self) -> Arm {
        self.ring.arm()
    }

    /// Ends the journal, because the VMM will know where the queue stands.
    pub(super) fn end_journal(&mut self) {
        self.journal.iter_mut().for_each(Journal::end);
    }

    pub(super) const fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// Where the queue stands, as a vhost-user vring base.
    pub(super) const fn vring_base(&self) -> u32 {
        self.ring.vring_base()
    }
}

/// Goes on with a queue that was stopped.
fn start(ring: &mut Ring, setup: &Setup, base: u32) -> Result<(), SetupError> {
    let packed = setup.features.contains(Features::RING_PACKED);
    let position = match u16::try_from(base) {
        // DPDK's front-end sends 16 bits, which only a queue with nothing in flight is described by.
        Ok(available) if packed => Position::quiescent(available),
        _ => ring.position_of(base),
    };
    ring.resume(position)
}

/// Goes on with a queue whose process died. Returns what was in flight.
fn recover(ring: &mut Ring, legacy: Legacy) -> Result<Vec<Request>, SetupError> {
    let Legacy { used, last, chains } = legacy;
    tracing::info!("{} requests were in flight when the queue was left", chains.len());
    ring.recover(used, last)?;
    let adopt =
        |Noted { taken, readable, writable }| Ok(Request::new(ring.adopt(taken)?, &readable, &writable));
    chains.into_iter().map(adopt).collect()
}
