//! Buffers whose segments come from iterators.

use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ring_core::Segment;
use ring_core::error::AddErrorKind;
use ring_core::memory::{Memory, RawMemory};
use support::{Anywhere, BUFFERS, DESCRIPTORS, FORMATS, Pair, ZEROED, setup};

const BYTE: Segment = Segment::new(BUFFERS, 1);
const EMPTY: Segment = Segment::new(BUFFERS, 0);
const HUGE: Segment = Segment::new(0, u32::MAX);

/// Takes the next chain, checks its segments, and completes it as fully written.
fn exchange<M: Memory + Clone>(pair: &mut Pair<M>, readable: &[Segment], writable: &[Segment], cookie: u32) {
    let _ = pair.driver.publish();
    let mut storage = [Segment::default(); 8];
    let chain = pair.device.pop(&mut storage).unwrap().unwrap();
    assert_eq!((chain.readable(), chain.writable()), (readable, writable));
    let token = chain.into_token();
    assert_eq!(pair.device.pop(&mut storage), Ok(None));
    let written = token.writable();
    assert_eq!(u64::from(written), Segment::total(writable));
    let _ = pair.finish(token, written);
    assert_eq!((pair.reap(), pair.reap()), (Some((cookie, written)), None));
}

#[test]
fn a_buffer_from_iterators_has_the_segments_in_order() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(8, features));
        let segments: Vec<_> = (0..8u32).map(|i| Segment::new(BUFFERS + u64::from(i), 1 + i)).collect();
        let lengths = [(1, 0), (0, 1), (3, 2), (2, 3), (8, 0), (0, 7), (1, 1)];
        // The sum of the lengths is no multiple of the size, so buffers cross the end of the ring.
        for (cookie, (readable, writable)) in (0..30).zip(lengths.into_iter().cycle()) {
            let (readable, writable) = (&segments[..readable], &segments[8 - writable..]);
            // The length of this iterator is unknown.
            let filtered = writable.iter().copied().filter(|_| true);
            pair.driver.add_iter(readable.iter().copied(), filtered, cookie).unwrap();
            assert_eq!(usize::from(pair.driver.free()), 8 - readable.len() - writable.len());
            exchange(&mut pair, readable, writable, cookie);
        }
    }
}

#[test]
fn a_buffer_from_iterators_is_refused_as_by_add() {
    let outside = Segment::new(0, 1);
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        pair.driver.add(&[BYTE], &[], 0).unwrap();
        let buffers: [(&[Segment], &[Segment]); 7] = [
            (&[], &[]),
            (&[BYTE; 2], &[BYTE; 2]),
            (&[BYTE; 5], &[]),
            (&[EMPTY], &[]),
            (&[BYTE], &[BYTE, EMPTY]),
            (&[BYTE], &[outside, BYTE]),
            (&[EMPTY; 9], &[outside]),
        ];
        for suspended in [false, true] {
            if suspended {
                let _ = pair.driver.suspend();
            }
            for (readable, writable) in buffers {
                let expected = pair.driver.add(readable, writable, 1).unwrap_err();
                let refused = pair.driver.add_iter(readable.to_vec(), writable.to_vec(), 1).unwrap_err();
                assert_eq!(refused, expected);
            }
        }
    }
}

#[test]
fn a_refused_buffer_from_iterators_leaves_nothing_to_take() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = Anywhere(RawMemory::from_mut(&mut words, DESCRIPTORS));
        let mut pair = Pair::new(&memory, &setup(4, features));
        // On later laps, too, and behind a buffer that is staged.
        for cookie in 0..9 {
            let refused = pair.driver.add_iter([HUGE; 2], [HUGE], 99).unwrap_err();
            assert_eq!(refused.kind, AddErrorKind::TooManyBytes { bytes: 3 * 0xffff_ffff });
            pair.driver.add(&[BYTE], &[], cookie).unwrap();
            assert!(pair.driver.add_iter([BYTE; 2], [EMPTY], 99).is_err());
            assert!(pair.driver.add_iter([BYTE; 2], [BYTE; 2], 99).is_err());
            exchange(&mut pair, &[BYTE], &[], cookie);
        }
    }
}

#[test]
fn an_iterator_that_panics_leaves_the_queue_unchanged() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        for cookie in 0..9 {
            pair.driver.add(&[BYTE], &[], cookie).unwrap();
            let panics = iter::once_with(|| std::panic::resume_unwind(Box::new("a caller's bug")));
            let add = || pair.driver.add_iter([BYTE, BYTE].into_iter().chain(panics), [], 99);
            assert!(catch_unwind(AssertUnwindSafe(add)).is_err());
            exchange(&mut pair, &[BYTE], &[], cookie);
        }
    }
}
