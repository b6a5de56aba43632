//! The driver queue of ring-core and the device queue of `virtio-queue`.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::sync::Arc;

use ring_core::memory::{Memory as _, VmMemory};
use ring_core::{Areas, Arm, Features, Notify, Reader, Segment, Setup};
use support::{EVENT_IDX, HeapDriverQueue, INDIRECT, driver_queue};
use virtio_queue::{Queue, QueueT as _};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::contents::{answer, question};
use crate::{SIZE, Step};

const AREAS: [u64; 3] = [0x1000, 0x1200, 0x1300];
/// The address of the buffers. Each buffer in flight has a page, with its table at the end.
const BUFFERS: u64 = 0x2000;
const PAGE: u64 = 0x1000;
const TABLE: u64 = 0xf00;

type SharedMemory = Arc<GuestMemoryMmap<()>>;

/// A buffer that the driver has not taken back.
struct Buffer {
    cookie: u64,
    page: u64,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
    /// What the device has written.
    answer: Vec<u8>,
}

impl Buffer {
    fn question(&self) -> Vec<u8> {
        question(self.cookie).take(self.readable.iter().map(|s| s.len as usize).sum()).collect()
    }
}

struct Rig {
    shared: SharedMemory,
    features: Features,
    driver: HeapDriverQueue<VmMemory<GuestMemoryMmap>, u64>,
    device: Queue,
    next_cookie: u64,
    staged: VecDeque<Buffer>,
    available: VecDeque<Buffer>,
    /// The buffers that the device has taken, with the heads of their chains.
    taken: Vec<(u16, Buffer)>,
    used: VecDeque<Buffer>,
    /// Whether the driver sleeps, and has to be notified of the next buffer.
    driver_sleeps: bool,
    device_sleeps: bool,
}

pub(crate) fn run(features: Features, laps: u32, steps: &[Step]) {
    let mut rig = Rig::new(features);
    for _ in 0..laps {
        rig.add(&[1], &[]);
        rig.publish();
        rig.take();
        rig.complete(0, 0);
        rig.reap();
    }
    steps.iter().for_each(|step| rig.perform(step));
}

impl Rig {
    fn new(features: Features) -> Self {
        let bytes = usize::try_from(BUFFERS + PAGE * u64::from(SIZE)).expect("the memory is a few pages");
        let shared: SharedMemory = Arc::new(
            GuestMemoryMmap::from_ranges(&[(GuestAddress(0), bytes)]).expect("the memory is a few pages"),
        );
        let [descriptor_area, driver_area, device_area] = AREAS;
        let setup = Setup::new(
            SIZE,
            features,
            Areas { descriptor: descriptor_area, driver: driver_area, device: device_area },
        );
        let driver = driver_queue(VmMemory::new(shared.clone()), &setup);
        let mut device = Queue::new(SIZE).expect("the size is a power of two");
        device.try_set_desc_table_address(GuestAddress(descriptor_area)).expect("the address is aligned");
        device.try_set_avail_ring_address(GuestAddress(driver_area)).expect("the address is aligned");
        device.try_set_used_ring_address(GuestAddress(device_area)).expect("the address is aligned");
        device.set_event_idx(features.contains(EVENT_IDX));
        device.set_ready(true);
        assert!(device.is_valid(&*shared));
        Self {
            shared,
            features,
            driver,
            device,
            next_cookie: 0,
            staged: VecDeque::new(),
            available: VecDeque::new(),
            taken: Vec::new(),
            used: VecDeque::new(),
            driver_sleeps: false,
            device_sleeps: false,
        }
    }

    fn perform(&mut self, step: &Step) {
        match step {
            Step::Add { readable, writable } => self.add(readable, writable),
            Step::PublishAvailable => self.publish(),
            Step::Take => self.take(),
            Step::Complete { which, written } => self.complete(*which, *written),
            // The device publishes each buffer when it completes the buffer.
            Step::PublishUsed => self.check_driver_is_notified(),
            Step::Reap => self.reap(),
            Step::ArmDriver => {
                let arm = self.driver.arm();
                assert_eq!(arm == Arm::Unpublished, !self.staged.is_empty());
                self.driver_sleeps = arm == Arm::Armed;
                assert_eq!(self.driver_sleeps, self.staged.is_empty() && self.used.is_empty());
            }
            Step::ArmDevice => {
                self.device_sleeps = !self.device.enable_notification(&*self.shared).unwrap();
                assert_eq!(self.device_sleeps, self.available.is_empty());
            }
        }
    }

