//! The guest: its memory, its queues and its requests.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use ring_core::memory::Memory as _;
use ring_core::{Areas, DriverQueue, Features, Position, Segment, Setup, driver};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::random::Random;
use crate::device_type::{AtStop, DeviceType};
use crate::mmap::Window;
use crate::protocol::payload::MemoryRegion;

/// The number of queues.
pub(super) const QUEUES: usize = 2;
/// The size of each queue.
pub(super) const SIZE: u16 = 16;
/// The most requests of a queue at a time.
const MAX_REQUESTS: usize = 4;
/// The guest's address of its memory, and its address in the VMM.
pub(super) const BASE: u64 = 0x10_0000;
pub(super) const USER: u64 = 0x7f00_0000_0000;
/// The bytes from the areas of one queue to those of the next.
const RINGS: u16 = 0x1000;
/// The offset of the requests, and the bytes of each of them.
const REQUESTS: u64 = 0x4000;
const REQUEST: u64 = 64;
/// The memory that stays, and the memory behind it that the VMM may remove.
const FIXED: u64 = 0x8000;
const REMOVABLE: u64 = 0x1000;
/// The bytes of a request that the device reads, and the data that it writes.
const HEADER: u32 = 16;
const DATA: u32 = 8;
/// How many losses of a device a request survives.
const MAX_LOSSES: u32 = 3;

/// A request that the guest has made and not got back.
#[derive(Clone, Copy, Debug)]
struct Request {
    number: u64,
    /// The address of the data.
    data: u64,
    /// The address of the status.
    status: u64,
    /// How many devices were lost meanwhile.
    losses: u32,
    /// Whether the request may fail, because something else than its device has happened.
    excused: bool,
    /// Whether a device that lies may have had the request.
    tainted: bool,
}

/// A queue of the guest.
#[derive(Debug)]
struct Queue {
    driver: DriverQueue<Window, Vec<driver::Slot<u32>>, u32>,
    requests: BTreeMap<u32, Request>,
}

/// A guest.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) file: OwnedFd,
    memory: Window,
    pub(super) features: Features,
    pub(super) device_type: DeviceType,
    queues: Vec<Queue>,
    numbers: u64,
    pub(super) plugged: Plugged,
}

/// Whether the guest has the removable memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugged {
    /// The memory is removed.
    Out,
    /// The VMM is adding the memory, and the guest does not use it yet.
    Adding,
    /// The guest uses the memory.
    In,
}

/// Returns the region of the memory that stays, or of the removable memory.
pub(super) const fn region(removable: bool) -> MemoryRegion {
    let (offset, size) = if removable { (FIXED, REMOVABLE) } else { (0, FIXED) };
    MemoryRegion { guest_address: BASE + offset, size, user_address: USER + offset, offset }
}

