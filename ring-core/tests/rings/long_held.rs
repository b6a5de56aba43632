//! A buffer that the device keeps while any number of other buffers overtake it.

use ring_core::memory::RawMemory;
use ring_core::{CompleteError, Position, Segment, SetupError, Token};
use support::{BUFFERS, DESCRIPTORS, FORMATS, Pair, ZEROED, setup};

const EIGHT: Segment = Segment::new(BUFFERS, 8);

/// Returns a queue of four whose device holds the chain of buffer 7 while `others` pass.
fn overtaken<'m>(
    memory: &RawMemory<'m>,
    features: ring_core::Features,
    others: u32,
) -> (Pair<RawMemory<'m>>, Token) {
    let mut pair = Pair::new(memory, &setup(4, features));
    let _ = pair.offer(&[EIGHT], &[], 7);
    let held = pair.take();
    (0..others).for_each(|cookie| pair.transfer(cookie));
    (pair, held)
}

#[test]
fn a_buffer_comes_back_however_many_others_have_overtaken_it() {
    for features in FORMATS {
        for others in [1, 32_767, 32_768, 40_000, 65_535, 65_536] {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let (mut pair, held) = overtaken(&memory, features, others);
            let _ = pair.finish(held, 0);
            assert_eq!(pair.reap(), Some((7, 0)), "{features:?} {others}");
        }
    }
}

#[test]
fn a_chain_that_others_have_overtaken_is_not_given_back() {
    for features in FORMATS {
        // These numbers bring the ring back to the position at which the held chain began.
        for others in [4, 8, 65_536] {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let (mut pair, held) = overtaken(&memory, features, others);
            let refused = pair.device.unpop(held).unwrap_err();
            assert!(matches!(refused, CompleteError::NotNewest(_)), "{features:?} {others}: {refused}");
            assert_eq!(pair.device.pop(&mut [Segment::default(); 4]).unwrap(), None);
        }
    }
}

#[test]
fn a_device_that_holds_chains_resumes_only_at_its_own_position() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        for cookie in 0..2 {
            let _ = pair.offer(&[EIGHT], &[], cookie);
        }
        let held = [pair.take(), pair.take()];
        let (position, _) = pair.device.suspend();
        for elsewhere in [position.used, position.available].map(Position::quiescent) {
            assert_eq!(pair.device.resume(elsewhere), Err(SetupError::InFlight { descriptors: 2 }));
        }
        pair.device.resume(position).unwrap();
        for token in held {
            let _ = pair.finish(token, 0);
        }
        assert_eq!([pair.reap(), pair.reap()], [Some((0, 0)), Some((1, 0))]);
    }
}

#[test]
fn a_chain_is_not_given_back_in_a_suspended_queue() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        let _ = pair.offer(&[EIGHT], &[], 7);
        let held = pair.take();
        let (position, _) = pair.device.suspend();
        let Err(CompleteError::Suspended(held)) = pair.device.unpop(held) else {
            panic!("the position is no longer {position:?}")
        };
        pair.device.resume(position).unwrap();
        pair.device.unpop(held).unwrap();
        assert!(pair.device.pop(&mut [Segment::default(); 4]).unwrap().is_some());
    }
}
