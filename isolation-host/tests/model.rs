//! Random sequences of device crashes, kills of isolation-host, and queue stops. The guest gets
//! each request back exactly once, completed.

use std::time::Instant;

use isolation_host::area::Area;
use isolation_host::area::policy::Policy;
use isolation_host::device_type::DeviceType;
use isolation_host::forward::{DeviceRing, ForwardedQueue};
use isolation_host::guest_memory::GuestMemory;
use isolation_host::journal::JournalMemory;
use isolation_host::mmap::Window;
use proptest::prelude::*;
use ring_core::memory::Memory as _;
use ring_core::{Areas, DeviceQueue, DriverQueue, Features, Position, Segment, Setup, Token, device, driver};

const SIZE: u16 = 8;
const MEMORY: u64 = 1 << 16;
const AREA: u64 = 4 << 20;
/// The address of the guest's requests, which have 64 bytes each.
const DATA: u64 = 0x8000;
/// The value that the device adds to each byte.
const DONE: u8 = 0x55;
/// The status of a block request that failed.
const FAILED: u8 = 1;

/// A step of the model.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The guest makes a request.
    Request,
    /// isolation-host runs.
    Run,
    /// The device takes a request.
    Take,
    /// The device completes one of the requests that it has taken.
    Finish(prop::sample::Index),
    /// The device is killed, and another device takes over.
    Crash,
    /// The device is killed, and no other device connects yet.
    Die,
    /// The queue is stopped, and another isolation-host resumes the queue.
    Move,
    /// isolation-host is killed, and another isolation-host recovers the queue from the journal.
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Request),
        6 => Just(Step::Run),
        4 => Just(Step::Take),
        4 => any::<prop::sample::Index>().prop_map(Step::Finish),
        1 => Just(Step::Crash),
        1 => Just(Step::Die),
        1 => Just(Step::Move),
        2 => Just(Step::Kill),
    ]
}

fn is_packed(features: Features) -> bool {
    features.contains(Features::RING_PACKED)
}

type Taken = (Token, Vec<u8>, Vec<Segment>);

struct World {
    memory: GuestMemory,
    setup: Setup,
    driver: DriverQueue<GuestMemory, Vec<driver::Slot<u8>>, u8>,
    made: u8,
    returned: Vec<u8>,
    failed: usize,
    /// The number of lost devices.
    lost: usize,
    journals: Option<JournalMemory>,
    forwarded: ForwardedQueue,
    device_features: Features,
    device: Option<TestDevice>,
}

/// A device with one isolated area.
struct TestDevice {
    window: Window,
    ring: DeviceQueue<Window, Vec<device::Slot>>,
    taken: Vec<Taken>,
}

