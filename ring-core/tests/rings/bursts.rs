//! What a burst leaves behind, and what it finds.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ring_core::error::AddErrorKind;
use ring_core::memory::RawMemory;
use ring_core::{Arm, Chain, Features, Notify, Position, Segment};
use support::{BUFFERS, DESCRIPTORS, INDIRECT, ORDERS, Pair, ZEROED, setup};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// `?` out of a burst drops the burst.
#[test]
fn what_a_dropped_burst_has_staged_stays_staged() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let mut burst = pair.driver.burst();
        burst.add(&[BYTE], &[], 1).unwrap();
        burst.add(&[BYTE, BYTE], &[], 2).unwrap();
        let refused = burst.add(&[], &[], 3).unwrap_err();
        assert_eq!((refused.kind, refused.cookie), (AddErrorKind::Empty, 3));
        drop(burst);
        assert_eq!((pair.driver.free(), pair.driver.publish()), (1, Notify::Needed));

        let mut burst = pair.device.burst();
        let mut segments = [Segment::default(); 2];
        let first = burst.pop(&mut segments).unwrap().unwrap().into_token();
        burst.complete(first, 0).unwrap();
        let second = burst.pop(&mut segments).unwrap().unwrap().into_token();
        drop(burst);
        pair.device.complete(second, 0).unwrap();
        assert_eq!(pair.device.publish(), Notify::Needed);
        assert_eq!([pair.reap(), pair.reap(), pair.reap()], [Some((1, 0)), Some((2, 0)), None]);
        assert_eq!(pair.driver.free(), 4);
    }
}

/// The chains that were answered before stay staged. The other chain is available again or in
/// flight, and the queue passes later chains.
#[test]
fn a_panic_in_work_loses_no_answered_chain() {
    for (features, segments) in ORDERS.iter().flat_map(|order| [1, 2].map(|segments| (*order, segments))) {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(8, features));
        let chain = &[BYTE; 2][..segments];
        let _ = (pair.offer(chain, &[], 1), pair.offer(chain, &[], 2));
        let mut calls = 0;
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            pair.device.burst().serve(&mut [Segment::default(); 4], 4, |_, _| {
                calls += 1;
                assert!(calls < 2, "the second chain cannot be handled");
                0
            })
        }));
        assert!(unwound.is_err());
        let _ = pair.device.publish();
        assert_eq!(pair.reap(), Some((1, 0)));

        let _ = pair.offer(chain, &[], 3);
        let mut burst = pair.device.burst();
        let served = burst.serve(&mut [Segment::default(); 4], 4, |_, _| 0);
        let _ = burst.publish();
        let used: Vec<_> = std::iter::from_fn(|| pair.reap()).map(|used| used.0).collect();
        if features.contains(Features::IN_ORDER) && used.is_empty() {
            // The chain in flight is older.
            assert_eq!((served, pair.device.burst().serve(&mut [BYTE], 4, |_, _| 0)), (Ok(1), Ok(0)));
        } else {
            assert_eq!((served, used.last()), (Ok(used.len()), Some(&3)), "{features:?}, {segments}");
        }
        // What is in flight takes up its descriptors.
        let left = usize::from(pair.driver.in_flight()) * segments;
        assert_eq!(usize::from(8 - pair.driver.free()), left);
        while pair.driver.add(&[BYTE], &[], 4).is_ok() {}
        let _ = pair.driver.publish();
        let served = pair.device.burst().serve(&mut [BYTE], 9, |_, _| 0);
        assert_eq!(served, Ok(8 - left), "{features:?}, {segments}");
    }
}

/// The device end of a split queue is not stopped, because its burst holds nothing by value.
#[test]
fn a_forgotten_burst_loses_nothing_or_stops_the_queue_until_a_reset() {
    for features in ORDERS {
        let (mut words, configuration) = (ZEROED, setup(4, features));
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &configuration);
        let _ = (pair.offer(&[BYTE], &[], 1), pair.offer(&[BYTE], &[], 2));
        let mut burst = pair.device.burst();
        let mut pop = || burst.pop(&mut [Segment::default()]).unwrap().unwrap().into_token();
        let tokens = [pop(), pop()];
        mem::forget(burst);
        tokens.into_iter().for_each(|token| pair.device.complete(token, 0).unwrap());
        let lasting = if features.contains(Features::RING_PACKED) {
            assert_eq!((pair.device.publish(), pair.reap()), (Notify::NotNeeded, None));
            assert_eq!(pair.device.arm(), Arm::Stopped);
            vec![1, 2]
        } else {
            assert_eq!((pair.device.publish(), pair.device.arm()), (Notify::Needed, Arm::Armed));
            assert_eq!([pair.reap(), pair.reap()], [Some((1, 0)), Some((2, 0))]);
            vec![]
        };

        let mut burst = pair.driver.burst();
        burst.add(&[BYTE], &[], 3).unwrap();
        mem::forget(burst);
        assert_eq!(pair.driver.add(&[BYTE], &[], 4).unwrap_err().kind, AddErrorKind::NotRunning);
        assert_eq!((pair.driver.publish(), pair.driver.arm()), (Notify::NotNeeded, Arm::Stopped));

        let mut returned = vec![];
        pair.driver.reset(memory.clone(), &configuration, |cookie| returned.push(cookie)).unwrap();
        pair.device.reset(memory, &configuration).unwrap();
        returned.sort_unstable();
        assert_eq!(returned, [lasting, vec![3]].concat());
        pair.transfer(5);
    }
}

