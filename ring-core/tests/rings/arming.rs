//! When an end is notified, and what it is told before it sleeps.

use ring_core::memory::{AlignedWord, RawMemory};
use ring_core::{Arm, Features, Notify, Segment, Setup};
use support::{
    BUFFERS, DESCRIPTORS, EVENT_IDX, FORMATS, IN_ORDER, ORDERS, PACKED, Pair, SUPPRESSION, ZEROED,
    device_queue, setup,
};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// Room for a queue of 64.
const LARGE: [AlignedWord; 0x400] = [AlignedWord::ZERO; 0x400];

/// Returns the configuration of a queue of `size` descriptors at address 0.
fn large(size: u16, features: Features) -> Setup {
    let (setup, _) = Setup::contiguous(0, size, features).unwrap();
    setup
}

/// A device that slept with staged chains was never woken, nor was a driver with staged buffers.
#[test]
fn an_end_with_staged_buffers_is_not_armed() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        pair.driver.add(&[BYTE], &[], 0).unwrap();
        assert_eq!(pair.driver.arm(), Arm::Unpublished);
        pair.driver.publish_silently();
        assert_eq!(pair.driver.arm(), Arm::Armed);

        let token = pair.take();
        pair.device.complete(token, 0).unwrap();
        assert_eq!(pair.device.arm(), Arm::Unpublished);
        pair.device.publish_silently();
        assert_eq!(pair.device.arm(), Arm::Armed);
    }
}

/// A loop that sleeps when the queue is armed slept for ever after a violation.
#[test]
fn an_end_that_does_not_run_is_not_armed() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let _ = (pair.driver.suspend(), pair.device.suspend());
        assert_eq!((pair.driver.arm(), pair.device.arm()), (Arm::Stopped, Arm::Stopped));
        pair.driver.resume();
        pair.device.resume(pair.device.position()).unwrap();
        assert_eq!((pair.driver.arm(), pair.device.arm()), (Arm::Armed, Arm::Armed));
    }
}

/// Offers `count` buffers of one byte, one by one. Returns the number of kicks.
fn offer_all(pair: &mut Pair<RawMemory<'_>>, count: u32) -> usize {
    (0..count).filter(|cookie| pair.offer(&[BYTE], &[], *cookie).is_needed()).count()
}

/// As with Linux's `virtqueue_enable_cb_delayed`: with a delay of three quarters of the buffers in
/// flight, 64 buffers cost a few interrupts.
#[test]
fn delayed_arming_costs_four_interrupts_for_64_buffers() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = LARGE;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, 0), &large(64, features));
        offer_all(&mut pair, 64);
        let tokens: Vec<_> = (0..64).map(|_| pair.take()).collect();
        assert_eq!(pair.driver.arm_after(48), Arm::Armed);
        let (mut interrupts, mut reaped) = (0, 0);
        for token in tokens {
            if pair.finish(token, 0).is_needed() {
                interrupts += 1;
                while pair.reap().is_some() {
                    reaped += 1;
                }
                assert_eq!(pair.driver.arm_after(pair.driver.in_flight() * 3 / 4), Arm::Armed);
            }
        }
        assert_eq!((interrupts, reaped), (4, 64), "{features:?}");
    }
}

/// The counterpart for a device that gets batches of 16 from a driver that offers one by one.
#[test]
fn delayed_arming_costs_four_kicks_for_64_buffers() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = LARGE;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, 0), &large(64, features));
        assert_eq!(pair.device.arm_after(16), Arm::Armed);
        let (mut kicks, mut taken) = (0, 0);
        for cookie in 0..64 {
            if pair.offer(&[BYTE], &[], cookie).is_needed() {
                kicks += 1;
                while pair.device.pending() {
                    let _ = pair.take();
                    taken += 1;
                }
                assert_eq!(pair.device.arm_after(16), Arm::Armed);
            }
        }
        assert_eq!((kicks, taken), (4, 64), "{features:?}");
    }
}

/// A notification that is requested for more buffers than can arrive would never be sent.
#[test]
fn a_delay_is_limited_to_what_is_in_flight() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        assert_eq!(pair.driver.arm_after(0), Arm::Armed);
        offer_all(&mut pair, 2);
        assert_eq!(pair.driver.arm_after(u16::MAX), Arm::Armed);
        let (first, second) = (pair.take(), pair.take());
        let early = pair.finish(first, 0);
        assert_eq!(early.is_needed(), !features.contains(EVENT_IDX));
        assert_eq!(pair.finish(second, 0), Notify::Needed);
        assert_eq!(pair.driver.arm_after(2), Arm::Pending);
    }
}

