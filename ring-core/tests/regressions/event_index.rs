//! Decisions about notifications.

use ring_core::memory::{Memory as _, RawMemory, Store};
use ring_core::{Arm, Features, Notify, Segment};

use crate::peer::{get16, put16};
use support::{
    Access, BUFFERS, DESCRIPTORS, DEVICE, DRIVER, EVENT_IDX, FORMATS, PACKED, Pair, SPLIT, Watched, ZEROED,
    device_queue, driver_queue, setup,
};

const BYTE: Segment = Segment::new(BUFFERS, 1);
/// The address of `avail_event` in a split queue of eight.
const AVAILABLE_EVENT: u64 = DEVICE + 4 + 8 * 8;

fn pair<'m>(memory: &RawMemory<'m>, features: Features) -> Pair<RawMemory<'m>> {
    Pair::new(memory, &setup(8, features))
}

/// Makes a batch of buffers of one descriptor available.
fn offer(pair: &mut Pair<RawMemory<'_>>, count: u32) -> Notify {
    for cookie in 0..count {
        pair.driver.add(&[BYTE], &[], cookie).unwrap();
    }
    pair.driver.publish()
}

/// Completes all available buffers and reaps them. Returns their number.
fn serve(pair: &mut Pair<RawMemory<'_>>) -> usize {
    let Pair { driver, device } = pair;
    let mut served = 0;
    while let Some(chain) = device.pop(&mut [Segment::default()]).unwrap() {
        device.complete(chain.into_token(), 0).unwrap();
        served += 1;
    }
    device.publish_silently();
    while driver.reap().unwrap().is_some() {}
    served
}

/// virtio-drivers 0.13: with batches of five, neither batch that crossed index 65535 caused a
/// notification, and the device slept for ever.
#[test]
fn an_armed_device_is_notified_of_every_batch() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = pair(&memory, format | EVENT_IDX);
        for batch in 0..2 * 65536 / 5 {
            assert_eq!(pair.device.arm(), Arm::Armed);
            assert_eq!(offer(&mut pair, 5), Notify::Needed, "batch {batch}");
            assert_eq!(serve(&mut pair), 5);
        }
    }
}

/// virtio-drivers 0.13: while the device polled and its event was in the past, every batch caused a
/// notification. The event of a split queue recurs with the index, once in 65536 buffers.
#[test]
fn a_polling_device_is_notified_at_most_once_per_65536_buffers() {
    for (format, expected) in [(SPLIT, 2), (PACKED, 0)] {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = pair(&memory, format | EVENT_IDX);
        let _ = offer(&mut pair, 1);
        assert_eq!(serve(&mut pair), 1);
        let mut notified = 0;
        for _ in 0..2 * 65536 / 5 + 1 {
            notified += u32::from(offer(&mut pair, 5).is_needed());
            assert_eq!(serve(&mut pair), 5);
        }
        assert_eq!(notified, expected, "{format:?}");
    }
}

/// An event is due when the position passes it. OpenVMM compares a packed event with the position
/// for equality. hermit #1274 compares the event with the last position. crosvm misses that the
/// event can belong to the previous lap.
#[test]
fn an_event_inside_a_batch_or_a_chain_is_due() {
    for start in 0..16 {
        for event in 0..5 {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let mut pair = pair(&memory, PACKED | EVENT_IDX);
            for _ in 0..start {
                let _ = offer(&mut pair, 1);
                assert_eq!(serve(&mut pair), 1);
            }
            // The device asks for a descriptor that is not published yet. Five descriptors are
            // published: two, then three.
            let at = start + event;
            let cursor = (at % 8) | (1 - at / 8 % 2) << 15;
            put16(&memory, DEVICE, cursor);
            put16(&memory, DEVICE + 2, 2);
            pair.driver.add(&[BYTE; 2], &[], 0).unwrap();
            assert_eq!(pair.driver.publish().is_needed(), event < 2, "{start} {event}");
            pair.driver.add(&[BYTE; 3], &[], 1).unwrap();
            assert_eq!(pair.driver.publish().is_needed(), event >= 2, "{start} {event}");
        }
    }
}

/// virtio-drivers #121, virtio-win #314: the event was not moved, so notifications came late or
/// without reason. virtio-spec #35: a device that does not move its event is not notified until the
/// index recurs.
#[test]
fn arming_moves_the_event_to_the_next_buffer() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut pair = pair(&memory, SPLIT | EVENT_IDX);
    let _ = offer(&mut pair, 3);
    assert_eq!(serve(&mut pair), 3);
    assert_eq!((pair.driver.arm(), pair.device.arm()), (Arm::Armed, Arm::Armed));
    assert_eq!((get16(&memory, DRIVER + 4 + 2 * 8), get16(&memory, AVAILABLE_EVENT)), (3, 3));
    // With event indices the flags stay 0: VIRTIO 1.4, 2.7.7 "Used Buffer Notification Suppression"
    // and 2.7.10 "Available Buffer Notification Suppression".
    assert_eq!((get16(&memory, DRIVER), get16(&memory, DEVICE)), (0, 0));
}

/// cloud-hypervisor #897: the event was read long before the decision.
#[test]
fn the_event_is_read_after_the_publish() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let watched = Watched::new(memory);
        let mut driver = driver_queue(watched.clone(), &setup(8, features));
        driver.add(&[BYTE], &[], ()).unwrap();
        watched.accesses();
        let _ = driver.publish();
        let accesses = watched.accesses();
        assert!(
            matches!(accesses[..], [Access::Store { .. }, Access::Fence, Access::Load { .. }]),
            "{features:?}: {accesses:?}"
        );
    }
}

/// cloud-hypervisor #2179, SPDK #3178: there was no full barrier between the store of the event and
/// the last load.
#[test]
fn arming_checks_the_queue_after_the_store_of_the_event() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let watched = Watched::new(memory);
        let mut device = device_queue(watched.clone(), &setup(8, features));
        watched.accesses();
        assert_eq!(device.arm(), Arm::Armed);
        let accesses = watched.accesses();
        assert!(
            matches!(accesses[..], [Access::Store { .. }, Access::Fence, Access::Load { .. }]),
            "{features:?}: {accesses:?}"
        );
    }
}

/// Both fields of a packed event structure are one word, so that no reader sees the new mode with
/// an old position.
#[test]
fn a_packed_event_is_one_store() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let watched = Watched::new(memory.clone());
    let mut device = device_queue(watched.clone(), &setup(8, PACKED | EVENT_IDX));
    watched.accesses();
    let _ = device.arm();
    let store = Access::Store { address: DEVICE, len: 4, order: Store::Relaxed };
    assert_eq!(watched.accesses().first(), Some(&store));
    let mut event = [0; 4];
    memory.read_bytes(DEVICE, &mut event).unwrap();
    assert_eq!(event, [0, 0x80, 2, 0]);
}
