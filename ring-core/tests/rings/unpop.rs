//! A device that gives back what it has taken. The driver and the next device notice no difference.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{CompleteError, Features, Position, Segment, Setup};
use support::{
    BUFFERS, DESCRIPTORS, DRIVER, ORDERS, PACKED, Pair, SPLIT, ZEROED, device_queue, reset_device, setup,
};

/// A queue of five descriptors where the format allows it, so that laps end anywhere.
fn five(features: Features) -> Setup {
    setup(if features.contains(PACKED) { 5 } else { 4 }, features)
}

/// Makes a buffer of `count` writable segments available.
fn offer(pair: &mut Pair<RawMemory<'_>>, cookie: u32, count: usize) {
    let segments = [Segment::new(BUFFERS, 8); 4];
    let _ = pair.offer(&[], &segments[..count], cookie);
}

fn reap(pair: &mut Pair<RawMemory<'_>>) -> Option<u32> {
    pair.reap().map(|(cookie, _)| cookie)
}

#[test]
fn chains_given_back_newest_first_are_taken_again_in_order() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &five(features));
        // There are many rounds, so that the rings wrap around at different positions.
        for cookie in (0..300).step_by(10) {
            offer(&mut pair, cookie, 1);
            offer(&mut pair, cookie + 1, 2);
            let before = pair.device.position();
            let (first, second) = (pair.take(), pair.take());
            pair.device.unpop(second).unwrap();
            pair.device.unpop(first).unwrap();
            assert_eq!(pair.device.position(), before);
            let (first, second) = (pair.take(), pair.take());
            pair.device.complete(first, 8).unwrap();
            let _ = pair.finish(second, 16);
            assert_eq!([0; 3].map(|_| reap(&mut pair)), [Some(cookie), Some(cookie + 1), None]);
        }
    }
}

/// Chains other than the newest can still be completed.
#[test]
fn only_the_newest_chain_can_be_given_back() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &five(features));
        (0..3).for_each(|cookie| offer(&mut pair, cookie, 1));
        let [first, second, third] = [pair.take(), pair.take(), pair.take()];
        let Err(CompleteError::NotNewest(first)) = pair.device.unpop(first) else {
            panic!("the first of three chains was given back")
        };
        pair.device.complete(third, 8).unwrap();
        // The third chain has been returned, and would be taken again after an unpop of the second
        // chain.
        let Err(CompleteError::NotNewest(second)) = pair.device.unpop(second) else {
            panic!("a chain before a returned one was given back")
        };
        pair.device.complete(second, 8).unwrap();
        let _ = pair.finish(first, 8);
        let mut returned = [0; 3].map(|_| reap(&mut pair).unwrap());
        returned.sort_unstable();
        assert_eq!(returned, [0, 1, 2]);
    }
}

#[test]
fn another_device_continues_with_what_was_given_back() {
    for features in ORDERS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &five(features));
        (0..3).for_each(|cookie| offer(&mut pair, cookie, 1));
        let [first, second, third] = [pair.take(), pair.take(), pair.take()];
        pair.device.complete(first, 8).unwrap();
        pair.device.unpop(third).unwrap();
        pair.device.unpop(second).unwrap();
        let (position, _) = pair.device.suspend();
        pair.device = device_queue(memory, &five(features));
        pair.device.resume(position).unwrap();
        for _ in 0..2 {
            let token = pair.take();
            pair.device.complete(token, 8).unwrap();
        }
        let _ = pair.device.publish();
        assert_eq!([0; 4].map(|_| reap(&mut pair)), [Some(0), Some(1), Some(2), None]);
    }
}

#[test]
fn a_stale_token_is_refused() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut pair = Pair::new(&memory, &five(SPLIT));
    offer(&mut pair, 0, 1);
    let token = pair.take();
    memory.write_bytes(DRIVER, &[0; 4]).unwrap();
    reset_device(&mut pair.device, &memory, &five(SPLIT));
    pair.device.resume(Position { available: 1, used: 1 }).unwrap();
    assert_eq!(pair.device.unpop(token), Err(CompleteError::Stale));
}
