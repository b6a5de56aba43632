//! Full queues of the largest sizes: the arithmetic on their indices reaches its limits.

use ring_core::error::AddErrorKind;
use ring_core::memory::{AlignedWord, RawMemory};
use ring_core::{Arm, Features, Notify, Segment, Setup};
use support::{EVENT_IDX, HeapDeviceQueue, HeapDriverQueue, IN_ORDER, PACKED, SPLIT, queues};

const BYTE: Segment = Segment::new(0x10, 1);

/// The largest size of each format and the largest size of a packed queue that is not a power of
/// two, with each set of features that changes how the ends count.
fn cases() -> impl Iterator<Item = (u16, Features)> {
    let formats = [(32768, SPLIT), (32767, PACKED), (32768, PACKED)];
    let extras = [SPLIT, EVENT_IDX, EVENT_IDX | IN_ORDER];
    formats.into_iter().flat_map(move |(size, format)| extras.map(|extra| (size, format | extra)))
}

type Ends<'m> = (HeapDriverQueue<RawMemory<'m>, u16>, HeapDeviceQueue<RawMemory<'m>>);

fn ends(words: &mut Vec<AlignedWord>, size: u16, features: Features) -> Ends<'_> {
    let (setup, bytes) = Setup::contiguous(0x40, size, features).unwrap();
    words.resize(usize::try_from(0x40 + bytes).unwrap() / 8, AlignedWord::ZERO);
    queues(&RawMemory::from_mut(words, 0), &setup)
}

#[test]
fn a_full_queue_is_published_taken_and_returned_in_one_batch() {
    for (size, features) in cases() {
        let mut words = Vec::new();
        let (mut driver, mut device) = ends(&mut words, size, features);
        // The index of a split queue starts again from 0 after two of these laps.
        for lap in 0..3 {
            assert_eq!((driver.arm(), device.arm()), (Arm::Armed, Arm::Armed));
            for cookie in 0..size {
                driver.add(&[BYTE], &[], cookie).unwrap();
            }
            let full = driver.add(&[BYTE], &[], 0).unwrap_err().kind;
            assert_eq!(full, AddErrorKind::Full { free: 0, needed: 1 });
            assert_eq!(driver.publish(), Notify::Needed, "{features:?} {size} {lap}");

            let mut storage = [Segment::default()];
            let mut tokens = Vec::new();
            while let Some(chain) = device.pop(&mut storage).unwrap() {
                tokens.push(chain.into_token());
            }
            assert_eq!((tokens.len(), device.arm()), (size.into(), Arm::Armed));
            tokens.into_iter().for_each(|token| device.complete(token, 0).unwrap());
            assert_eq!(device.publish(), Notify::Needed, "{features:?} {size} {lap}");

            (0..size).for_each(|cookie| assert_eq!(driver.reap().unwrap().unwrap().cookie, cookie));
            assert_eq!((driver.reap(), driver.free()), (Ok(None), size));
        }
    }
}

#[test]
fn a_buffer_may_occupy_the_whole_queue() {
    for (size, features) in cases() {
        let mut words = Vec::new();
        let (mut driver, mut device) = ends(&mut words, size, features);
        let segments = vec![BYTE; size.into()];
        let mut storage = segments.clone();
        for cookie in 0..3 {
            let (readable, writable) = segments.split_at(usize::from(cookie));
            driver.add(readable, writable, cookie).unwrap();
            assert_eq!((driver.publish(), driver.free()), (Notify::Needed, 0));
            let chain = device.pop(&mut storage).unwrap().unwrap();
            assert_eq!((chain.readable(), chain.writable()), (readable, writable));
            let token = chain.into_token();
            let written = token.writable();
            device.complete(token, written).unwrap();
            assert_eq!((device.publish(), device.arm()), (Notify::Needed, Arm::Armed));
            let used = driver.reap().unwrap().unwrap();
            assert_eq!((used.cookie, used.written, driver.arm()), (cookie, written, Arm::Armed));
        }
    }
}
