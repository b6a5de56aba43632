//! Queues as a front-end starts and stops them, with a driver on the other side.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::slice::from_ref;
use std::sync::Arc;

use ring_core::memory::{Memory as _, VmMemory};
use ring_core::{Areas, DriverQueue, Features, Reader, Segment, Setup, Writer, driver};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use vhost_ring::{GuestMemory, Queues, Started, Vring, ring_core};
use vhost_user_backend::VringT;
use vm_memory::{
    FileOffset, GuestAddress, GuestAddressSpace as _, GuestMemoryAtomic, GuestMemoryBackend as _,
    GuestMemoryMmap,
};

const SPLIT: Features = Features::VERSION_1.union(Features::EVENT_IDX);
const PACKED: Features = SPLIT.union(Features::RING_PACKED);
const AREAS: Areas = Areas { descriptor: 0x1000, driver: 0x2000, device: 0x3000 };
const DATA: u64 = 0x8000;

type View = VmMemory<GuestMemoryMmap>;
type Driver = DriverQueue<View, Vec<driver::Slot<u32>>, u32>;

/// A guest with one queue, and the device's side of the queue.
struct Rig {
    atomic: GuestMemoryAtomic<GuestMemoryMmap>,
    memory: GuestMemory,
    setup: Setup,
    driver: Driver,
    vring: Vring,
    call: OwnedFd,
    error: OwnedFd,
    queues: Queues,
}

impl Rig {
    fn new(size: u16, features: Features) -> Self {
        let mapped = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x10000)]).unwrap();
        let memory = Arc::new(mapped.clone());
        let setup = Setup::new(size, features, AREAS);
        let atomic = GuestMemoryAtomic::new(mapped);
        let vring = Vring::new(atomic.clone(), 1024).unwrap();
        vring.set_queue_size(size);
        vring.set_queue_info(AREAS.descriptor, AREAS.driver, AREAS.device).unwrap();
        let [call, error] = [(); 2].map(|()| eventfd(0, EventfdFlags::empty()).unwrap());
        vring.set_call(Some(File::from(call.try_clone().unwrap())));
        vring.set_err(Some(File::from(error.try_clone().unwrap())));
        let mut queues = Queues::new(1).unwrap();
        queues.set_features(features.bits());
        queues.set_memory(&atomic, |_, _| panic!("no queue runs")).unwrap();
        let driver = new_driver(&memory, &setup);
        let rig = Self { atomic, memory, setup, driver, vring, call, error, queues };
        rig.go(if features.contains(Features::RING_PACKED) { 0x8000 } else { 0 });
        rig
    }

    /// Lets the front-end start the queue at `base`.
    fn go(&self, base: u16) {
        self.vring.set_queue_next_avail(base);
        self.vring.set_queue_ready(true);
        self.vring.set_enabled(true);
    }

    /// Adds a request of four bytes that asks for an answer of eight bytes.
    fn request(&mut self, number: u32) {
        let address = DATA + u64::from(number % 64) * 16;
        let view = VmMemory::new(self.memory.clone());
        view.write_bytes(address, &number.to_le_bytes()).unwrap();
        view.write_bytes(address + 4, &[0xee; 8]).unwrap();
        self.driver.add(&[Segment::new(address, 4)], &[Segment::new(address + 4, 8)], number).unwrap();
        let _ = self.driver.publish();
    }

    /// Serves the queue: each answer is the request's four bytes, then their complement.
    fn serve(&mut self) {
        let mut segments = [Segment::default(); 4];
        self.queues.serve(from_ref(&self.vring), &mut segments, |_, request, response| {
            reply(request, response);
        });
    }

    /// Takes a used buffer, and checks that it has the answer to its request.
    fn answered(&mut self) -> Option<u32> {
        let used = self.driver.reap().unwrap()?;
        let mut answer = [0; 8];
        let address = DATA + u64::from(used.cookie % 64) * 16 + 4;
        VmMemory::new(self.memory.clone()).read_bytes(address, &mut answer).unwrap();
        let bytes = used.cookie.to_le_bytes();
        assert_eq!((&answer[..4], &answer[4..]), (&bytes[..], &bytes.map(|byte| !byte)[..]));
        assert_eq!(used.written, 8);
        Some(used.cookie)
    }

    fn stop(&mut self) -> u16 {
        self.vring.set_queue_ready(false);
        self.queues.stop(0, |_| {});
        self.vring.queue_next_avail()
    }
}

fn reply(mut request: Reader<'_, View>, response: &mut Writer<'_, View>) {
    let mut bytes = [0; 4];
    request.read(&mut bytes).unwrap();
    response.write(&bytes).unwrap();
    response.write(&bytes.map(|byte| !byte)).unwrap();
}

fn new_driver(memory: &GuestMemory, setup: &Setup) -> Driver {
    let slots = (0..setup.size).map(|_| driver::Slot::EMPTY).collect();
    DriverQueue::new(VmMemory::new(memory.clone()), setup, slots).unwrap()
}