/// A ported driver that did not arm again got one interrupt and then none.
#[test]
fn an_end_that_is_always_armed_is_notified_of_every_buffer() {
    for features in SUPPRESSION.into_iter().chain([IN_ORDER | EVENT_IDX, IN_ORDER | PACKED]) {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        assert_eq!((pair.driver.arm_always(), pair.device.arm_always()), (Arm::Armed, Arm::Armed));
        for round in 0..20 {
            if round == 10 {
                let _ = (pair.driver.suspend(), pair.device.suspend());
                pair.driver.resume();
                pair.device.resume(pair.device.position()).unwrap();
            }
            for cookie in 0..3 {
                assert_eq!(pair.offer(&[BYTE], &[], cookie), Notify::Needed, "{features:?}");
                let token = pair.take();
                assert_eq!(pair.finish(token, 0), Notify::Needed, "{features:?}");
                assert_eq!(pair.reap(), Some((cookie, 0)));
            }
        }
        pair.driver.disarm();
        pair.device.disarm();
        assert_eq!(pair.offer(&[BYTE], &[], 0), Notify::NotNeeded);
        let token = pair.take();
        assert_eq!(pair.finish(token, 0), Notify::NotNeeded);
    }
}

/// Several buffers that become visible together cause one notification, and all of them are found.
#[test]
fn an_end_that_is_always_armed_finds_all_of_a_batch() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        assert_eq!((pair.driver.arm_always(), pair.device.arm_always()), (Arm::Armed, Arm::Armed));
        for _ in 0..5 {
            (0..3).for_each(|cookie| {
                pair.driver.add(&[BYTE], &[], cookie).unwrap();
            });
            assert_eq!(pair.driver.publish(), Notify::Needed);
            let tokens = [pair.take(), pair.take(), pair.take()];
            tokens.into_iter().for_each(|token| pair.device.complete(token, 0).unwrap());
            assert_eq!(pair.device.publish(), Notify::Needed);
            assert_eq!([0; 4].map(|_| pair.reap().is_some()), [true, true, true, false]);
        }
    }
}

/// In a split queue with `EVENT_IDX`, the request still named the entry of the adopted chain.
#[test]
fn a_device_that_adopts_a_chain_stays_always_armed() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        let _ = pair.offer(&[BYTE], &[], 0);
        let token = pair.take();
        let record = pair.device.record(&token).unwrap();
        let used = pair.device.position().used;

        pair.device = device_queue(memory, &setup(4, features));
        let _ = pair.device.arm_always();
        pair.device.recover(used, record.serial).unwrap();
        let adopted = pair.device.adopt(record).unwrap();
        assert_eq!(pair.device.pop(&mut []), Ok(None));
        assert_eq!(pair.offer(&[BYTE], &[], 1), Notify::Needed, "{features:?}");
        let _ = pair.finish(adopted, 0);
    }
}

#[test]
fn a_request_to_be_notified_can_be_withdrawn() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        for cookie in 0..10 {
            assert_eq!((pair.driver.arm(), pair.device.arm()), (Arm::Armed, Arm::Armed));
            pair.driver.disarm();
            pair.device.disarm();
            assert_eq!(pair.offer(&[BYTE], &[], cookie), Notify::NotNeeded, "{features:?}");
            let token = pair.take();
            assert_eq!(pair.finish(token, 0), Notify::NotNeeded, "{features:?}");
            assert_eq!(pair.reap(), Some((cookie, 0)));
        }
    }
}

#[test]
fn what_is_pending_can_be_seen_without_taking_it() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        assert!(!pair.driver.pending() && !pair.device.pending());
        offer_all(&mut pair, 2);
        assert!(pair.device.pending());
        let tokens = [pair.take(), pair.take()];
        assert!(!pair.device.pending());
        tokens.into_iter().for_each(|token| pair.device.complete(token, 0).unwrap());
        assert!(!pair.driver.pending());
        pair.device.publish_silently();
        for cookie in 0..2 {
            assert!(pair.driver.pending());
            assert_eq!(pair.reap(), Some((cookie, 0)));
        }
        assert!(!pair.driver.pending());
        offer_all(&mut pair, 1);
        let _ = pair.device.suspend();
        assert!(!pair.device.pending());
    }
}
