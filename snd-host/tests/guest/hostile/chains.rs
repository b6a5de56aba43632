//! Buffers with segments that no real driver uses.

use super::{BAD_MSG, Case, IO_ERR, prepared, run};
use crate::support::MEMORY_END;
use crate::support::{Guest, OK, counting, set_params, status_of, words};
use ring_core::Segment;
use ring_core::memory::Memory;
use snd_host::spec::{CONTROL_QUEUE, EVENT_QUEUE, RX_QUEUE, TX_QUEUE, request};

/// An address outside guest memory.
const NOWHERE: u64 = 1 << 40;

/// The length of a segment that leaves room for a status: a chain may have at most 4 GiB.
const MOST: u32 = u32::MAX - 16;

pub(super) const CASES: &[Case] = &[
    ("a request in segments of one byte", |guest| {
        let (address, answer) = (guest.allocate(), guest.allocate());
        guest.memory.write_bytes(address, &set_params(7680, 1920)).unwrap();
        assert_eq!(answered(guest, &bytes(address, 24), &bytes(answer, 4), answer), words(&[OK]));
    }),
    ("an answer in segments of one byte", |guest| {
        let (address, answer) = (guest.allocate(), guest.allocate());
        guest.memory.write_bytes(address, &words(&[request::PCM_INFO, 0, 1, 32])).unwrap();
        let info = answered(guest, &[Segment::new(address, 16)], &bytes(answer, 36), answer);
        assert_eq!((info.len(), status_of(&info)), (36, OK));
    }),
    ("a request in an indirect table", |guest| {
        let (address, answer, table) = (guest.allocate(), guest.allocate(), guest.allocate());
        guest.memory.write_bytes(address, &set_params(7680, 1920)).unwrap();
        let table = Segment::new(table, 28 * 16);
        guest.add_indirect(CONTROL_QUEUE, table, &bytes(address, 24), &bytes(answer, 4), answer);
        assert_eq!(guest.wait(CONTROL_QUEUE).written, 4);
    }),
    ("a request followed by pages of ones", |guest| {
        let request = [set_params(7680, 1920), vec![0xff; 8000]].concat();
        assert_eq!(guest.command(&request), OK);
    }),
    ("much more room for an answer than it needs", |guest| {
        assert_eq!(guest.request(&set_params(7680, 1920), 8000), words(&[OK]));
    }),
    ("a request at the end of memory, and one beyond the end", |guest| {
        let answer = guest.allocate();
        guest.memory.write_bytes(MEMORY_END - 8, &words(&[request::PCM_STOP, 0])).unwrap();
        for (start, len) in [(MEMORY_END - 8, 8), (MEMORY_END - 7, 8), (MEMORY_END - 8, MOST)] {
            let request = [Segment::new(start, len)];
            let written = answered(guest, &request, &[Segment::new(answer, 4)], answer);
            assert_eq!(written, words(&[BAD_MSG]));
        }
    }),
    ("room for an answer beyond the end of memory", |guest| {
        let address = guest.allocate();
        guest.memory.write_bytes(address, &words(&[request::PCM_STOP, 0])).unwrap();
        let room = [Segment::new(MEMORY_END - 2, 4)];
        assert_eq!(answered(guest, &[Segment::new(address, 8)], &room, address), [0u8; 0]);
    }),
    ("an answer that overwrites its request", |guest| {
        let address = guest.allocate();
        guest.memory.write_bytes(address, &words(&[request::PCM_INFO, 0, 1, 32])).unwrap();
        let info = answered(guest, &[Segment::new(address, 16)], &[Segment::new(address, 36)], address);
        assert_eq!(status_of(&info), OK);
    }),
    ("an answer whose segments are all the same byte", |guest| {
        let address = guest.allocate();
        guest.memory.write_bytes(address, &words(&[request::PCM_STOP, 0])).unwrap();
        let room = [Segment::new(address + 64, 1); 4];
        assert_eq!(answered(guest, &[Segment::new(address, 8)], &room, address).len(), 4);
    }),
    ("as many requests as the queue holds, all at once", |guest| {
        let (address, answer) = (guest.allocate(), guest.allocate());
        guest.memory.write_bytes(address, &words(&[request::PCM_START, 0])).unwrap();
        for index in 0..32 {
            let room = [Segment::new(answer + index * 4, 4)];
            guest.add(CONTROL_QUEUE, &[Segment::new(address, 8)], &room, index);
        }
        (0..32).for_each(|index| assert_eq!(guest.wait(CONTROL_QUEUE).cookie, index));
    }),
    ("audio in 52 segments", |guest| {
        prepared(guest, |guest| {
            let (address, status) = audio(guest, 1920);
            let segments: Vec<_> = (0..52).map(|index| Segment::new(address + index * 37, 37)).collect();
            guest.add(TX_QUEUE, &segments, &bytes(status, 8), status);
            run(guest, |guest| assert_eq!(guest.played().status, OK));
        });
    }),
    ("audio in an indirect table as long as the queue", |guest| {
        prepared(guest, |guest| {
            let (address, status) = audio(guest, 1920);
            let table = Segment::new(guest.allocate(), 64 * 16);
            let segments: Vec<_> = (0..56).map(|index| Segment::new(address + index * 4, 4)).collect();
            guest.add_indirect(TX_QUEUE, table, &segments, &bytes(status, 8), status);
            run(guest, |guest| assert_eq!(guest.played().status, OK));
        });
    }),
    ("a status that overwrites the audio", |guest| {
        prepared(guest, |guest| {
            let (address, _) = audio(guest, 1920);
            guest.add(
                TX_QUEUE,
                &[Segment::new(address, 1924)],
                &[Segment::new(address + 64, 8)],
                address + 64,
            );
            run(guest, |guest| assert_eq!(guest.played().status, OK));
        });
    }),
    ("a status that is not in memory", |guest| {
        prepared(guest, |guest| {
            let (address, _) = audio(guest, 1920);
            guest.add(TX_QUEUE, &[Segment::new(address, 1924)], &[Segment::new(NOWHERE, 8)], address);
            run(guest, |guest| assert_eq!(guest.wait(TX_QUEUE).written, 0));
        });
    }),
    ("a status that is half in memory", |guest| {
        prepared(guest, |guest| {
            let (address, status) = audio(guest, 1920);
            let room = [Segment::new(status, 4), Segment::new(NOWHERE, 4)];
            guest.add(TX_QUEUE, &[Segment::new(address, 1924)], &room, address);
            run(guest, |guest| assert!(guest.wait(TX_QUEUE).written <= 4));
        });
    }),
    ("a message of 4 GiB", |guest| {
        prepared(guest, |guest| {
            let (address, status) = audio(guest, 1920);
            refused_chain(guest, &[Segment::new(address, MOST)], status);
        });
    }),
    ("a message without a header", |guest| {
        let status = guest.allocate();
        refused_chain(guest, &[], status);
    }),
    ("a header that is not in memory", |guest| {
        let status = guest.allocate();
        refused_chain(guest, &[Segment::new(NOWHERE, 1924)], status);
    }),
    ("a header that is half in memory", |guest| {
        let status = guest.allocate();
        refused_chain(guest, &[Segment::new(MEMORY_END - 2, 4)], status);
    }),
    ("a request for audio without a header", |guest| {
        let address = guest.allocate();
        guest.add(RX_QUEUE, &[], &[Segment::new(address, 1928)], address);
        assert_eq!(guest.wait(RX_QUEUE).written, 8);
    }),
    ("a request for 4 GiB of audio, more than memory holds", |guest| {
        let address = guest.allocate();
        guest.memory.write_bytes(address, &words(&[0])).unwrap();
        guest.add(RX_QUEUE, &[Segment::new(address, 4)], &[Segment::new(address, MOST)], address);
        assert_eq!(guest.wait(RX_QUEUE).written, 0);
    }),
    ("event buffers that are too small, readable, or not in memory", |guest| {
        // The device keeps these buffers until it has an event.
        if guest.in_flight(EVENT_QUEUE) == 0 {
            let address = guest.allocate();
            guest.add(EVENT_QUEUE, &[], &[Segment::new(address, 1)], 0);
            guest.add(EVENT_QUEUE, &[Segment::new(address, 8)], &[], 1);
            guest.add(EVENT_QUEUE, &[], &[Segment::new(NOWHERE, 8)], 2);
        }
        guest.kick(EVENT_QUEUE);
    }),
    ("a thousand kicks of every queue without a buffer", |guest| {
        for queue in [CONTROL_QUEUE, EVENT_QUEUE, TX_QUEUE, RX_QUEUE] {
            (0..1000).for_each(|_| guest.kick(queue));
        }
    }),
];

