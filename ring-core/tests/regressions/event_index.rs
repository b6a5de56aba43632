//! Deciding about notifications.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Arm, Features, Notify, Segment};

use crate::peer::{self, FORMATS, get16, put16};
use crate::support::{
    BUFFERS, DESCRIPTORS, DEVICE, DRIVER, DeviceEnd, DriverEnd, EVENT_IDX, PACKED, SPLIT, ZEROED, device_end,
    driver_end, setup,
};
use crate::watched::{Access, Watched};

const BYTE: Segment = Segment::new(BUFFERS, 1);
/// `avail_event` of a split queue of eight.
const AVAILABLE_EVENT: u64 = DEVICE + 4 + 8 * 8;

type Ends<'m> = (DriverEnd<RawMemory<'m>, ()>, DeviceEnd<RawMemory<'m>>);

fn ends<'m>(memory: &RawMemory<'m>, features: Features) -> Ends<'m> {
    peer::ends(memory, &setup(8, features))
}

/// Makes buffers of one descriptor available.
fn add((driver, _): &mut Ends<'_>, count: usize) -> Notify {
    (0..count).for_each(|_| driver.add(&[BYTE], &[], ()).unwrap());
    driver.publish()
}

/// Takes all there is and returns it.
fn serve((driver, device): &mut Ends<'_>) -> usize {
    let mut served = 0;
    while let Some(chain) = device.pop(&mut [Segment::default()]).unwrap() {
        device.complete(chain.into_token(), 0).unwrap();
        served += 1;
    }
    device.publish_silently();
    while driver.reap().unwrap().is_some() {}
    served
}

/// virtio-drivers 0.13: with batches of five, both batches that went from 65535 to 0 made no notification, and the
/// device slept for ever.
#[test]
fn a_device_that_armed_is_notified_of_every_batch() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut ends = ends(&memory, format | EVENT_IDX);
        for batch in 0..2 * 65536 / 5 {
            assert_eq!(ends.1.arm(), Arm::Armed);
            assert_eq!(add(&mut ends, 5), Notify::Needed, "batch {batch}");
            assert_eq!(serve(&mut ends), 5);
        }
    }
}

/// virtio-drivers 0.13: while the device polled, and its event was a thing of the past, every batch made a
/// notification. A split queue's event comes around again with the index, once in 65536 buffers.
#[test]
fn a_device_that_polls_is_left_in_peace() {
    for (format, expected) in [(SPLIT, 2), (PACKED, 0)] {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut ends = ends(&memory, format | EVENT_IDX);
        let _ = add(&mut ends, 1);
        assert_eq!(serve(&mut ends), 1);
        let mut notified = 0;
        for _ in 0..2 * 65536 / 5 + 1 {
            notified += u32::from(add(&mut ends, 5).is_needed());
            assert_eq!(serve(&mut ends), 5);
        }
        assert_eq!(notified, expected, "{format:?}");
    }
}

/// OpenVMM compares a packed event with the position for equality; hermit #1274 with the last one; Linux and this
/// library ask whether it was passed. crosvm forgets that the event can be of the lap before.
#[test]
fn an_event_inside_a_batch_or_a_chain_is_due() {
    for start in 0..16 {
        for event in 0..5 {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let mut ends = ends(&memory, PACKED | EVENT_IDX);
            for _ in 0..start {
                let _ = add(&mut ends, 1);
                assert_eq!(serve(&mut ends), 1);
            }
            // The device asks for a descriptor ahead; five are published, as one of two and one of three.
            let at = start + event;
            let cursor = (at % 8) | (1 - at / 8 % 2) << 15;
            put16(&memory, DEVICE, cursor);
            put16(&memory, DEVICE + 2, 2);
            ends.0.add(&[BYTE; 2], &[], ()).unwrap();
            assert_eq!(ends.0.publish().is_needed(), event < 2, "{start} {event}");
            ends.0.add(&[BYTE; 3], &[], ()).unwrap();
            assert_eq!(ends.0.publish().is_needed(), event >= 2, "{start} {event}");
        }
    }
}

/// virtio-drivers #121, virtio-win #314: the event was not moved, so notifications came late or for nothing.
/// virtio-spec #35: a device that does not move its event is not notified until the index comes around.
#[test]
fn arming_moves_the_event_to_the_next_buffer() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut ends = ends(&memory, SPLIT | EVENT_IDX);
    let _ = add(&mut ends, 3);
    assert_eq!(serve(&mut ends), 3);
    assert_eq!((ends.0.arm(), ends.1.arm()), (Arm::Armed, Arm::Armed));
    assert_eq!((get16(&memory, DRIVER + 4 + 2 * 8), get16(&memory, AVAILABLE_EVENT)), (3, 3));
    // With event indices the flags stay 0 (VIRTIO 1.4, 2.7.7 and 2.7.10).
    assert_eq!((get16(&memory, DRIVER), get16(&memory, DEVICE)), (0, 0));
}

/// cloud-hypervisor #897: the event was read long before it was used.
#[test]
fn the_wish_is_read_after_publishing() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let watched = Watched::new(memory);
        let mut driver = driver_end(watched.clone(), &setup(8, features));
        driver.add(&[BYTE], &[], ()).unwrap();
        watched.accesses();
        let _ = driver.publish();
        let accesses = watched.accesses();
        assert!(
            matches!(accesses[..], [Access::Write { .. }, Access::Fence, Access::Read { .. }]),
            "{features:?}: {accesses:?}"
        );
    }
}

/// cloud-hypervisor #2179, SPDK #3178: a full barrier belongs between the wish and the last look.
#[test]
fn the_last_look_comes_after_the_wish() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let watched = Watched::new(memory);
        let mut device = device_end(watched.clone(), &setup(8, features));
        watched.accesses();
        assert_eq!(device.arm(), Arm::Armed);
        let accesses = watched.accesses();
        assert!(
            matches!(accesses[..], [Access::Write { .. }, Access::Fence, Access::Read { .. }]),
            "{features:?}: {accesses:?}"
        );
    }
}

/// Both fields of a packed event structure are one word: the new mode is never seen with an old position.
#[test]
fn a_packed_event_is_one_store() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let watched = Watched::new(memory.clone());
    let mut device = device_end(watched.clone(), &setup(8, PACKED | EVENT_IDX));
    watched.accesses();
    let _ = device.arm();
    assert_eq!(watched.accesses().first(), Some(&Access::Write { address: DEVICE, len: 4 }));
    let mut event = [0; 4];
    memory.read_bytes(DEVICE, &mut event).unwrap();
    assert_eq!(event, [0, 0x80, 2, 0]);
}