/// The position of what the burst has staged is lost, so a drain must not publish it.
#[test]
fn a_packed_queue_whose_burst_is_forgotten_is_not_drained() {
    for later_bursts in [0, 1, 2] {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, Features::RING_PACKED));
        let _ = (pair.offer(&[BYTE], &[], 1), pair.offer(&[BYTE], &[], 2));
        let mut burst = pair.device.burst();
        for _ in 0..2 {
            let token = burst.pop(&mut [Segment::default()]).unwrap().unwrap().into_token();
            burst.complete(token, 0).unwrap();
        }
        mem::forget(burst);
        for _ in 0..later_bursts {
            assert_eq!(pair.device.burst().publish(), Notify::NotNeeded);
        }
        pair.device.drain();
        assert_eq!((pair.device.publish(), pair.reap()), (Notify::NotNeeded, None), "{later_bursts}");
    }
}

/// A forgotten burst that has staged nothing stops the queue as a violation does.
#[test]
fn a_queue_whose_forgotten_burst_has_staged_nothing_is_drained() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let _ = (pair.offer(&[BYTE], &[], 1), pair.offer(&[BYTE], &[], 2));
        let (staged, token) = (pair.take(), pair.take());
        pair.device.complete(staged, 0).unwrap();
        mem::forget(pair.device.burst());
        pair.device.drain();
        pair.device.complete(token, 0).unwrap();
        assert_eq!(pair.device.publish(), Notify::Needed);
        assert_eq!([pair.reap(), pair.reap(), pair.reap()], [Some((1, 0)), Some((2, 0)), None]);
    }
}

/// In a packed queue, all but the first descriptor of a batch are marked before the batch is
/// published, and the device found those behind the next batch.
#[test]
fn a_device_does_not_find_the_buffers_of_a_forgotten_burst() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let mut burst = pair.driver.burst();
        (1..4).for_each(|cookie| assert!(burst.add(&[BYTE], &[], cookie).is_ok()));
        mem::forget(burst);
        let _ = pair.driver.add(&[BYTE], &[], 4);
        let _ = pair.driver.publish();
        let mut found = 0;
        while let Ok(Some(_)) = pair.device.pop(&mut [Segment::default()]) {
            found += 1;
        }
        assert!(found <= 1, "{features:?}: {found} buffers");
    }
}

/// Two sides on two processors would compete for the index.
#[test]
fn a_burst_on_a_split_queue_takes_what_was_there_when_it_looked() {
    let mut words = ZEROED;
    let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, Features::empty()));
    let mut segments = [Segment::default()];
    let _ = (pair.offer(&[BYTE], &[], 1), pair.offer(&[BYTE], &[], 2));
    let mut burst = pair.device.burst();
    let mut pop = || burst.pop(&mut segments).unwrap().map(Chain::into_token);
    let tokens = [pop().unwrap(), pop().unwrap()];
    pair.driver.add(&[BYTE], &[], 3).unwrap();
    let _ = pair.driver.publish();
    assert_eq!(pop(), None);
    tokens.into_iter().for_each(|token| burst.complete(token, 0).unwrap());
    let _ = burst.publish();
    assert_eq!(pair.device.burst().serve(&mut segments, 9, |_, _| 0), Ok(1));
}

/// Chains of one segment, of several, in tables, and too long ones, each answered with the bytes
/// that its handler has written.
#[test]
fn serve_passes_each_chain_once_and_limits_what_is_written() {
    for features in ORDERS.map(|order| order | INDIRECT) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(8, features));
        let [a, b, c, d] = [3, 5, 1, 9].map(|len| Segment::new(0x2000 + 0x10 * u64::from(len), len));
        for round in 0..10 {
            pair.driver.add(&[a], &[], 1).unwrap();
            pair.driver.add(&[], &[b], 2).unwrap();
            pair.driver.add(&[a], &[b, d], 3).unwrap();
            pair.driver.add_indirect(Segment::new(0x2800, 64), &[a, c], &[b], 4).unwrap();
            let _ = pair.driver.publish();
            let mut seen = Vec::new();
            let mut burst = pair.device.burst();
            let served = burst.serve(&mut [Segment::default(); 4], 4, |readable, writable| {
                seen.push((readable.to_vec(), writable.to_vec()));
                6
            });
            assert_eq!(served.unwrap(), 4, "{features:?} in round {round}");
            let _ = burst.publish();
            let expected =
                [(vec![a], vec![]), (vec![], vec![b]), (vec![a], vec![b, d]), (vec![a, c], vec![b])];
            assert_eq!(seen, expected);
            let used: Vec<_> = std::iter::from_fn(|| pair.reap()).collect();
            assert_eq!(used, [(1, 0), (2, 5), (3, 6), (4, 5)]);
        }
    }
}

