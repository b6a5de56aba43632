//! The guest's side of a queue: its ring, and the journal of what was taken from it.

use std::collections::VecDeque;

use ring_core::{
    Arm, CompleteError, DeviceQueue, Features, PopError, Position, Segment, Setup, SetupError, Token, device,
};

use super::framing::last_byte;
use super::requests::Requests;
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

type Ring = DeviceQueue<GuestMemory, Box<[device::Slot]>>;

impl GuestEnd {
    /// Goes on with the guest's ring where `base`, a vhost-user vring base, says; or where a process that died has
    /// left it, as it has noted in the journal. What was in flight then is added to `requests`.
    pub(super) fn new(
        memory: GuestMemory,
        setup: &Setup,
        base: u32,
        mut journal: Option<Journal>,
        requests: &mut Requests,
    ) -> Result<Self, SetupError> {
        let slots = vec![device::Slot::default(); setup.size.into()].into();
        let mut ring = DeviceQueue::new(memory, setup, slots)?;
        let legacy = journal.as_mut().and_then(|journal| journal.recover(|used| ring.has_published(used)));
        match legacy {
            Some(legacy) => recover(&mut ring, legacy, requests)?,
            None => {
                start(&mut ring, setup, base)?;
                journal.iter_mut().for_each(|journal| journal.begin(ring.position().used));
            }
        }
        Ok(Self { ring, journal, segments: vec![Segment::default(); LONGEST_CHAIN].into() })
    }

    /// Takes the next request, if there is one. Returns its key.
    #[inline]
    pub(super) fn take(&mut self, requests: &mut Requests) -> Result<Option<usize>, PopError> {
        let Some(chain) = self.ring.pop(&mut self.segments)? else { return Ok(None) };
        let (readable, writable) = (chain.readable(), chain.writable());
        let token = chain.into_token();
        if let Some(journal) = &mut self.journal
            && let Some(taken) = self.ring.record(&token)
        {
            journal.note(&taken, readable, writable);
        }
        Ok(Some(requests.insert(token, readable, writable)))
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
    pub(super) fn refuse(
        &mut self,
        memory: &View<'_>,
        requests: &mut Requests,
        key: usize,
        device_type: DeviceType,
    ) {
        let end = requests.get_mut(key).and_then(|request| last_byte(request.buffer.writable()));
        if let Some((failure, address)) = device_type.failure_status().zip(end) {
            // If even this is no memory, the guest has asked for it.
            let _ = memory.write_bytes(address, &[failure]);
        }
        if let Some(token) = requests.remove(key) {
            self.complete(token, 0);
        }
    }

    /// Puts a request back into the ring as if it had never been taken. Returns whether that goes: one that is not the
    /// newest stays.
    pub(super) fn give_back(&mut self, requests: &mut Requests, key: usize) -> bool {
        let Some(request) = requests.get_mut(key) else { return true };
        let Some(token) = request.token.take() else { return true };
        let taken = self.ring.record(&token);
        match self.ring.unpop(token) {
            Ok(()) => {
                if let Some((journal, taken)) = self.journal.as_mut().zip(taken) {
                    journal.forget(&taken);
                }
            }
            Err(CompleteError::NotNewest(token)) => {
                request.token = Some(token);
                return false;
            }
            // Its ring has been reset; there is nothing to give back to.
            Err(_) => {}
        }
        requests.free(key);
        true
    }

    /// The keys of all requests, in the order in which they were taken.
    pub(super) fn in_order(&self, requests: &Requests) -> VecDeque<usize> {
        let serial = |token| self.ring.record(token).map(|taken| taken.serial);
        let mut all: Vec<_> = requests.tokens().map(|(key, token)| (serial(token), key)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, key)| key).collect()
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

/// Goes on with a queue whose process died, and adds what was in flight to `requests`.
fn recover(ring: &mut Ring, legacy: Legacy, requests: &mut Requests) -> Result<(), SetupError> {
    let Legacy { used, last, chains } = legacy;
    tracing::info!("{} requests were in flight when the queue was left", chains.len());
    ring.recover(used, last)?;
    for Noted { taken, readable, writable } in chains {
        requests.insert(ring.adopt(taken)?, &readable, &writable);
    }
    Ok(())
}