/// Returns a segment for each of `len` bytes.
fn bytes(start: u64, len: u64) -> Vec<Segment> {
    (start..start + len).map(|byte| Segment::new(byte, 1)).collect()
}

/// Sends a request in these segments, and returns the bytes written at `answer`.
fn answered(guest: &mut Guest, readable: &[Segment], writable: &[Segment], answer: u64) -> Vec<u8> {
    guest.add(CONTROL_QUEUE, readable, writable, answer);
    let mut bytes = vec![0; guest.wait(CONTROL_QUEUE).written as usize];
    guest.memory.read_bytes(answer, &mut bytes).unwrap();
    bytes
}

/// Writes `len` bytes of audio for stream 0. Returns the addresses of message and status.
fn audio(guest: &mut Guest, len: u32) -> (u64, u64) {
    let (address, status) = (guest.allocate(), guest.allocate());
    let message = [words(&[0]), counting(0..len / 4)].concat();
    guest.memory.write_bytes(address, &message).unwrap();
    (address, status)
}

/// Sends a message in these segments that has to be refused.
fn refused_chain(guest: &mut Guest, readable: &[Segment], status: u64) {
    guest.add(TX_QUEUE, readable, &[Segment::new(status, 8)], status);
    assert_eq!(guest.played().status, IO_ERR);
}
