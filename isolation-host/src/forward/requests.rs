//! The requests of a queue that the guest has not got back yet.

use ring_core::{Segment, Token};
use smallvec::SmallVec;

use super::placement::Placement;

/// A place for a request, which can be offered to a device any number of times, and is returned once.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// The right to return it; none if there is no request here.
    pub(super) token: Option<Token>,
    /// A private copy of the guest's descriptors, checked when it was taken.
    pub(super) buffer: Pieces,
    /// Where it lies in the isolated area, while a device has it.
    pub(super) placement: Placement,
}

/// All of them, each with a key.
///
/// A place is used again as it is: on its way a request is neither moved nor does it ask for memory.
#[derive(Debug, Default)]
pub(super) struct Requests {
    places: Vec<Request>,
    /// The keys of places without a request.
    free: Vec<usize>,
}

impl Requests {
    /// Adds a request, and returns its key.
    pub(super) fn insert(&mut self, token: Token, readable: &[Segment], writable: &[Segment]) -> usize {
        let key = self.free.pop().unwrap_or_else(|| {
            self.places.push(Request::default());
            self.places.len() - 1
        });
        if let Some(place) = self.places.get_mut(key) {
            place.token = Some(token);
            place.buffer.set(readable, writable);
        }
        key
    }

    pub(super) fn get_mut(&mut self, key: usize) -> Option<&mut Request> {
        self.places.get_mut(key).filter(|place| place.token.is_some())
    }

    /// Removes a request, and returns what it can be returned with.
    pub(super) fn remove(&mut self, key: usize) -> Option<Token> {
        let token = self.places.get_mut(key)?.token.take()?;
        self.free(key);
        Some(token)
    }

    /// Notes that the request has gone whose key this was.
    pub(super) fn free(&mut self, key: usize) {
        self.free.push(key);
    }

    pub(super) const fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The keys, and what the requests can be returned with.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (usize, &Token)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(key, place)| place.token.as_ref().map(|token| (key, token)))
    }

    /// Forgets where requests lie in an area that nobody has any more.
    pub(super) fn displace(&mut self) {
        self.places.iter_mut().for_each(|place| place.placement = Placement::default());
    }
}

/// What the device may read, and then what it may write.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    all: SmallVec<[Segment; 4]>,
    /// How many of them are readable.
    readable: usize,
}

impl Pieces {
    fn set(&mut self, readable: &[Segment], writable: &[Segment]) {
        self.clear();
        readable.iter().for_each(|piece| self.push_readable(*piece));
        writable.iter().for_each(|piece| self.push_writable(*piece));
    }

    /// Adds a readable piece. There is no writable one yet.
    pub(super) fn push_readable(&mut self, piece: Segment) {
        self.readable += 1;
        self.all.push(piece);
    }

    pub(super) fn push_writable(&mut self, piece: Segment) {
        self.all.push(piece);
    }

    pub(super) fn clear(&mut self) {
        self.readable = 0;
        self.all.clear();
    }

    /// The readable ones and the writable ones.
    pub(super) fn split(&self) -> (&[Segment], &[Segment]) {
        self.all.split_at_checked(self.readable).unwrap_or_default()
    }

    pub(super) fn writable(&self) -> &[Segment] {
        self.split().1
    }

    pub(super) fn all(&self) -> &[Segment] {
        &self.all
    }

    pub(super) fn all_mut(&mut self) -> &mut [Segment] {
        &mut self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring_core::memory::RawMemory;
    use ring_core::{DeviceQueue, DriverQueue, Features, Setup, device, driver};

    /// The tokens of so many requests.
    fn tokens<const COUNT: usize>() -> [Token; COUNT] {
        let mut words = [0; 512];
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
    fn a_place_is_used_again_when_its_request_has_gone_and_not_before() {
        let mut requests = Requests::default();
        let [first, second, third] = tokens();
        let pieces = [1, 2, 3].map(|len| Segment::new(7, len));
        let kept = requests.insert(first, &pieces[..1], &pieces[1..]);
        let gone = requests.insert(second, &pieces, &[]);
        assert_ne!(kept, gone);
        assert!(requests.remove(gone).is_some() && requests.remove(gone).is_none());
        assert!(requests.get_mut(gone).is_none());
        assert_eq!((requests.insert(third, &[], &pieces[..1]), requests.len()), (gone, 2));
        assert_eq!(requests.get_mut(gone).unwrap().buffer.split(), ([].as_slice(), &pieces[..1]));
        assert_eq!(requests.get_mut(kept).unwrap().buffer.split(), (&pieces[..1], &pieces[1..]));
        assert_eq!(requests.tokens().map(|(key, _)| key).collect::<Vec<_>>(), [kept, gone]);
    }
}
