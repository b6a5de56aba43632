//! Buffers of shapes that no driver makes.

use super::{BAD_MSG, Case, IO_ERR, prepared, run};
use crate::support::MEMORY_END;
use crate::support::{Guest, OK, counting, set_params, status_of, words};
use ring_core::Segment;
use ring_core::memory::Memory;
use snd_host::spec::{CONTROL_QUEUE, EVENT_QUEUE, RX_QUEUE, TX_QUEUE, request};

/// Where nothing is.
const NOWHERE: u64 = 1 << 40;

/// The most bytes that leave some for a status: a chain may have 4 GiB.
const MOST: u32 = u32::MAX - 16;

pub(super) const CASES: &[Case] = &[
    ("a request of one byte in each piece", |guest| {
        let (place, answer) = (guest.place(), guest.place());
        guest.memory.write_bytes(place, &set_params(7680, 1920)).unwrap();
        assert_eq!(answered(guest, &bytes(place, 24), &bytes(answer, 4), answer), words(&[OK]));
    }),
    ("an answer of one byte in each piece", |guest| {
        let (place, answer) = (guest.place(), guest.place());
        guest.memory.write_bytes(place, &words(&[request::PCM_INFO, 0, 1, 32])).unwrap();
        let info = answered(guest, &[Segment::new(place, 16)], &bytes(answer, 36), answer);
        assert_eq!((info.len(), status_of(&info)), (36, OK));
    }),
    ("a request in a table", |guest| {
        let (place, answer, table) = (guest.place(), guest.place(), guest.place());
        guest.memory.write_bytes(place, &set_params(7680, 1920)).unwrap();
        let table = Segment::new(table, 28 * 16);
        guest.add_indirect(CONTROL_QUEUE, table, &bytes(place, 24), &bytes(answer, 4), answer);
        assert_eq!(guest.wait(CONTROL_QUEUE).written, 4);
    }),
    ("a request that goes on for pages", |guest| {
        let request = [set_params(7680, 1920), vec![0xff; 8000]].concat();
        assert_eq!(guest.command(&request), OK);
    }),
    ("much more room for an answer than it needs", |guest| {
        assert_eq!(guest.request(&set_params(7680, 1920), 8000), words(&[OK]));
    }),
    ("a request that ends where memory does, and one that ends later", |guest| {
        let answer = guest.place();
        guest.memory.write_bytes(MEMORY_END - 8, &words(&[request::PCM_STOP, 0])).unwrap();
        for (start, len) in [(MEMORY_END - 8, 8), (MEMORY_END - 7, 8), (MEMORY_END - 8, MOST)] {
            let request = [Segment::new(start, len)];
            let written = answered(guest, &request, &[Segment::new(answer, 4)], answer);
            assert_eq!(written, words(&[BAD_MSG]));
        }
    }),
    ("room for an answer that ends after memory does", |guest| {
        let place = guest.place();
        guest.memory.write_bytes(place, &words(&[request::PCM_STOP, 0])).unwrap();
        let room = [Segment::new(MEMORY_END - 2, 4)];
        assert_eq!(answered(guest, &[Segment::new(place, 8)], &room, place), []);
    }),
    ("an answer that overwrites its request", |guest| {
        let place = guest.place();
        guest.memory.write_bytes(place, &words(&[request::PCM_INFO, 0, 1, 32])).unwrap();
        let info = answered(guest, &[Segment::new(place, 16)], &[Segment::new(place, 36)], place);
        assert_eq!(status_of(&info), OK);
    }),
    ("an answer whose pieces are all the same place", |guest| {
        let place = guest.place();
        guest.memory.write_bytes(place, &words(&[request::PCM_STOP, 0])).unwrap();
        let room = [Segment::new(place + 64, 1); 4];
        assert_eq!(answered(guest, &[Segment::new(place, 8)], &room, place).len(), 4);
    }),
    ("as many requests as the queue holds, all at once", |guest| {
        let (place, answer) = (guest.place(), guest.place());
        guest.memory.write_bytes(place, &words(&[request::PCM_START, 0])).unwrap();
        for index in 0..32 {
            let room = [Segment::new(answer + index * 4, 4)];
            guest.add(CONTROL_QUEUE, &[Segment::new(place, 8)], &room, index);
        }
        (0..32).for_each(|index| assert_eq!(guest.wait(CONTROL_QUEUE).cookie, index));
    }),
    ("audio in fifty-two pieces", |guest| {
        prepared(guest, |guest| {
            let (place, status) = audio(guest, 1920);
            let pieces: Vec<_> = (0..52).map(|index| Segment::new(place + index * 37, 37)).collect();
            guest.add(TX_QUEUE, &pieces, &bytes(status, 8), status);
            run(guest, |guest| assert_eq!(guest.played().status, OK));
        });
    }),
    ("audio in a table as long as the queue", |guest| {
        prepared(guest, |guest| {
            let (place, status) = audio(guest, 1920);
            let table = Segment::new(guest.place(), 64 * 16);
            let pieces: Vec<_> = (0..56).map(|index| Segment::new(place + index * 4, 4)).collect();
            guest.add_indirect(TX_QUEUE, table, &pieces, &bytes(status, 8), status);
            run(guest, |guest| assert_eq!(guest.played().status, OK));
        });
    }),
    ("a status that overwrites the audio", |guest| {
        prepared(guest, |guest| {
            let (place, _) = audio(guest, 1920);
            guest.add(TX_QUEUE, &[Segment::new(place, 1924)], &[Segment::new(place + 64, 8)], place + 64);
            run(guest, |guest| assert_eq!(guest.played().status, OK));
        });
    }),
    ("a status that is not in memory", |guest| {
        prepared(guest, |guest| {
            let (place, _) = audio(guest, 1920);
            guest.add(TX_QUEUE, &[Segment::new(place, 1924)], &[Segment::new(NOWHERE, 8)], place);
            run(guest, |guest| assert_eq!(guest.wait(TX_QUEUE).written, 0));
        });
    }),
    ("a status of which a half is not in memory", |guest| {
        prepared(guest, |guest| {
            let (place, status) = audio(guest, 1920);
            let room = [Segment::new(status, 4), Segment::new(NOWHERE, 4)];
            guest.add(TX_QUEUE, &[Segment::new(place, 1924)], &room, place);
            run(guest, |guest| assert!(guest.wait(TX_QUEUE).written <= 4));
        });
    }),
    ("a message of 4 GiB", |guest| {
        prepared(guest, |guest| {
            let (place, status) = audio(guest, 1920);
            refused_chain(guest, &[Segment::new(place, MOST)], status);
        });
    }),
    ("a message without a header", |guest| {
        let status = guest.place();
        refused_chain(guest, &[], status);
    }),
    ("a header that is not in memory", |guest| {
        let status = guest.place();
        refused_chain(guest, &[Segment::new(NOWHERE, 1924)], status);
    }),
    ("a header of which a half is not in memory", |guest| {
        let status = guest.place();
        refused_chain(guest, &[Segment::new(MEMORY_END - 2, 4)], status);
    }),
    ("a request for audio without a header", |guest| {
        let place = guest.place();
        guest.add(RX_QUEUE, &[], &[Segment::new(place, 1928)], place);
        assert_eq!(guest.wait(RX_QUEUE).written, 8);
    }),
    ("a request for 4 GiB of audio, which end nowhere", |guest| {
        let place = guest.place();
        guest.memory.write_bytes(place, &words(&[0])).unwrap();
        guest.add(RX_QUEUE, &[Segment::new(place, 4)], &[Segment::new(place, MOST)], place);
        assert_eq!(guest.wait(RX_QUEUE).written, 0);
    }),
    ("places for events that are too small, to be read, and nowhere", |guest| {
        // The device keeps them for its events.
        if guest.in_flight(EVENT_QUEUE) == 0 {
            let place = guest.place();
            guest.add(EVENT_QUEUE, &[], &[Segment::new(place, 1)], 0);
            guest.add(EVENT_QUEUE, &[Segment::new(place, 8)], &[], 1);
            guest.add(EVENT_QUEUE, &[], &[Segment::new(NOWHERE, 8)], 2);
        }
        guest.kick(EVENT_QUEUE);
    }),
    ("a thousand kicks of every queue for nothing", |guest| {
        for queue in [CONTROL_QUEUE, EVENT_QUEUE, TX_QUEUE, RX_QUEUE] {
            (0..1000).for_each(|_| guest.kick(queue));
        }
    }),
];

/// Each of `len` bytes by itself.
fn bytes(start: u64, len: u64) -> Vec<Segment> {
    (start..start + len).map(|byte| Segment::new(byte, 1)).collect()
}

/// Sends a request in these pieces. Returns what was written at `answer`.
fn answered(guest: &mut Guest, readable: &[Segment], writable: &[Segment], answer: u64) -> Vec<u8> {
    guest.add(CONTROL_QUEUE, readable, writable, answer);
    let mut bytes = vec![0; guest.wait(CONTROL_QUEUE).written as usize];
    guest.memory.read_bytes(answer, &mut bytes).unwrap();
    bytes
}

/// A message with so many bytes of audio for stream 0, and a place for its status.
fn audio(guest: &mut Guest, len: u32) -> (u64, u64) {
    let (place, status) = (guest.place(), guest.place());
    let message = [words(&[0]), counting(0..len / 4)].concat();
    guest.memory.write_bytes(place, &message).unwrap();
    (place, status)
}

/// Sends a message with these pieces, which has to be refused.
fn refused_chain(guest: &mut Guest, readable: &[Segment], status: u64) {
    guest.add(TX_QUEUE, readable, &[Segment::new(status, 8)], status);
    assert_eq!(guest.played().status, IO_ERR);
}