    fn add(&mut self, readable: &[u8], writable: &[u8]) {
        let everywhere = self.staged.iter().chain(&self.available).chain(&self.used);
        let in_use: Vec<u64> =
            everywhere.chain(self.taken.iter().map(|(_, buffer)| buffer)).map(|buffer| buffer.page).collect();
        let Some(page) = (BUFFERS..).step_by(0x1000).take(SIZE.into()).find(|page| !in_use.contains(page))
        else {
            return;
        };
        let mut at = page;
        let mut cut = |lens: &[u8]| -> Vec<Segment> {
            let segments = lens.iter().map(|&len| {
                at += 64;
                Segment::new(at + u64::from(len), len.into())
            });
            segments.collect()
        };
        let cookie = self.next_cookie;
        let (readable, writable) = (cut(readable), cut(writable));
        let buffer = Buffer { cookie, page, readable, writable, answer: Vec::new() };
        let mut question = buffer.question().into_iter();
        for segment in &buffer.readable {
            let bytes: Vec<u8> = question.by_ref().take(segment.len as usize).collect();
            self.driver.memory().write_bytes(segment.address, &bytes).unwrap();
        }
        let Buffer { readable, writable, .. } = &buffer;
        let result = if self.features.contains(INDIRECT) && readable.len() + writable.len() > 1 {
            self.driver.add_indirect(Segment::new(page + TABLE, 0x100), readable, writable, cookie)
        } else {
            self.driver.add(readable, writable, cookie)
        };
        if result.is_ok() {
            self.next_cookie += 1;
            self.staged.push_back(buffer);
        }
    }

    fn publish(&mut self) {
        let notify = self.driver.publish();
        let anything = !self.staged.is_empty();
        self.available.append(&mut self.staged);
        if self.device_sleeps && anything {
            assert_eq!(notify, Notify::Needed, "the device sleeps");
            self.device_sleeps = false;
        }
    }

    fn take(&mut self) {
        let chain = self.device.pop_descriptor_chain(&*self.shared);
        let Some(buffer) = self.available.pop_front() else {
            assert!(chain.is_none());
            return;
        };
        let chain = chain.expect("a buffer is available");
        self.device_sleeps = false;
        self.device.disable_notification(&*self.shared).unwrap();
        let mut read = Vec::new();
        chain.clone().reader(&*self.shared).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, buffer.question());
        let room = chain.clone().writer(&*self.shared).unwrap().available_bytes();
        assert_eq!(room, buffer.writable.iter().map(|segment| segment.len as usize).sum::<usize>());
        let head = chain.head_index();
        // The device may write the answer long before it returns the buffer.
        let bytes = answer(&read, room);
        chain.writer(&*self.shared).unwrap().write_all(&bytes).unwrap();
        self.taken.push((head, Buffer { answer: bytes, ..buffer }));
    }

    fn complete(&mut self, which: u8, written: u16) {
        if self.taken.is_empty() {
            return;
        }
        let (head, mut buffer) = self.taken.swap_remove(usize::from(which) % self.taken.len());
        let written = usize::from(written) % (buffer.answer.len() + 1);
        buffer.answer.truncate(written);
        self.device.add_used(&*self.shared, head, u32::try_from(written).unwrap()).unwrap();
        self.used.push_back(buffer);
    }

    fn check_driver_is_notified(&mut self) {
        let notifies = self.device.needs_notification(&*self.shared).unwrap();
        if self.driver_sleeps && !self.used.is_empty() {
            assert!(notifies, "the driver sleeps");
            self.driver_sleeps = false;
        }
    }

    fn reap(&mut self) {
        let used = self.driver.reap().expect("the device follows the rules");
        let Some(buffer) = self.used.pop_front() else {
            assert_eq!(used, None);
            return;
        };
        let used = used.expect("a buffer is used");
        self.driver_sleeps = false;
        assert_eq!((used.cookie, used.written as usize), (buffer.cookie, buffer.answer.len()));
        let mut bytes = vec![0; buffer.answer.len()];
        Reader::new(self.driver.memory(), &buffer.writable).read(&mut bytes).unwrap();
        assert_eq!(bytes, buffer.answer);
    }
}
