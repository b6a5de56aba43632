//! How a driver end treats a hostile device.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Arm, Notify, Segment, Violation};

use crate::peer::{get16, make_used, put16};
use support::{
    BUFFERS, DESCRIPTORS, DEVICE, FORMATS, HeapDriverQueue, Pair, SPLIT, ZEROED, driver_queue, reset_driver,
    setup,
};

const FOUR: Segment = Segment::new(BUFFERS, 4);

/// Publishes buffer 0 of two descriptors and buffer 1 of one descriptor, and adds buffer 2.
fn busy(driver: &mut HeapDriverQueue<RawMemory<'_>, u32>) {
    driver.add(&[FOUR], &[FOUR], 0).unwrap();
    driver.add(&[], &[FOUR], 1).unwrap();
    driver.publish_silently();
    driver.add(&[], &[FOUR], 2).unwrap();
}

/// Zephyr #113343, OSv #1450, RT-Thread #11326 and #11327, OpenAMP: an id that is not the head of a
/// chain in flight was accepted. virtio-drivers 0.13 takes 0x10003 for 3; libblkio 0.6.1 takes 4
/// for 0 in a queue of four.
#[test]
fn an_id_that_is_not_in_flight_is_reported_once() {
    for format in FORMATS {
        // In a split queue heads 0 and 2 are in flight and 3 is staged; in a packed queue ids 0 and
        // 1 are in flight and 2 is staged.
        let ids: &[u32] = if format == SPLIT { &[1, 3, 4, 0x1_0000, u32::MAX] } else { &[2, 3, 4, 0xffff] };
        for &id in ids {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let setup = setup(4, format);
            let mut driver = driver_queue(memory.clone(), &setup);
            busy(&mut driver);
            make_used(&memory, format, id, 0);
            assert_eq!(driver.reap(), Err(Violation::NotInFlight { id }), "{format:?}");
            assert_eq!(driver.reap(), Ok(None));
            assert_eq!((driver.publish(), driver.arm()), (Notify::NotNeeded, Arm::Stopped));
            // No cookie is lost: the reset returns them.
            assert_eq!(reset_driver(&mut driver, &memory, &setup), [0, 1, 2]);
        }
    }
}

/// RT-Thread #11327: a buffer that was returned twice was freed twice.
#[test]
fn a_buffer_comes_back_once() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut driver = driver_queue(memory.clone(), &setup(4, format));
        busy(&mut driver);
        make_used(&memory, format, 0, 4);
        assert_eq!(driver.reap().unwrap().unwrap().cookie, 0);
        if format == SPLIT {
            memory.write_bytes(DEVICE + 12, &[0; 8]).unwrap();
            put16(&memory, DEVICE + 2, 2);
        } else {
            let mut used = [0; 16];
            memory.read_bytes(DESCRIPTORS, &mut used).unwrap();
            memory.write_bytes(DESCRIPTORS + 32, &used).unwrap();
        }
        assert_eq!(driver.reap(), Err(Violation::NotInFlight { id: 0 }));
    }
}

/// virtio-drivers #245, coconut-svsm #1072: the length was used to cut a slice. libblkio 0.6.1
/// asserts.
#[test]
fn a_length_is_never_more_than_the_writable_bytes() {
    for format in FORMATS {
        for written in [0, 3, 4, 5, u32::MAX] {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let mut driver = driver_queue(memory.clone(), &setup(4, format));
            busy(&mut driver);
            make_used(&memory, format, 0, written);
            assert_eq!(driver.reap().unwrap().unwrap().written, written.min(4));
        }
    }
}

/// The bug is in OpenAMP, and at the other end in vm-virtio #196.
#[test]
fn a_used_index_that_jumps_is_refused() {
    for index in [3, 5, 0x8000, u16::MAX] {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut driver = driver_queue(memory.clone(), &setup(4, SPLIT));
        busy(&mut driver);
        put16(&memory, DEVICE + 2, index);
        let violation = Violation::UsedIndex { index, next: 0, in_flight: 2 };
        assert_eq!(driver.reap(), Err(violation));
    }
}

/// Linux "untrusted device" series, U-Boot "harden and test vring", libblkio 0.6.1: the driver read
/// links back from memory that the device can write.
#[test]
fn a_driver_does_not_read_the_descriptors_back() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut driver = driver_queue(memory.clone(), &setup(4, SPLIT));
    busy(&mut driver);
    memory.write_bytes(DESCRIPTORS, &[0xff; 64]).unwrap();
    make_used(&memory, SPLIT, 0, 0);
    assert_eq!(driver.reap().unwrap().unwrap().cookie, 0);
    assert_eq!(driver.free(), 2);
    // The two descriptors are used again, with correct links.
    driver.add(&[FOUR], &[FOUR], 3).unwrap();
    let flags_and_next = |slot: u64| [12, 14].map(|field| get16(&memory, DESCRIPTORS + 16 * slot + field));
    assert_eq!(flags_and_next(0), [1, 1]);
    assert_eq!(flags_and_next(1)[0], 2);
}

/// libblkio 0.6.1: without event indices, a counter of descriptors is never reset and overflows at
/// 65,536.
#[test]
fn no_counter_overflows_when_every_publish_is_silent() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let Pair { mut driver, mut device } = Pair::new(&memory, &setup(4, format));
        let mut segments = [Segment::default(); 4];
        for round in 0..0x1_0010_u32 {
            driver.add(&[FOUR], &[], round).unwrap();
            driver.publish_silently();
            let chain = device.pop(&mut segments).unwrap().unwrap();
            device.complete(chain.into_token(), 0).unwrap();
            device.publish_silently();
            assert_eq!(driver.reap().unwrap().unwrap().cookie, round);
        }
        // The number of unannounced buffers is unknown, so both ends must notify.
        assert!(driver.publish().is_needed() && device.publish().is_needed());
    }
}
