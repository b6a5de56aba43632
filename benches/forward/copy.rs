//! Times the copies between a guest and the isolated area.

use std::hint::black_box;

use criterion::Criterion;
use isolation_host::guest_memory::GuestMemory;
use isolation_host::mmap::Window;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::measure::{Benchmark, Comparison, MEASUREMENT, Timed, compare, repeated};

/// The size of the guest's memory, larger than any cache. Successive copies use different parts of
/// the memory.
const GUEST: u64 = 256 << 20;
/// The size of the isolated area. Its blocks are reused at once, so that they stay in the cache.
const BLOCK: u64 = 1 << 20;

pub(crate) fn copy(criterion: &mut Criterion) {
    for (name, len, slice) in [("4 KiB", 4 << 10, 2000), ("64 KiB", 64 << 10, 200), ("1 MiB", 1 << 20, 10)] {
        let comparison = Comparison {
            group: "copy",
            name,
            requests: 1,
            slice,
            processors: None,
            measurement: MEASUREMENT,
        };
        let benchmarks = [
            benchmark("memcpy", move || memcpy(len, None)),
            benchmark("memcpy to the device", move || memcpy(len, Some(Direction::ToDevice))),
            benchmark("memcpy to the guest", move || memcpy(len, Some(Direction::ToGuest))),
            benchmark("to the device", move || forwarded(len, Direction::ToDevice)),
            benchmark("to the guest", move || forwarded(len, Direction::ToGuest)),
        ];
        compare(criterion, comparison, &benchmarks);
    }
}

fn benchmark(name: &str, set_up: impl Fn() -> Timed + 'static) -> Benchmark {
    Benchmark { name: name.to_owned(), set_up: Box::new(set_up) }
}

/// Returns a source of offsets that are spread over the guest's memory and repeat only after all
/// offsets have been used.
fn offsets(len: u32) -> impl FnMut() -> u64 {
    let count = GUEST / u64::from(len);
    let mut turn = 0;
    move || {
        // The count is a power of two, so an odd stride reaches every offset.
        turn = (turn + 0x9e37_79b1) % count;
        turn * u64::from(len)
    }
}

/// Copies in one direction, or half of the copies in each direction.
fn memcpy(len: u32, direction: Option<Direction>) -> Timed {
    let mut guest = vec![1u8; usize::try_from(GUEST).unwrap_or(0)];
    let mut block = vec![0u8; usize::try_from(BLOCK).unwrap_or(0)];
    let (mut next, len) = (offsets(len), len as usize);
    let mut turn = Direction::ToGuest;
    repeated(move || {
        let at = usize::try_from(next()).unwrap_or(0);
        let (guest, block) = (&mut guest[at..at + len], &mut block[..len]);
        turn = match turn {
            Direction::ToDevice => Direction::ToGuest,
            Direction::ToGuest => Direction::ToDevice,
        };
        match direction.unwrap_or(turn) {
            Direction::ToDevice => block.copy_from_slice(guest),
            Direction::ToGuest => guest.copy_from_slice(block),
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
        let file = memfd_create("bench", MemfdFlags::CLOEXEC).expect("the system has memfds");
        ftruncate(&file, size).expect("the system has memory");
        let window = Window::map(file, 0, size, address).expect("the file has this size");
        for offset in (0..size).step_by(4096) {
            window.zero(address + offset, 4096).expect("the page is in the window");
        }
        window
    };
    let (guest, area) = (GuestMemory::default(), window(BLOCK, AREA));
    guest.add(window(GUEST, 0), 0).expect("no other region overlaps");
    let mut next = offsets(len);
    repeated(move || {
        let at = next();
        let copied = match direction {
            Direction::ToDevice => guest.view().copy_out(at, &area, AREA, len),
            Direction::ToGuest => guest.view().copy_in(&area, AREA, at, len),
        };
        copied.expect("both ranges are mapped");
    })
}
