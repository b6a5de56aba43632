//! The copies between a guest and the isolated area.

use std::hint::black_box;

use criterion::Criterion;
use isolation_host::guest_memory::GuestMemory;
use isolation_host::mmap::Window;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::measure::{Contender, Timed, Work, compare, timed};

/// The guest's memory, more than any cache has. Copies go to and from all of it in turns.
const GUEST: u64 = 256 << 20;
/// The isolated area's blocks are used again at once, so that they stay in the cache.
const BLOCK: u64 = 1 << 20;

pub(crate) fn copy(criterion: &mut Criterion) {
    for (name, len, slice) in [("4 KiB", 4 << 10, 2000), ("64 KiB", 64 << 10, 200), ("1 MiB", 1 << 20, 10)] {
        let work = Work { group: "copy", name, requests: 1, slice, calibrator: None };
        let contenders = [
            contender("memcpy", move || memcpy(len)),
            contender("to the device", move || forwarded(len, Direction::ToDevice)),
            contender("to the guest", move || forwarded(len, Direction::ToGuest)),
        ];
        compare(criterion, work, &contenders);
    }
}

fn contender(name: &str, make: impl Fn() -> Timed + 'static) -> Contender {
    Contender { name: name.to_owned(), make: Box::new(make) }
}

/// Offsets all over the guest's memory, none of which is used again soon.
fn places(len: u32) -> impl FnMut() -> u64 {
    let count = GUEST / u64::from(len);
    let mut turn = 0;
    move || {
        // An odd stride comes by every place.
        turn = (turn + 0x9e37_79b1) % count;
        turn * u64::from(len)
    }
}

fn memcpy(len: u32) -> Timed {
    let mut guest = vec![1u8; usize::try_from(GUEST).unwrap_or(0)];
    let mut block = vec![0u8; usize::try_from(BLOCK).unwrap_or(0)];
    let (mut next, len) = (places(len), len as usize);
    let mut out = false;
    timed(move || {
        let at = usize::try_from(next()).unwrap_or(0);
        let (guest, block) = (&mut guest[at..at + len], &mut block[..len]);
        // Half of the copies go one way, half the other, as those that it is compared with together.
        out = !out;
        if out {
            block.copy_from_slice(guest)
        } else {
            guest.copy_from_slice(block)
        }
        black_box((guest, block));
    })
}

#[derive(Clone, Copy)]
enum Direction {
    ToDevice,
    ToGuest,
}

fn forwarded(len: u32, direction: Direction) -> Timed {
    const AREA: u64 = 1 << 32;
    let window = |size, address| {
        let file = memfd_create("bench", MemfdFlags::CLOEXEC).expect("there are memfds");
        ftruncate(&file, size).expect("there is memory");
        let window = Window::map(file, 0, size, address).expect("it was made so large");
        for at in (0..size).step_by(4096) {
            window.zero(address + at, 4096).expect("it is in the window");
        }
        window
    };
    let (guest, area) = (GuestMemory::default(), window(BLOCK, AREA));
    guest.add(window(GUEST, 0), 0).expect("there is no other region");
    let mut next = places(len);
    timed(move || {
        let at = next();
        let copied = match direction {
            Direction::ToDevice => guest.view().copy_out(at, &area, AREA, len),
            Direction::ToGuest => guest.view().copy_in(&area, AREA, at, len),
        };
        copied.expect("both places are mapped");
    })
}