/// Returns what the device replies to a request.
pub(super) const fn answer(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Returns whether a device does not survive a request.
pub(super) const fn is_deadly(number: u64) -> bool {
    number >> 63 != 0
}

/// Returns where a queue is.
pub(super) fn setup(index: usize, features: Features) -> Setup {
    let start = BASE + u64::from(RINGS) * u64::try_from(index).unwrap();
    Setup::new(SIZE, features, Areas { descriptor: start, driver: start + 0x400, device: start + 0x800 })
}

impl Guest {
    pub(super) fn new(random: &mut Random) -> Self {
        let file = memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, FIXED + REMOVABLE).unwrap();
        let memory = Window::map(&file, 0, FIXED + REMOVABLE, BASE).unwrap();
        let choice = [Features::empty(), Features::RING_PACKED, Features::EVENT_IDX];
        let features = Features::VERSION_1 | choice[usize::try_from(random.below(3)).unwrap()];
        let device_type = match random.below(8) {
            0 => DeviceType::Net,
            1 => DeviceType::Fs,
            2 => DeviceType::Generic,
            _ => DeviceType::Blk,
        };
        let queues = (0..QUEUES).map(|index| Queue::new(&memory, &setup(index, features))).collect();
        Self { file, memory, features, device_type, queues, numbers: 0, plugged: Plugged::In }
    }

    /// Makes a request. Returns whether there was room for it.
    pub(super) fn request(&mut self, index: usize, random: &mut Random) -> bool {
        let queue = &mut self.queues[index];
        if queue.requests.len() == MAX_REQUESTS {
            return false;
        }
        self.numbers += 1;
        // A guest would make the request again that has ended its session.
        let tried = self.device_type.survives_restart();
        let tried = tried && self.device_type.at_stop(index) == AtStop::Finish;
        let deadly = u64::from(tried && random.one_in(40)) << 63;
        let (number, slot) = (self.numbers | deadly, queue.free_slot());
        let at = REQUEST * (u64::from(slot) + u64::try_from(index * MAX_REQUESTS).unwrap());
        let header = BASE + REQUESTS + at;
        let removable = self.plugged == Plugged::In && random.one_in(3);
        let data = if removable { BASE + FIXED + at } else { header + u64::from(HEADER) };
        let status = header + u64::from(HEADER + DATA);
        let bytes = [&[0; 8], &number.to_le_bytes()[..]].concat();
        self.memory.write_bytes(header, &bytes).unwrap();
        self.memory.write_bytes(data, &[0xee; DATA as usize]).unwrap();
        // The status of the last request at this address. A disk may not rely on another value.
        self.memory.write_bytes(status, &[0]).unwrap();
        let parts = [Segment::new(data, DATA), Segment::new(status, 1)];
        let writable = if self.device_type.has_status() { &parts[..] } else { &parts[..1] };
        queue.driver.add(&[Segment::new(header, HEADER)], writable, slot).unwrap();
        let _ = queue.driver.publish();
        let (losses, excused, tainted) = (0, false, false);
        queue.requests.insert(slot, Request { number, data, status, losses, excused, tainted });
        true
    }

    /// Takes all that was returned, and checks each request.
    pub(super) fn reap(&mut self) {
        for queue in &mut self.queues {
            while let Some(used) = queue.driver.reap().expect("the guest's ring is valid") {
                let request = queue.requests.remove(&used.cookie);
                let request = request.expect("a request is returned once");
                let mut status = [0];
                self.memory.read_bytes(request.status, &mut status).unwrap();
                let fails = status != [0] || (!self.device_type.has_status() && used.written < DATA);
                if fails {
                    let excused = request.excused || request.tainted || request.losses >= MAX_LOSSES;
                    assert!(excused, "a request fails without a reason: {request:?}, {used:?}");
                    continue;
                }
                let mut data = [0; DATA as usize];
                self.memory.read_bytes(request.data, &mut data).unwrap();
                let right = u64::from_le_bytes(data) == answer(request.number);
                assert!(right || request.tainted, "wrong data: {request:?} has {data:x?}, {used:?}");
            }
        }
    }

    /// Returns the number of requests that the guest has not got back.
    pub(super) fn outstanding(&self) -> usize {
        self.queues.iter().map(|queue| queue.requests.len()).sum()
    }

    /// Counts the loss of a device.
    pub(super) fn count_loss(&mut self) {
        self.each(|request| request.losses += 1);
    }

    /// Notes that a device that lies may have had all requests.
    pub(super) fn taint(&mut self) {
        self.each(|request| request.tainted = true);
    }

    /// Notes that requests may fail because a queue is stopped or memory is removed.
    pub(super) fn excuse(&mut self) {
        self.each(|request| request.excused = true);
    }

    fn each(&mut self, change: impl FnMut(&mut Request)) {
        self.queues.iter_mut().flat_map(|queue| queue.requests.values_mut()).for_each(change);
    }

    /// Begins anew, as after a reset.
    pub(super) fn reset(&mut self) {
        self.reap();
        for (index, queue) in self.queues.iter_mut().enumerate() {
            *queue = Queue::new(&self.memory, &setup(index, self.features));
        }
    }

    /// Returns the vring base of a queue that has nothing in flight.
    pub(super) fn base(&self, index: usize) -> u32 {
        let position = Position::quiescent(self.queues[index].driver.position().used);
        match self.features.contains(Features::RING_PACKED) {
            true => position.packed_base(),
            false => position.split_base(),
        }
    }
}

impl Queue {
    fn new(memory: &Window, setup: &Setup) -> Self {
        memory.write_bytes(setup.areas.descriptor, &[0; RINGS as usize]).unwrap();
        let slots = (0..SIZE).map(|_| driver::Slot::EMPTY).collect();
        let driver = DriverQueue::new(memory.clone(), setup, slots).unwrap();
        Self { driver, requests: BTreeMap::new() }
    }

    /// Returns a number below [`MAX_REQUESTS`] that no request has.
    fn free_slot(&self) -> u32 {
        (0..).find(|slot| !self.requests.contains_key(slot)).unwrap()
    }
}
