//! The status of block requests: when the guest gets the status of the device, and when it gets an
//! error.

mod support;

use isolation_host::device_type::DeviceType;
use ring_core::Segment;
use ring_core::memory::Memory as _;
use support::stepped::{DATA, REMOVABLE, Stepped};

/// The status bytes `VIRTIO_BLK_S_OK`, `_IOERR` and `_UNSUPP`.
const OK: u8 = 0;
const FAILED: u8 = 1;
const UNSUPPORTED: u8 = 2;

/// The request types `VIRTIO_BLK_T_IN`, `_OUT`, `_FLUSH` and `_GET_ID`.
const READ: u32 = 0;
const WRITE: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;

/// The address of the status, behind the header.
const STATUS: u64 = DATA + 16;
/// The address of the data that a device writes.
const ANSWER: u64 = DATA + 0x1000;

/// Makes a block request with `room` bytes for the answer, at the address `answer`.
fn request(queue: &mut Stepped, kind: u32, answer: u64, room: u32) {
    let header = [u64::from(kind).to_le_bytes(), [0; 8]].concat();
    queue.memory.write_bytes(DATA, &header).unwrap();
    queue.memory.write_bytes(STATUS, &[0xee]).unwrap();
    let writable = [Segment::new(answer, room), Segment::new(STATUS, 1)];
    let writable = if room == 0 { &writable[1..] } else { &writable };
    queue.request(&[Segment::new(DATA, 16)], writable, 1);
}

/// Lets the device write `status`, if there is one, and claim `written` bytes. Returns the status
/// that the guest gets.
fn answer(queue: &mut Stepped, status: Option<u8>, written: u32) -> u8 {
    let (token, _, writable) = queue.take().unwrap();
    if let Some(status) = status {
        queue.window.write_bytes(writable.last().unwrap().address, &[status]).unwrap();
    }
    queue.complete(token, written);
    assert_eq!(queue.reap().map(|(cookie, _)| cookie), Some(1));
    queue.bytes(STATUS, 1)[0]
}

#[test]
fn a_status_that_the_device_did_not_write_is_an_error() {
    let mut queue = Stepped::new(DeviceType::Blk);
    for (kind, room) in [(READ, 512), (WRITE, 0), (FLUSH, 0), (GET_ID, 20)] {
        for written in [0, room, room + 1] {
            request(&mut queue, kind, ANSWER, room);
            assert_eq!(answer(&mut queue, None, written), FAILED, "type {kind}, {written} bytes");
        }
    }
}

#[test]
fn a_successful_read_that_returned_too_little_is_an_error() {
    let mut queue = Stepped::new(DeviceType::Blk);
    for (written, expected) in [(0, FAILED), (1, FAILED), (511, FAILED), (512, OK), (513, OK)] {
        request(&mut queue, READ, ANSWER, 512);
        assert_eq!(answer(&mut queue, Some(OK), written), expected, "{written} bytes");
    }
    request(&mut queue, READ, ANSWER, 512);
    assert_eq!(answer(&mut queue, Some(UNSUPPORTED), 0), UNSUPPORTED);
}

#[test]
fn the_length_of_other_requests_does_not_matter() {
    let mut queue = Stepped::new(DeviceType::Blk);
    for (kind, room) in [(WRITE, 0), (FLUSH, 0), (GET_ID, 20)] {
        for written in [0, 1, room, room + 1] {
            request(&mut queue, kind, ANSWER, room);
            assert_eq!(answer(&mut queue, Some(OK), written), OK, "type {kind}, {written} bytes");
        }
    }
}

#[test]
fn a_request_whose_memory_is_removed_fails() {
    let mut queue = Stepped::new(DeviceType::Blk);
    request(&mut queue, READ, REMOVABLE, 512);
    queue.remove_memory();
    assert_eq!(answer(&mut queue, Some(OK), 513), FAILED);

    let mut queue = Stepped::new(DeviceType::Generic);
    request(&mut queue, READ, REMOVABLE, 512);
    queue.remove_memory();
    let (token, ..) = queue.take().unwrap();
    queue.complete(token, 512);
    assert_eq!(queue.reap(), Some((1, 0)));
}
