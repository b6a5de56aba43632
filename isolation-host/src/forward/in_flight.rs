//! The requests in flight: taken from the guest and not yet returned.

use std::collections::VecDeque;

use ring_core::{Segment, Token};

use super::pieces::{KEPT, Pieces};
use super::placement::Placement;
use super::quarantine::Admission;
use super::suspicion::{Held, Suspicion};

/// Names a request in flight.
///
/// Each request has exactly one id, which is the cookie of its buffer while the device has the
/// request. Ids come from [`InFlight`] only and cannot be copied, so an id always names a request
/// in flight.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request whose id is dropped is never returned to the guest"]
pub(super) struct RequestId(usize);

/// A request. It can be offered to several devices in turn, and is returned to the guest once.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// The right to return the request. `None` in a free slot.
    token: Option<Token>,
    /// A checked private copy of the guest's descriptors.
    pub(super) buffer: Pieces,
    /// Where the request lies in the isolated area, while a device has it.
    pub(super) placement: Placement,
    /// The losses that count against the request. Set by [`InFlight::suspect`].
    pub(super) suspicion: Suspicion,
    /// The admission while the request is on trial.
    pub(super) trial: Option<Admission>,
}

// `--help` names this bound for the memory of each descriptor.
const _: () = assert!(size_of::<Request>() + 2 * KEPT * size_of::<Segment>() < 1024);

/// The requests in flight, indexed by [`RequestId`].
///
/// A free slot keeps the memory of a short request, so that forwarding neither allocates nor moves
/// such a request.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    slots: Vec<Request>,
    free: Vec<usize>,
    /// The number of segments of all requests.
    segments: usize,
    /// The number of requests that are suspects.
    suspects: usize,
}

/// The number of segments in flight above which no more requests are taken from the guest.
///
/// Linux's disks have 256 requests of up to 128 segments by default.
const MAX_SEGMENTS: usize = 256 * 128;

