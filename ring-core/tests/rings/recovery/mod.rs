//! Devices that crash at any step: the next device takes over from the journal, and the driver gets
//! each buffer back exactly once.

mod rig;

use proptest::prelude::*;
use rig::{Rig, Step, five, step};
use ring_core::memory::RawMemory;
use ring_core::{ChainRecord, CompleteError, Notify, SetupError};
use support::{DESCRIPTORS, ORDERS, ZEROED, cases, device_queue, reset_device};

const RECORD: ChainRecord = ChainRecord { serial: 2, writable: 8, id: 1, count: 2 };

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(1000)) })]

    #[test]
    fn each_buffer_comes_back_exactly_once_wherever_the_device_crashes(
        steps in prop::collection::vec(step(), 1..150), features in 0usize..4,
    ) {
        let mut words = ZEROED;
        let mut rig = Rig::new(RawMemory::from_mut(&mut words, DESCRIPTORS), ORDERS[features]);
        steps.into_iter().for_each(|step| rig.perform(step));
        rig.settle();
        let mut returned = rig.returned.clone();
        returned.sort_unstable();
        prop_assert_eq!(returned, (0..rig.added.len()).collect::<Vec<_>>());
    }
}

#[test]
fn a_chain_that_cannot_have_been_in_flight_is_not_adopted() {
    for features in ORDERS {
        let mut words = ZEROED;
        let setup = five(features);
        let mut device = device_queue(RawMemory::from_mut(&mut words, DESCRIPTORS), &setup);
        device.recover(device.position().used, 3).unwrap();
        let _token = device.adopt(RECORD).unwrap();
        for bad in [
            RECORD,
            ChainRecord { id: setup.size, ..RECORD },
            ChainRecord { id: 2, serial: 0, ..RECORD },
            // The records are not in the order in which the chains were taken.
            ChainRecord { id: 2, serial: 1, ..RECORD },
            ChainRecord { id: 2, serial: 5, ..RECORD },
            ChainRecord { id: 2, serial: 1 << 63 | 1, ..RECORD },
            ChainRecord { id: 2, count: 0, ..RECORD },
            ChainRecord { id: 2, count: setup.size - 1, ..RECORD },
        ] {
            assert_eq!(device.adopt(bad), Err(SetupError::ChainRecord(bad)));
        }
    }
}

#[test]
fn a_chain_is_adopted_once() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut device = device_queue(RawMemory::from_mut(&mut words, DESCRIPTORS), &five(features));
        device.recover(device.position().used, 3).unwrap();
        let token = device.adopt(RECORD).unwrap();
        device.complete(token, 8).unwrap();
        let _ = device.publish();
        assert_eq!(device.adopt(RECORD), Err(SetupError::ChainRecord(RECORD)));
    }
}

#[test]
fn no_chain_is_adopted_after_one_that_was_popped() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut rig = Rig::new(RawMemory::from_mut(&mut words, DESCRIPTORS), features);
        rig.device.recover(rig.device.position().used, 3).unwrap();
        [Step::Add(1), Step::Take].into_iter().for_each(|step| rig.perform(step));
        let position = rig.device.position();
        // The popped chain is at the position of the chain to adopt, so the next chain would be
        // skipped.
        assert_eq!(rig.device.adopt(RECORD), Err(SetupError::ChainRecord(RECORD)));
        assert_eq!(rig.device.position(), position);
    }
}

#[test]
fn a_suspended_device_adopts_no_chain() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut device = device_queue(RawMemory::from_mut(&mut words, DESCRIPTORS), &five(features));
        device.recover(device.position().used, 3).unwrap();
        let (position, _) = device.suspend();
        assert_eq!(device.adopt(RECORD), Err(SetupError::ChainRecord(RECORD)));
        assert_eq!(device.position(), position);
    }
}

#[test]
fn a_token_is_not_valid_for_a_chain_that_another_device_has_taken() {
    for features in ORDERS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut rig = Rig::new(memory.clone(), features);
        [Step::Add(1), Step::Take].into_iter().for_each(|step| rig.perform(step));
        let Rig { mut device, mut tokens, .. } = rig;
        reset_device(&mut device, &memory, &five(features));
        let used = device.position().used;
        let (token, record) = tokens.remove(0);
        assert_eq!(device.recover(used, 1), Err(SetupError::Recovery { last: 1, taken: 1 }));
        assert_eq!(device.adopt(record), Err(SetupError::ChainRecord(record)));
        assert_eq!(device.complete(token, 8), Err(CompleteError::Stale));
    }
}

#[test]
fn a_journal_that_counts_more_chains_than_there_can_be_is_refused() {
    for features in ORDERS {
        for last in [u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 62] {
            let mut words = ZEROED;
            let mut rig = Rig::new(RawMemory::from_mut(&mut words, DESCRIPTORS), features);
            let before = rig.device.position();
            let elsewhere = before.used + 1;
            assert_eq!(rig.device.recover(elsewhere, last), Err(SetupError::Recovery { last, taken: 0 }));
            assert_eq!(rig.device.position(), before);
            [Step::Add(1), Step::Add(2)].into_iter().for_each(|step| rig.perform(step));
            rig.settle();
            assert_eq!(rig.returned, [0, 1]);
        }
    }
}

#[test]
fn the_next_device_announces_what_a_crashed_device_published_silently() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut rig = Rig::new(RawMemory::from_mut(&mut words, DESCRIPTORS), features);
        [Step::Add(1), Step::Take].into_iter().for_each(|step| rig.perform(step));
        rig.complete_at(0);
        rig.perform(Step::Stage);
        rig.device.publish_silently();
        rig.perform(Step::Crash);
        assert_eq!((rig.tokens.len(), rig.device.publish()), (0, Notify::Needed));
    }
}
