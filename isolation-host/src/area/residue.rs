//! Where bytes of earlier requests may lie in a share.

/// Bytes that are noted and zeroed together: a cache line. What requests carry begins at a multiple of it, and nothing
/// else shares its last one.
pub const UNIT: u32 = 64;
/// Units that a word of the map is about.
const UNITS: u32 = u64::BITS;

/// What has to be zeroed in a share before it is handed out to be written.
///
/// At first that is all of it, because an earlier run of the queue may have left something. Then it is what requests
/// bring: what isolation-host copies there for the device to read, and what it copies from there to the guest because
/// the device says that it has written it. Whatever else the device writes is no request's, but its own, like all that
/// it writes after the room has been zeroed. So a small packet in a large buffer costs no more than a small one.
#[derive(Debug)]
pub struct Residue {
    /// A bit for each unit: whether there may be bytes of a request.
    words: Box<[u64]>,
}

impl Residue {
    /// A share of `size` bytes, of which nothing is known.
    #[must_use]
    pub fn new(size: u32) -> Self {
        Self { words: vec![u64::MAX; size.div_ceil(UNIT).div_ceil(UNITS) as usize].into() }
    }

    /// Notes that a request brings `len` bytes to `offset`.
    pub fn note(&mut self, offset: u32, len: u32) {
        self.update(units(offset, len), |word, mask| word | mask);
    }

    /// Notes that the units of `len` bytes at `offset` are zero.
    pub fn note_zeroed(&mut self, offset: u32, len: u32) {
        self.update(units(offset, len), |word, mask| word & !mask);
    }

    /// What may not be zero in the units of `len` bytes at `offset`, by offsets and lengths.
    pub fn stale(&self, offset: u32, len: u32) -> impl Iterator<Item = (u32, u32)> {
        let (mut unit, end) = units(offset, len);
        std::iter::from_fn(move || {
            let first = self.find((unit, end), |word| word);
            unit = self.find((first, end), |word| !word);
            (first < unit).then(|| (first * UNIT, (unit - first) * UNIT))
        })
    }

    /// Changes the bits of the units from the first to before `end`.
    fn update(&mut self, (first, end): (u32, u32), change: fn(u64, u64) -> u64) {
        let mut unit = first;
        while unit < end {
            let last = (unit | (UNITS - 1)).min(end - 1);
            let mask = u64::MAX << (unit % UNITS) & u64::MAX >> (UNITS - 1 - last % UNITS);
            if let Some(word) = self.words.get_mut((unit / UNITS) as usize) {
                *word = change(*word, mask);
            }
            unit = last + 1;
        }
    }

    /// Among the units from the first to before `end`, the first whose bit is set in what `of` makes of its word;
    /// `end` if there is none.
    fn find(&self, (first, end): (u32, u32), of: fn(u64) -> u64) -> u32 {
        let mut unit = first;
        while unit < end {
            let word = self.words.get((unit / UNITS) as usize).map_or(0, |word| of(*word));
            let rest = word & u64::MAX << (unit % UNITS);
            if rest != 0 {
                return end.min(unit / UNITS * UNITS + rest.trailing_zeros());
            }
            unit = (unit / UNITS + 1) * UNITS;
        }
        end
    }
}

/// The units of `len` bytes at `offset`: the first, and the one behind the last.
const fn units(offset: u32, len: u32) -> (u32, u32) {
    (offset / UNIT, offset.saturating_add(len).div_ceil(UNIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_was_brought_has_to_be_zeroed() {
        let mut residue = Residue::new(1 << 20);
        let stale = |residue: &Residue, offset, len| residue.stale(offset, len).collect::<Vec<_>>();
        assert_eq!(stale(&residue, UNIT, 70_000), [(UNIT, 70_000u32.next_multiple_of(UNIT))]);
        residue.note_zeroed(0, 1 << 20);
        assert_eq!(stale(&residue, 0, 1 << 20), []);
        residue.note(4096, 76);
        residue.note(8000, 1);
        assert_eq!(stale(&residue, 4096, 4096), [(4096, 2 * UNIT), (8000, UNIT)]);
        residue.note_zeroed(4096, 3000);
        assert_eq!(stale(&residue, 4096, 4096), [(8000, UNIT)]);
    }

    proptest! {
        #[test]
        fn no_byte_that_a_request_brought_is_ever_handed_out(
            steps in prop::collection::vec((any::<bool>(), 0u32..1000, 0u32..70_000), 1..40),
        ) {
            const SIZE: u32 = 140_000;
            let mut residue = Residue::new(SIZE);
            let mut bytes = vec![1u8; SIZE as usize];
            for (hand_out, unit, len) in steps {
                let offset = unit * UNIT;
                let range = offset as usize..(offset + len) as usize;
                if hand_out {
                    for (at, stale) in residue.stale(offset, len) {
                        prop_assert!(at >= offset && stale > 0 && at + stale <= (offset + len).next_multiple_of(UNIT));
                        bytes[at as usize..(at + stale) as usize].fill(0);
                    }
                    residue.note_zeroed(offset, len);
                    prop_assert!(bytes[range].iter().all(|byte| *byte == 0));
                } else {
                    residue.note(offset, len);
                    bytes[range].fill(1);
                }
            }
        }
    }
}