fn is_readable(file: impl AsFd) -> bool {
    let mut files = [PollFd::new(&file, PollFlags::IN)];
    poll(&mut files, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

#[test]
fn requests_are_answered_in_both_formats() {
    for (size, features) in [(4, SPLIT), (4, PACKED), (5, PACKED)] {
        let mut rig = Rig::new(size, features);
        for number in 0..100 {
            rig.request(number);
            rig.serve();
            assert_eq!(rig.answered(), Some(number));
        }
        assert!(is_readable(&rig.call));
        assert!(!is_readable(&rig.error));
    }
}

/// A device can return other chains before the driver sees the answers.
#[test]
fn answers_are_staged_until_they_are_published() {
    for features in [SPLIT, PACKED] {
        let mut rig = Rig::new(8, features);
        (0..3).for_each(|number| rig.request(number));
        rig.queues.start(0, &rig.vring).unwrap();
        let mut answer = |limit| {
            let queue = rig.queues.get_mut(0).unwrap();
            queue.answer(&mut [Segment::default(); 4], limit, reply)
        };
        assert_eq!([answer(2), answer(2), answer(2)], [Ok(2), Ok(1), Ok(0)]);
        assert_eq!(rig.answered(), None);
        rig.queues.get_mut(0).unwrap().publish();
        assert_eq!([(); 4].map(|()| rig.answered()), [Some(0), Some(1), Some(2), None]);
    }
}

#[test]
fn a_stopped_queue_continues_at_the_base_that_it_told() {
    for features in [SPLIT, PACKED] {
        let mut rig = Rig::new(4, features);
        assert_eq!(rig.queues.start(0, &rig.vring), Ok(Started::First));
        for number in 0..7 {
            rig.request(number);
            rig.serve();
            assert_eq!(rig.answered(), Some(number));
        }
        let base = rig.stop();
        assert!(rig.queues.running(0).is_none());
        rig.request(7);
        rig.serve();
        assert_eq!(rig.answered(), None, "a stopped queue is not served");
        rig.go(base);
        assert_eq!(rig.queues.start(0, &rig.vring), Ok(Started::Continued));
        rig.serve();
        assert_eq!(rig.answered(), Some(7));
    }
}

#[test]
fn a_queue_that_starts_elsewhere_has_a_driver_that_was_reset() {
    for features in [SPLIT, PACKED] {
        let mut rig = Rig::new(4, features);
        rig.request(0);
        rig.serve();
        assert_eq!(rig.answered(), Some(0));
        rig.stop();
        rig.driver = new_driver(&rig.memory, &rig.setup);
        rig.go(if features.contains(Features::RING_PACKED) { 0x8000 } else { 0 });
        assert_eq!(rig.queues.start(0, &rig.vring), Ok(Started::DriverReset));
        rig.request(1);
        rig.serve();
        assert_eq!(rig.answered(), Some(1));
    }
}

#[test]
fn chains_in_flight_are_taken_again_after_a_change_of_memory() {
    for features in [SPLIT, PACKED] {
        let mut rig = Rig::new(4, features);
        rig.request(0);
        rig.request(1);
        rig.queues.start(0, &rig.vring).unwrap();
        let queue = rig.queues.get_mut(0).unwrap();
        let mut segments = [Segment::default(); 4];
        let mut tokens = [(); 2].map(|()| Some(queue.pop(&mut segments).unwrap().unwrap().into_token()));
        let replaced = rig.queues.set_memory(&rig.atomic, |_, queue| {
            let newest_first = tokens.iter_mut().rev().filter_map(Option::take);
            newest_first.for_each(|token| queue.unpop(token).unwrap());
        });
        replaced.unwrap();
        assert!(is_readable(rig.queues.waker()), "there is work without a kick");
        rig.serve();
        assert!(!is_readable(rig.queues.waker()));
        assert_eq!([rig.answered(), rig.answered(), rig.answered()], [Some(0), Some(1), None]);
    }
}

#[test]
fn a_broken_queue_is_told_by_the_error_file_and_stays_idle() {
    for features in [SPLIT, PACKED] {
        let mut rig = Rig::new(4, features);
        rig.request(0);
        let view = VmMemory::new(rig.memory.clone());
        if features.contains(Features::RING_PACKED) {
            // Indirect tables were not negotiated.
            view.write_bytes(AREAS.descriptor + 14, &(1u16 << 7 | 1 << 2).to_le_bytes()).unwrap();
        } else {
            // More buffers than the queue has descriptors.
            view.write_bytes(AREAS.driver + 2, &9u16.to_le_bytes()).unwrap();
        }
        assert!(!is_readable(&rig.error));
        rig.serve();
        assert!(is_readable(&rig.error));
        rig.serve();
        assert_eq!(rig.driver.reap().unwrap().map(|used| used.cookie), None);
    }
}

/// Without `drain`, a broken queue publishes nothing, and the staged answers would be lost.
#[test]
fn answers_that_precede_a_violation_reach_the_driver() {
    for features in [SPLIT, PACKED] {
        let mut rig = Rig::new(4, features);
        rig.request(0);
        rig.request(1);
        let view = VmMemory::new(rig.memory.clone());
        // Indirect tables were not negotiated, and the third descriptor, the first of request 1,
        // refers to a table.
        let (flags, table) =
            if features.contains(Features::RING_PACKED) { (14, 1u16 << 7 | 4) } else { (12, 4) };
        view.write_bytes(AREAS.descriptor + 32 + flags, &table.to_le_bytes()).unwrap();
        rig.serve();
        assert!(is_readable(&rig.error));
        assert_eq!(rig.driver.reap().unwrap().map(|used| used.cookie), Some(0));
        assert_eq!(rig.driver.reap().unwrap().map(|used| used.cookie), None);
    }
}

#[test]
fn an_invalid_queue_is_an_error_once_and_told_by_the_error_file() {
    let mut rig = Rig::new(4, SPLIT);
    rig.vring.set_queue_info(AREAS.descriptor, 0x10_0000, AREAS.device).unwrap();
    assert!(rig.queues.start(0, &rig.vring).is_err());
    assert!(is_readable(&rig.error));
    assert_eq!(rig.queues.start(0, &rig.vring), Ok(Started::Unchanged));
    rig.stop();
    rig.vring.set_queue_info(AREAS.descriptor, AREAS.driver, AREAS.device).unwrap();
    rig.go(0);
    assert_eq!(rig.queues.start(0, &rig.vring), Ok(Started::First));
}

#[test]
fn a_call_file_that_is_full_blocks_nothing() {
    let mut rig = Rig::new(4, SPLIT);
    // A blocking eventfd at its largest value: one more write would wait for a reader.
    let full = eventfd(0, EventfdFlags::empty()).unwrap();
    rustix::io::write(&full, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    rig.vring.set_call(Some(File::from(full)));
    rig.request(0);
    rig.serve();
    assert_eq!(rig.answered(), Some(0));
    assert!(rig.vring.call().is_ok());
}

#[test]
fn a_stale_kick_is_no_error() {
    let rig = Rig::new(4, SPLIT);
    let kick = eventfd(0, EventfdFlags::empty()).unwrap();
    rig.vring.set_kick(Some(File::from(kick.try_clone().unwrap())));
    assert!(!rig.vring.read_kick().unwrap());
    rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
    assert!(rig.vring.read_kick().unwrap());
    assert!(!rig.vring.read_kick().unwrap());
}

#[test]
fn a_failed_start_does_not_hide_that_the_driver_was_reset() {
    let mut rig = Rig::new(4, SPLIT);
    rig.request(0);
    rig.serve();
    rig.stop();
    rig.vring.set_queue_info(AREAS.descriptor, 0x10_0000, AREAS.device).unwrap();
    rig.go(0);
    assert!(rig.queues.start(0, &rig.vring).is_err());
    rig.stop();
    rig.driver = new_driver(&rig.memory, &rig.setup);
    rig.vring.set_queue_info(AREAS.descriptor, AREAS.driver, AREAS.device).unwrap();
    rig.go(0);
    assert_eq!(rig.queues.start(0, &rig.vring), Ok(Started::DriverReset));
}

#[test]
fn kicks_without_any_chain_are_noticed_and_one_kick_at_the_start_is_not() {
    for features in [SPLIT, PACKED] {
        let mut rig = Rig::new(4, features);
        let kick = eventfd(0, EventfdFlags::empty()).unwrap();
        rig.vring.set_kick(Some(File::from(kick.try_clone().unwrap())));
        let kicked_in_vain = |rig: &mut Rig| {
            rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
            assert!(rig.vring.read_kick().unwrap());
            rig.serve();
            rig.queues.get_mut(0).unwrap().is_kicked_in_vain()
        };
        assert!(!kicked_in_vain(&mut rig));
        assert!(kicked_in_vain(&mut rig));
        rig.request(0);
        assert!(!kicked_in_vain(&mut rig));
    }
}

#[test]
fn memory_with_a_file_that_is_too_short_is_refused_and_not_accessed() {
    let mut rig = Rig::new(4, SPLIT);
    let file = File::from(memfd_create("guest", MemfdFlags::ALLOW_SEALING).unwrap());
    let lengths = [(0x8000, false), (0x1_8000 - 1, false), (0x1_8000, true)];
    for (length, accepted) in lengths {
        file.set_len(length).unwrap();
        let file = FileOffset::new(file.try_clone().unwrap(), 0x8000);
        let mapped = GuestMemoryMmap::<()>::from_ranges_with_files([(GuestAddress(0), 0x1_0000, Some(file))]);
        rig.atomic.lock().unwrap().replace(mapped.unwrap());
        let replaced = rig.queues.set_memory(&rig.atomic, |_, _| {});
        assert_eq!(replaced.is_ok(), accepted, "{length:#x}: {replaced:?}");
        assert_eq!(rig.atomic.memory().num_regions() == 1, accepted);
        let started = rig.queues.start(0, &rig.vring);
        assert_eq!(started, Ok(if accepted { Started::First } else { Started::Unchanged }));
    }
}
