//! The guest's side of a queue: its ring, and the journal of what was taken from it.

use std::collections::VecDeque;

use ring_core::{
    Arm, CompleteError, Device, Features, PopError, Position, Segment, Setup, SetupError, Token, device,
};

use super::Request;
use crate::guest_memory::GuestMemory;
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
    /// left it, as it has noted in the journal. Returns what was in flight then, too.
    pub(super) fn new(
        memory: GuestMemory,
        setup: &Setup,
        base: u32,
        mut journal: Option<Journal>,
    ) -> Result<(Self, VecDeque<Box<Request>>), SetupError> {
        let slots = vec![device::Slot::default(); setup.size.into()].into();
        let mut ring = Device::new(memory, setup, slots)?;
        let legacy = journal.as_mut().and_then(|journal| journal.recover(|used| ring.has_published(used)));
        let requests = match legacy {
            Some(legacy) => recover(&mut ring, legacy)?,
            None => {
                start(&mut ring, setup, base)?;
                journal.iter_mut().for_each(|journal| journal.begin(ring.position().used));
                VecDeque::new()
            }
        };
        Ok((Self { ring, journal, segments: vec![Segment::default(); LONGEST_CHAIN].into() }, requests))
    }

    /// Takes the next request, if there is one.
    pub(super) fn take(&mut self) -> Result<Option<Box<Request>>, PopError> {
        let Some(chain) = self.ring.pop(&mut self.segments)? else { return Ok(None) };
        let (readable, writable) = (chain.readable(), chain.writable());
        let request = Request::new(chain.into_token(), readable, writable);
        if let Some(journal) = &mut self.journal
            && let Some(taken) = self.ring.record(&request.token)
        {
            journal.note(&taken, &request.readable, &request.writable);
        }
        Ok(Some(request))
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

    /// Puts a request back into the ring as if it had never been taken. One that is not the newest is returned.
    pub(super) fn give_back(&mut self, request: Box<Request>) -> Option<Box<Request>> {
        let Request { token, readable, writable, .. } = *request;
        let taken = self.ring.record(&token);
        match self.ring.give_back(token) {
            Ok(()) => {
                if let Some((journal, taken)) = self.journal.as_mut().zip(taken) {
                    journal.forget(&taken);
                }
                None
            }
            Err(CompleteError::NotNewest(token)) => Some(Request::new(token, readable, writable)),
            // Its ring has been reset; there is nothing to give back to.
            Err(_) => None,
        }
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
fn recover(ring: &mut Ring, legacy: Legacy) -> Result<VecDeque<Box<Request>>, SetupError> {
    let Legacy { used, last, chains } = legacy;
    tracing::info!("{} requests were in flight when isolation-host died", chains.len());
    ring.recover(used, last)?;
    let adopt =
        |Noted { taken, readable, writable }| Ok(Request::new(ring.adopt(taken)?, readable, writable));
    chains.into_iter().map(adopt).collect()
}