/// The first chain of a burst was too long, and the second was not.
#[test]
fn serve_needs_no_storage_for_chains_of_one_segment() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let _ = (pair.offer(&[BYTE], &[], 1), pair.offer(&[], &[BYTE], 2));
        let mut burst = pair.device.burst();
        let work = |readable: &[Segment], writable: &[Segment]| {
            assert_eq!([readable, writable].concat(), [BYTE]);
            1
        };
        assert_eq!(burst.serve(&mut [], 4, work), Ok(2));
        let _ = burst.publish();
        assert_eq!([pair.reap(), pair.reap()], [Some((1, 0)), Some((2, 1))]);
    }
}

/// A burst on a queue that is suspended, or that a violation has stopped, finds nothing.
#[test]
fn a_burst_on_a_queue_that_does_not_run_does_nothing() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let _ = pair.offer(&[BYTE], &[], 1);
        let _ = (pair.driver.suspend(), pair.device.suspend());
        let positions: (Position, Position) = (pair.driver.position(), pair.device.position());
        let mut burst = pair.driver.burst();
        assert_eq!(burst.add(&[BYTE], &[], 2).unwrap_err().kind, AddErrorKind::NotRunning);
        assert!(burst.reap().unwrap().is_none());
        assert_eq!(burst.publish(), Notify::NotNeeded);
        let mut burst = pair.device.burst();
        assert_eq!(burst.pop(&mut [Segment::default()]), Ok(None));
        assert_eq!(burst.serve(&mut [Segment::default()], 1, |_, _| 0), Ok(0));
        assert_eq!(burst.publish(), Notify::NotNeeded);
        assert_eq!((pair.driver.position(), pair.device.position()), positions);
        assert_eq!((pair.driver.free(), pair.driver.in_flight()), (3, 1));
        pair.driver.resume();
        pair.device.resume(positions.1).unwrap();
        let token = pair.take();
        let _ = pair.finish(token, 0);
        assert_eq!(pair.reap(), Some((1, 0)));
    }
}

/// A buffer in a table is added between two buffers in the ring, all in one burst.
#[test]
fn a_burst_adds_through_a_table_between_its_other_buffers() {
    for features in ORDERS.map(|order| order | INDIRECT) {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let (table, other) = (Segment::new(0x2800, 64), Segment::new(BUFFERS + 8, 3));
        for _ in 0..5 {
            let mut burst = pair.driver.burst();
            burst.add(&[BYTE], &[], 1).unwrap();
            burst.add_indirect(table, &[BYTE, other], &[other], 2).unwrap();
            burst.add(&[other], &[BYTE], 3).unwrap();
            let refused = burst.add_indirect(table, &[BYTE], &[], 4).unwrap_err();
            assert_eq!((refused.kind, refused.cookie), (AddErrorKind::Full { needed: 1, free: 0 }, 4));
            let _ = burst.publish();
            for segments in [(&[BYTE][..], &[][..]), (&[BYTE, other], &[other]), (&[other], &[BYTE])] {
                let mut storage = [Segment::default(); 3];
                let chain = pair.device.pop(&mut storage).unwrap().unwrap();
                assert_eq!((chain.readable(), chain.writable()), segments, "{features:?}");
                let token = chain.into_token();
                let _ = pair.finish(token, 0);
            }
            assert_eq!([pair.reap(), pair.reap(), pair.reap()].map(|used| used.unwrap().0), [1, 2, 3]);
        }
    }
}

/// A device with a journal records chains in the burst that takes or completes them.
#[test]
fn a_burst_records_the_chains_that_are_in_flight() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let _ = (pair.offer(&[BYTE], &[BYTE], 1), pair.offer(&[BYTE], &[], 2));
        let first = pair.take();
        let record = pair.device.record(&first);
        let mut burst = pair.device.burst();
        assert_eq!(burst.record(&first), record);
        let second = burst.pop(&mut [Segment::default()]).unwrap().unwrap().into_token();
        let taken = burst.record(&second).unwrap();
        assert_eq!((taken.serial, taken.writable), (record.unwrap().serial + 1, 0));
        drop(burst);
        assert_eq!(pair.device.record(&second), Some(taken));
    }
}
