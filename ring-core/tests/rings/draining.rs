//! A device that returns what it has taken after the driver has broken a rule.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Arm, Notify, PopError, Segment, SetupError};
use support::{BUFFERS, DESCRIPTORS, FORMATS, IN_ORDER, ORDERS, Pair, ZEROED, setup};

const BYTE: Segment = Segment::new(BUFFERS, 1);

type Rig<'m> = Pair<RawMemory<'m>>;

/// Makes a chain available that breaks a rule: its segment extends past the last address.
fn break_a_rule(memory: &RawMemory<'_>, pair: &mut Rig<'_>) {
    let _ = pair.offer(&[Segment::new(BUFFERS, 2)], &[], 9);
    for slot in 0..4 {
        let at = DESCRIPTORS + 16 * slot;
        let mut len = [0; 4];
        memory.read_bytes(at + 8, &mut len).unwrap();
        if u32::from_le_bytes(len) == 2 {
            memory.write_bytes(at, &u64::MAX.to_le_bytes()).unwrap();
        }
    }
    assert!(matches!(pair.device.pop(&mut [Segment::default()]), Err(PopError::Violation(_))));
}

#[test]
fn a_drained_queue_returns_what_was_taken_before_the_violation() {
    for features in ORDERS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        for cookie in 0..3 {
            let _ = pair.offer(&[BYTE], &[], cookie);
        }
        let [staged, first, second] = [pair.take(), pair.take(), pair.take()];
        pair.device.complete(staged, 0).unwrap();
        break_a_rule(&memory, &mut pair);

        pair.device.drain();
        pair.device.complete(second, 0).unwrap();
        pair.device.complete(first, 0).unwrap();
        assert_eq!(pair.device.publish(), Notify::Needed);
        let order = if features.contains(IN_ORDER) { [0, 1, 2] } else { [0, 2, 1] };
        assert_eq!([pair.reap(), pair.reap(), pair.reap()], order.map(|cookie| Some((cookie, 0))));

        assert_eq!(pair.device.pop(&mut [Segment::default()]), Ok(None));
        assert_eq!(pair.device.arm(), Arm::Stopped);
        let position = pair.device.position();
        assert_eq!(pair.device.resume(position), Err(SetupError::Broken));
        let _ = pair.device.suspend();
        assert_eq!(pair.device.resume(position), Err(SetupError::Broken));
    }
}

#[test]
fn by_default_a_violation_keeps_what_was_taken() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        for cookie in 0..2 {
            let _ = pair.offer(&[BYTE], &[], cookie);
        }
        let [staged, token] = [pair.take(), pair.take()];
        pair.device.complete(staged, 0).unwrap();
        break_a_rule(&memory, &mut pair);
        pair.device.complete(token, 0).unwrap();
        assert_eq!((pair.device.publish(), pair.reap()), (Notify::NotNeeded, None));
    }
}

#[test]
fn draining_has_no_effect_on_a_queue_that_runs() {
    for features in FORMATS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        pair.device.drain();
        (0..6).for_each(|cookie| pair.transfer(cookie));
    }
}