impl World {
    fn new(features: Features, device_features: Features) -> Self {
        let file = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&file, MEMORY).unwrap();
        let memory = GuestMemory::default();
        memory.add(Window::map(&file, 0, MEMORY, 0).unwrap(), 0).unwrap();
        let setup = Setup::new(SIZE, features, Areas { descriptor: 0, driver: 0x1000, device: 0x2000 });
        let slots = (0..SIZE).map(|_| driver::Slot::EMPTY).collect();
        let driver = DriverQueue::new(memory.clone(), &setup, slots).unwrap();
        let base = if is_packed(features) { Position::PACKED_START.packed_base() } else { 0 };
        // An in-order queue has no journal.
        let journals = (!features.contains(Features::IN_ORDER)).then(|| {
            let (file, bytes) = JournalMemory::make(1, SIZE).unwrap();
            JournalMemory::open(file, 0, bytes, 1, SIZE).unwrap()
        });
        let journal = journals.as_ref().and_then(|journals| journals.queue(0, SIZE, is_packed(features)));
        let forwarded = ForwardedQueue::new(memory.clone(), &setup, base, DeviceType::Blk, journal).unwrap();
        let mut world = Self {
            memory,
            setup,
            driver,
            made: 0,
            returned: Vec::new(),
            failed: 0,
            lost: 0,
            journals,
            forwarded,
            device_features,
            device: None,
        };
        world.attach();
        world
    }

    fn attach(&mut self) {
        let area = Area::new(AREA, 1).unwrap();
        let share = area.share(0, SIZE, self.device_features).unwrap();
        let window = area.window().clone();
        let slots = vec![device::Slot::EMPTY; SIZE.into()];
        let ring = DeviceQueue::new(window.clone(), &share.setup, slots).unwrap();
        self.forwarded.attach(DeviceRing::new(window.clone(), share, Policy::default(), None).unwrap());
        self.device = Some(TestDevice { window, ring, taken: Vec::new() });
    }

    fn lose_device(&mut self) {
        if self.device.take().is_some() {
            let held = self.forwarded.held();
            self.forwarded.lose_device(held);
            self.lost += 1;
        }
    }

    fn address(number: u8) -> u64 {
        DATA + 64 * u64::from(number)
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Request => self.request(),
            Step::Run => {
                self.forwarded.run(Instant::now()).unwrap();
            }
            Step::Take => {
                if let Some(device) = &mut self.device {
                    device.take();
                }
            }
            Step::Finish(index) => {
                if let Some(device) = self.device.as_mut().filter(|device| !device.taken.is_empty()) {
                    device.finish(index.index(device.taken.len()));
                }
            }
            Step::Crash => {
                self.lose_device();
                self.attach();
            }
            Step::Die if self.device.is_some() => self.lose_device(),
            Step::Die => {}
            Step::Move => {
                self.forwarded.finish();
                assert_eq!(self.forwarded.in_flight(), 0);
                let base = self.forwarded.vring_base();
                self.resume(base);
            }
            // After a kill, the base that the VMM sends is meaningless.
            Step::Kill if self.journals.is_some() => self.resume(0xdead_dead),
            Step::Kill => {}
        }
        self.reap();
    }

    /// Replaces isolation-host and the device.
    fn resume(&mut self, base: u32) {
        let packed = is_packed(self.setup.features);
        let journal = self.journals.as_ref().and_then(|journals| journals.queue(0, SIZE, packed));
        self.forwarded =
            ForwardedQueue::new(self.memory.clone(), &self.setup, base, DeviceType::Blk, journal).unwrap();
        self.attach();
    }

    fn request(&mut self) {
        if self.made == 200 {
            return;
        }
        let (number, at) = (self.made, Self::address(self.made));
        self.memory.write_bytes(at, &[number; 16]).unwrap();
        self.memory.write_bytes(at + 16, &[0xee; 17]).unwrap();
        let writable = [Segment::new(at + 16, 16), Segment::new(at + 32, 1)];
        if self.driver.add(&[Segment::new(at, 16)], &writable, number).is_ok() {
            let _ = self.driver.publish();
            self.made += 1;
        }
    }

    /// Takes used buffers back and checks that each is correct and comes back once.
    fn reap(&mut self) {
        while let Some(used) = self.driver.reap().unwrap() {
            let number = used.cookie;
            assert!(!self.returned.contains(&number), "request {number} came back twice");
            self.returned.push(number);
            let mut answer = [0; 17];
            self.memory.read_bytes(Self::address(number) + 16, &mut answer).unwrap();
            if answer[16] == FAILED {
                self.failed += 1;
            } else {
                let done = number.wrapping_add(DONE);
                assert_eq!(
                    (answer, used.written),
                    ([[done; 16].as_slice(), &[0]].concat().try_into().unwrap(), 17)
                );
            }
        }
    }

    /// Runs isolation-host, the device and the guest until nothing is left to do.
    fn settle(&mut self) {
        if self.device.is_none() {
            self.attach();
        }
        for _ in 0..1000 {
            let again = self.forwarded.run(Instant::now()).unwrap().again;
            let device = self.device.as_mut().unwrap();
            let took = device.take();
            let finished = !device.taken.is_empty();
            if finished {
                device.finish(0);
            }
            self.reap();
            if !again && !took && !finished {
                return;
            }
        }
        panic!("work without end");
    }
}

impl TestDevice {
    fn take(&mut self) -> bool {
        let mut segments = [Segment::default(); 16];
        let Some(chain) = self.ring.pop(&mut segments).unwrap() else { return false };
        let mut bytes = Vec::new();
        for segment in chain.readable() {
            let mut part = vec![0; segment.len as usize];
            self.window.read_bytes(segment.address, &mut part).unwrap();
            bytes.extend(part);
        }
        let writable = chain.writable().to_vec();
        self.taken.push((chain.into_token(), bytes, writable));
        true
    }

    fn finish(&mut self, index: usize) {
        let (token, bytes, writable) = self.taken.remove(index);
        let [data, status] = writable[..] else { panic!("the framing has changed: {writable:?}") };
        let answer: Vec<u8> = bytes.iter().map(|byte| byte.wrapping_add(DONE)).collect();
        self.window.write_bytes(data.address, &answer).unwrap();
        self.window.write_bytes(status.address, &[0]).unwrap();
        self.ring.complete(token, 17).unwrap();
        let _ = self.ring.publish();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn each_request_comes_back_exactly_once(
        steps in prop::collection::vec(step(), 1..120),
        packed in any::<bool>(),
        device_packed in any::<bool>(),
        in_order in any::<bool>(),
        indirect in any::<bool>(),
    ) {
        let either = |condition, feature| if condition { feature } else { Features::empty() };
        let features = Features::VERSION_1 | Features::EVENT_IDX
            | either(packed, Features::RING_PACKED) | either(in_order, Features::IN_ORDER);
        let device_features = Features::VERSION_1 | either(device_packed, Features::RING_PACKED)
            | either(indirect, Features::INDIRECT_DESC);
        let mut world = World::new(features, device_features);
        let moved = steps.iter().any(|step| matches!(step, Step::Move));
        steps.into_iter().for_each(|step| world.take_step(step));
        world.settle();
        let mut returned = world.returned.clone();
        returned.sort_unstable();
        prop_assert_eq!(returned, (0..world.made).collect::<Vec<_>>());
        // A crash counts against one request at most, and three crashes that count against a
        // request fail it. A stop may fail requests, if a later request is already completed.
        prop_assert!(moved || 3 * world.failed <= world.lost);
    }
}
