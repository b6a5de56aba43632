//! The guest's side of a queue: the ring, and the journal of the requests taken from it.

use std::collections::VecDeque;

use ring_core::{
    Arm, CompleteError, DeviceQueue, Features, PopError, Position, Segment, Setup, SetupError, Token, device,
};

use super::block_status;
use super::framing::last_byte;
use super::in_flight::{InFlight, RequestId};
use super::suspicion::{Held, Suspicion};
use crate::device_type::DeviceType;
use crate::guest_memory::{GuestMemory, View};
use crate::journal::{Journal, JournaledChain, Recovered};
use crate::limits::LONGEST_CHAIN;

/// The ring that the guest drives.
#[derive(Debug)]
pub(super) struct GuestRing {
    ring: Ring,
    /// Records the requests in flight so that they survive the end of this process.
    journal: Option<Journal>,
    /// Receives the segments of a chain when it is popped.
    segments: Box<[Segment]>,
}

type Ring = DeviceQueue<GuestMemory, Box<[device::Slot]>>;

impl GuestRing {
    /// Resumes the ring at `base`, or at the position at which, according to the journal, a
    /// previous process has left the ring.
    ///
    /// `base` is a vhost-user vring base. Returns the ids of the requests that were in flight, in
    /// the order in which the guest made them.
    pub(super) fn new(
        memory: GuestMemory,
        setup: &Setup,
        base: u32,
        mut journal: Option<Journal>,
        in_flight: &mut InFlight,
    ) -> Result<(Self, VecDeque<RequestId>), SetupError> {
        let slots = vec![device::Slot::default(); setup.size.into()].into();
        let mut ring = DeviceQueue::new(memory, setup, slots)?;
        let recovered = journal.as_mut().and_then(|journal| journal.recover(|used| ring.has_published(used)));
        let ids = match recovered {
            Some(recovered) => recover(&mut ring, recovered, in_flight)?,
            None => {
                resume(&mut ring, setup, base)?;
                if let Some(journal) = &mut journal {
                    journal.start(ring.position().used);
                }
                VecDeque::new()
            }
        };
        let segments = vec![Segment::default(); LONGEST_CHAIN].into();
        Ok((Self { ring, journal, segments }, ids))
    }

    /// Takes the next request, if there is one.
    #[inline]
    pub(super) fn take(&mut self, in_flight: &mut InFlight) -> Result<Option<RequestId>, PopError> {
        let Some(chain) = self.ring.pop(&mut self.segments)? else { return Ok(None) };
        let (readable, writable) = (chain.readable(), chain.writable());
        let token = chain.into_token();
        if let Some(journal) = &mut self.journal {
            if let Some(record) = self.ring.record(&token) {
                journal.record_taken(&record, readable, writable);
            }
        }
        Ok(Some(in_flight.insert(token, readable, writable)))
    }

    /// Stages the return of a request.
    pub(super) fn complete(&mut self, token: Token, written: u32) {
        if let Some(journal) = &mut self.journal {
            if let Some(record) = self.ring.record(&token) {
                journal.mark_returned(record.id);
            }
        }
        // This fails only after a violation by the guest. The guest's ring is then idle.
        let _ = self.ring.complete(token, written);
    }

    /// Stages the return of a request without serving it, with an error status if there is one.
    pub(super) fn fail(
        &mut self,
        memory: &View<'_>,
        in_flight: &mut InFlight,
        id: RequestId,
        device_type: DeviceType,
    ) {
        let last = last_byte(in_flight.get(&id).buffer.writable());
        if let Some(address) = last.filter(|_| device_type.has_status()) {
            // A guest whose status byte is not in its memory gets no status.
            let _ = memory.write_bytes(address, &[block_status::FAILED]);
        }
        self.complete(in_flight.remove(id), 0);
    }

    /// Puts a request back into the ring as if it had never been taken.
    ///
    /// # Errors
    ///
    /// Returns the id if the request is not the newest in flight.
    pub(super) fn unpop(&mut self, in_flight: &mut InFlight, id: RequestId) -> Result<(), RequestId> {
        in_flight.try_remove(id, |token| {
            let record = self.ring.record(&token);
            match self.ring.unpop(token) {
                Ok(()) => {
                    if let Some((journal, record)) = self.journal.as_mut().zip(record) {
                        journal.record_unpop(&record);
                    }
                    Ok(())
                }
                Err(CompleteError::NotNewest(token)) => Err(token),
                // The ring has been reset since, so there is nothing to put back.
                Err(_) => Ok(()),
            }
        })
    }

    /// Issues the ids of all requests anew, in the order in which the guest made them.
    ///
    /// See [`InFlight::reissue_ids`].
    pub(super) fn ids_in_order(&self, in_flight: &InFlight) -> VecDeque<RequestId> {
        in_flight.reissue_ids(|token| self.ring.record(token).map(|record| record.serial))
    }

    /// Counts the loss of a device against the requests in flight with the device. The device had
    /// `held` on all queues.
    pub(super) fn blame(&mut self, in_flight: &mut InFlight, held: Held) {
        in_flight.blame(held, |token, suspicion| {
            if let Some((journal, record)) = self.journal.as_mut().zip(self.ring.record(token)) {
                journal.record_suspicion(record.id, suspicion.number());
            }
        });
    }

    /// Returns the position of a request among those that the guest has made.
    pub(super) fn serial(&self, in_flight: &InFlight, id: &RequestId) -> Option<u64> {
        Some(self.ring.record(in_flight.token(id)?)?.serial)
    }

    /// Returns all staged requests to the guest. Returns whether to notify the guest.
    pub(super) fn publish(&mut self) -> bool {
        let Some(journal) = &mut self.journal else { return self.ring.publish().is_needed() };
        journal.prepare_batch(self.ring.next_used());
        let call = self.ring.publish().is_needed();
        journal.commit_batch();
        call
    }

    /// Enables the guest's notification for the next request.
    pub(super) fn arm(&mut self) -> Arm {
        self.ring.arm()
    }

    /// Stops the journal, because the VMM will know the position of the queue.
    pub(super) fn stop_journal(&mut self) {
        if let Some(journal) = &mut self.journal {
            journal.stop();
        }
    }

    pub(super) const fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    /// Returns the position of the ring as a vhost-user vring base.
    pub(super) const fn vring_base(&self) -> u32 {
        self.ring.vring_base()
    }
}

/// Resumes a queue that was stopped.
fn resume(ring: &mut Ring, setup: &Setup, base: u32) -> Result<(), SetupError> {
    let packed = setup.features.contains(Features::RING_PACKED);
    let position = match u16::try_from(base) {
        // DPDK's front-end sends 16 bits, which describe only a queue with nothing in flight.
        Ok(available) if packed => Position::quiescent(available),
        _ => ring.position_of(base),
    };
    ring.resume(position)
}

/// Takes over a queue whose process ended while the queue was running.
///
/// Returns the ids of the requests in flight.
fn recover(
    ring: &mut Ring,
    recovered: Recovered,
    in_flight: &mut InFlight,
) -> Result<VecDeque<RequestId>, SetupError> {
    let Recovered { used, last, chains } = recovered;
    tracing::info!("recovering a queue with {} requests in flight", chains.len());
    ring.recover(used, last)?;
    let mut ids = VecDeque::with_capacity(chains.len());
    for JournaledChain { record, readable, writable, suspicion } in chains {
        let id = in_flight.insert(ring.adopt(record)?, &readable, &writable);
        in_flight.suspect(&id, Suspicion::recorded(suspicion));
        ids.push_back(id);
    }
    Ok(ids)
}