impl InFlight {
    /// Adds a request.
    pub(super) fn insert(&mut self, token: Token, readable: &[Segment], writable: &[Segment]) -> RequestId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Request::default());
            self.slots.len() - 1
        });
        let id = RequestId(index);
        let slot = self.get_mut(&id);
        slot.token = Some(token);
        slot.buffer.set(readable, writable);
        self.segments += readable.len() + writable.len();
        id
    }

    pub(super) fn get(&self, id: &RequestId) -> &Request {
        &self.slots[id.0]
    }

    pub(super) fn get_mut(&mut self, id: &RequestId) -> &mut Request {
        &mut self.slots[id.0]
    }

    /// Removes a request. Returns its token.
    pub(super) fn remove(&mut self, id: RequestId) -> Token {
        let token = self.take_token(&id);
        self.free_slot(id);
        token
    }

    fn free_slot(&mut self, id: RequestId) {
        self.suspect(&id, Suspicion::default());
        let Request { buffer, trial, .. } = self.get_mut(&id);
        *trial = None;
        let segments = buffer.len();
        buffer.clear();
        self.segments -= segments;
        self.free.push(id.0);
    }

    /// Returns whether there is room for another request.
    pub(super) const fn has_room(&self) -> bool {
        self.segments < MAX_SEGMENTS
    }

    /// Removes a request if `accept` takes its token, and keeps it if `accept` returns the token.
    pub(super) fn try_remove(
        &mut self,
        id: RequestId,
        accept: impl FnOnce(Token) -> Result<(), Token>,
    ) -> Result<(), RequestId> {
        match accept(self.take_token(&id)) {
            Ok(()) => {
                self.free_slot(id);
                Ok(())
            }
            Err(token) => {
                self.get_mut(&id).token = Some(token);
                Err(id)
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Issues the ids of all requests anew, sorted by the `key` of their tokens.
    ///
    /// All ids that were issued before must have been dropped. The ids of requests with a device
    /// are dropped together with the device's ring.
    pub(super) fn reissue_ids<K: Ord>(&self, key: impl Fn(&Token) -> K) -> VecDeque<RequestId> {
        let slots = self.slots.iter().enumerate();
        let used = slots.filter_map(|(index, slot)| Some((key(slot.token.as_ref()?), index)));
        let mut keys: Vec<(K, usize)> = used.collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, index)| RequestId(index)).collect()
    }

    /// Returns the number of requests that are suspects.
    pub(super) const fn suspects(&self) -> usize {
        self.suspects
    }

    /// Sets the suspicion of a request.
    pub(super) fn suspect(&mut self, id: &RequestId, suspicion: Suspicion) {
        let before = std::mem::replace(&mut self.get_mut(id).suspicion, suspicion);
        self.suspects -= usize::from(before.is_suspect());
        self.suspects += usize::from(suspicion.is_suspect());
    }

    /// Returns how many requests the device has.
    pub(super) fn held(&self) -> Held {
        let held = || self.slots.iter().filter(|slot| slot.placement.is_placed());
        Held { all: held().count(), on_trial: held().filter(|slot| slot.trial.is_some()).count() }
    }

    /// Counts the loss of a device against the requests in flight with the device, as
    /// [`Suspicion::after_loss`] decides. The device had `held` on all queues. Calls `each` with
    /// the token and the suspicion of each of these requests.
    pub(super) fn blame(&mut self, held: Held, mut each: impl FnMut(&Token, Suspicion)) {
        for index in 0..self.slots.len() {
            let id = RequestId(index);
            let request = self.get(&id);
            if request.placement.is_placed() {
                let suspicion = request.suspicion.after_loss(held, request.trial.is_some());
                self.suspect(&id, suspicion);
                self.token(&id).into_iter().for_each(|token| each(token, suspicion));
            }
        }
    }

    /// Returns the token of a request.
    pub(super) fn token(&self, id: &RequestId) -> Option<&Token> {
        self.get(id).token.as_ref()
    }

    /// Forgets where the requests lie in an isolated area that is gone.
    pub(super) fn forget_placements(&mut self) {
        for slot in &mut self.slots {
            (slot.placement, slot.trial) = (Placement::default(), None);
        }
    }

    fn take_token(&mut self, id: &RequestId) -> Token {
        self.get_mut(id).token.take().expect("an id names a request in flight")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring_core::memory::{AlignedWord, RawMemory};
    use ring_core::{DeviceQueue, DriverQueue, Features, Setup, device, driver};

    fn tokens<const COUNT: usize>() -> [Token; COUNT] {
        let mut words = [AlignedWord::ZERO; 512];
        let memory = RawMemory::from_mut(&mut words, 0);
        let (setup, _) = Setup::contiguous(0, 8, Features::empty()).unwrap();
        let mut driver =
            DriverQueue::new(memory.clone(), &setup, [const { driver::Slot::EMPTY }; 8]).unwrap();
        let mut device = DeviceQueue::new(memory, &setup, [device::Slot::default(); 8]).unwrap();
        [(); COUNT].map(|()| {
            driver.add(&[Segment::new(0, 1)], &[], ()).unwrap();
            let _ = driver.publish();
            device.pop(&mut [Segment::default()]).unwrap().unwrap().into_token()
        })
    }

    #[test]
    fn a_slot_is_reused_once_its_request_is_removed() {
        let mut in_flight = InFlight::default();
        let [first, second, third] = tokens();
        let pieces = [1, 2, 3].map(|len| Segment::new(7, len));
        let kept = in_flight.insert(first, &pieces[..1], &pieces[1..]);
        let removed = in_flight.insert(second, &pieces, &[]);
        assert_ne!(kept, removed);
        let _token = in_flight.remove(removed);
        assert_eq!(in_flight.len(), 1);
        let reused = in_flight.insert(third, &[], &pieces[..1]);
        assert_eq!(in_flight.len(), 2);
        assert_eq!(in_flight.get(&reused).buffer.split(), ([].as_slice(), &pieces[..1]));
        assert_eq!(in_flight.get(&kept).buffer.split(), (&pieces[..1], &pieces[1..]));
        assert_eq!(in_flight.reissue_ids(|_| ()), [kept, reused]);
    }

    #[test]
    fn a_free_slot_keeps_no_memory_of_a_long_request() {
        let mut in_flight = InFlight::default();
        let [first, second] = tokens();
        let long = vec![Segment::new(7, 1); MAX_SEGMENTS];
        let id = in_flight.insert(first, &long[1..], &[]);
        assert!(in_flight.has_room());
        let last = in_flight.insert(second, &long[..1], &[]);
        assert!(!in_flight.has_room());
        let _tokens = [in_flight.remove(id), in_flight.remove(last)];
        assert!(in_flight.has_room());
        assert!(in_flight.slots.iter().all(|slot| slot.buffer.is_small()));
    }

    #[test]
    fn a_request_whose_token_is_returned_stays_in_flight() {
        let mut in_flight = InFlight::default();
        let [token] = tokens();
        let id = in_flight.insert(token, &[Segment::new(7, 1)], &[]);
        let id = in_flight.try_remove(id, Err).unwrap_err();
        assert_eq!((in_flight.len(), in_flight.get(&id).buffer.all().len()), (1, 1));
        assert_eq!(in_flight.try_remove(id, |_| Ok(())), Ok(()));
        assert_eq!(in_flight.len(), 0);
    }
}
