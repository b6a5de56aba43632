//! The front-end and the driver.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::driver::{Slot, Used};
use ring_core::memory::{Memory, VmMemory};
use ring_core::{Arm, Driver, Features, Segment, Setup};
use rustix::fs::{MemfdFlags, memfd_create};
use snd_host::spec::{CONTROL_QUEUE, QUEUES, RX_QUEUE, Status, TX_QUEUE, request};
use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserHeaderFlag, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::{DEADLINE, Daemon, status_of, words};

/// The guest has this much memory, from address 0.
pub(crate) const MEMORY_END: u64 = 8 << 20;

/// Each queue has this much of it for its areas.
const QUEUE_BYTES: u64 = 64 << 10;

/// Each message has this much of the rest.
const PLACE_BYTES: u64 = 16 << 10;

const QUEUE_SIZE: u16 = 64;

/// Where the areas of a queue are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Areas {
    pub(crate) descriptors: u64,
    pub(crate) driver: u64,
    device: u64,
}

const fn areas(queue: u64) -> Areas {
    let start = queue * QUEUE_BYTES;
    Areas { descriptors: start, driver: start + QUEUE_BYTES / 4, device: start + QUEUE_BYTES / 2 }
}

/// Those of the queue for audio to play.
pub(crate) const TX_AREAS: Areas = areas(TX_QUEUE as u64);
/// And its size.
pub(crate) const TX_QUEUE_SIZE: u16 = QUEUE_SIZE;

/// What separates the front-end's addresses from the guest's.
const VMM_OFFSET: u64 = 0x7f00_0000_0000;

/// The format of the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Split,
    Packed,
}

type GuestMemory = VmMemory<Arc<GuestMemoryMmap>>;

/// One queue of the guest.
struct Queue {
    driver: Driver<GuestMemory, Box<[Slot<u64>]>, u64>,
    kick: EventFd,
    call: EventFd,
    /// Waits for `call`.
    called: Epoll,
    setup: Setup,
    /// Where the device shall go on.
    base: u16,
}

/// A guest that is connected and has set up all queues.
pub(crate) struct Guest {
    pub(crate) frontend: Frontend,
    pub(crate) memory: GuestMemory,
    map: Arc<GuestMemoryMmap>,
    queues: Vec<Queue>,
    /// How many messages there were.
    messages: u64,
}

/// A message that was returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Played {
    pub(crate) status: u32,
    pub(crate) latency_bytes: u32,
    pub(crate) written: u32,
}

/// A message that was filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) status: u32,
    pub(crate) latency_bytes: u32,
    pub(crate) audio: Vec<u8>,
}

/// Connecting, and the rest that a front-end does.
impl Guest {
    /// Connects, and starts all queues.
    pub(crate) fn connect(daemon: &Daemon, format: Format) -> Self {
        let mut frontend = Frontend::connect(daemon.socket(), QUEUES as u64).unwrap();
        let offered = frontend.get_features().unwrap();
        frontend.set_owner().unwrap();
        frontend.get_protocol_features().unwrap();
        let wanted = VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE;
        frontend.set_protocol_features(wanted).unwrap();
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        let mut features = Features::from_bits_retain(offered);
        if format == Format::Split {
            features -= Features::RING_PACKED;
        }
        frontend.set_features(features.bits()).unwrap();

        let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
        file.set_len(MEMORY_END).unwrap();
        let range = (GuestAddress(0), usize::try_from(MEMORY_END).unwrap(), Some(FileOffset::new(file, 0)));
        let map = Arc::new(GuestMemoryMmap::<()>::from_ranges_with_files([range]).unwrap());
        let memory = VmMemory::new(map.clone());
        let queues = (0..QUEUES as u64).map(|index| Queue::new(&memory, index, features)).collect();
        let mut guest = Self { frontend, memory, map, queues, messages: 0 };
        guest.set_memory_table();
        guest.start();
        guest
    }

    /// Tells where the memory is; again, if it was told before.
    pub(crate) fn set_memory_table(&self) {
        let region = self.map.find_region(GuestAddress(0)).unwrap();
        let mut info = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        info.userspace_addr = VMM_OFFSET;
        self.frontend.set_mem_table(&[info]).unwrap();
    }

    /// Starts all queues where they were stopped.
    pub(crate) fn start(&mut self) {
        for (index, queue) in self.queues.iter().enumerate() {
            let setup = &queue.setup;
            let config = VringConfigData {
                queue_max_size: setup.size,
                queue_size: setup.size,
                flags: 0,
                desc_table_addr: VMM_OFFSET + setup.descriptor_area,
                used_ring_addr: VMM_OFFSET + setup.device_area,
                avail_ring_addr: VMM_OFFSET + setup.driver_area,
                log_addr: None,
            };
            self.frontend.set_vring_num(index, setup.size).unwrap();
            self.frontend.set_vring_base(index, queue.base).unwrap();
            self.frontend.set_vring_addr(index, &config).unwrap();
            self.frontend.set_vring_call(index, &queue.call).unwrap();
            self.frontend.set_vring_kick(index, &queue.kick).unwrap();
            self.frontend.set_vring_enable(index, true).unwrap();
        }
    }

    /// Stops all queues.
    pub(crate) fn stop(&mut self) {
        for (index, queue) in self.queues.iter_mut().enumerate() {
            self.frontend.set_vring_enable(index, false).unwrap();
            queue.base = u16::try_from(self.frontend.get_vring_base(index).unwrap()).unwrap();
        }
    }

    /// The device's configuration.
    pub(crate) fn config(&mut self) -> Vec<u8> {
        let (_, config) = self.frontend.get_config(0, 16, VhostUserConfigFlags::WRITABLE, &[0; 16]).unwrap();
        config
    }
}

/// What a driver does.
impl Guest {
    /// A place for a message that no message in flight has.
    pub(crate) fn place(&mut self) -> u64 {
        let places = (MEMORY_END - QUEUES as u64 * QUEUE_BYTES) / PLACE_BYTES;
        assert!(places >= QUEUES as u64 * u64::from(QUEUE_SIZE));
        self.messages += 1;
        QUEUES as u64 * QUEUE_BYTES + self.messages % places * PLACE_BYTES
    }

    /// Makes a buffer available.
    pub(crate) fn add(&mut self, queue: usize, readable: &[Segment], writable: &[Segment], cookie: u64) {
        let queue = &mut self.queues[queue];
        queue.driver.add(readable, writable, cookie).unwrap();
        if queue.driver.publish().is_needed() {
            queue.kick.write(1).unwrap();
        }
    }

    /// Makes a buffer available through a table.
    pub(crate) fn add_indirect(
        &mut self,
        queue: usize,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: u64,
    ) {
        let queue = &mut self.queues[queue];
        queue.driver.add_indirect(table, readable, writable, cookie).unwrap();
        if queue.driver.publish().is_needed() {
            queue.kick.write(1).unwrap();
        }
    }

    /// How many buffers the device has.
    pub(crate) fn in_flight(&self, queue: usize) -> u16 {
        self.queues[queue].driver.in_flight()
    }

    /// Notifies the device of a queue, whether it wants it or not.
    pub(crate) fn kick(&self, queue: usize) {
        self.queues[queue].kick.write(1).unwrap();
    }

    /// Notifies the device of a queue, and takes that back after a moment, if the device has not read it yet.
    pub(crate) fn kick_and_take_back(&self, queue: usize, moment: Duration) {
        self.kick(queue);
        let start = Instant::now();
        while start.elapsed() < moment {
            std::hint::spin_loop();
        }
        // Fails if the device was quicker.
        let _ = self.queues[queue].kick.read();
    }

    /// Waits until the device returns a buffer.
    pub(crate) fn wait(&mut self, queue: usize) -> Used<u64> {
        let queue = &mut self.queues[queue];
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(used) = queue.driver.reap().unwrap() {
                return used;
            }
            if queue.driver.arm() == Arm::Armed {
                let left = deadline.saturating_duration_since(Instant::now());
                let timeout = i32::try_from(left.as_millis()).unwrap();
                let ready = queue.called.wait(timeout, &mut [EpollEvent::default()]).unwrap();
                assert!(ready > 0, "no buffer has come back");
                queue.call.read().unwrap();
            }
        }
    }

    /// Whether the device has returned nothing (more) on a queue.
    pub(crate) fn is_quiet(&mut self, queue: usize) -> bool {
        self.queues[queue].driver.reap().unwrap().is_none()
    }

    /// Sends a control request and returns what was written of the answer, at most `room` bytes.
    pub(crate) fn request(&mut self, request: &[u8], room: u32) -> Vec<u8> {
        let place = self.place();
        let answer = place + PLACE_BYTES / 2;
        self.memory.write_bytes(place, request).unwrap();
        let readable = [Segment::new(place, u32::try_from(request.len()).unwrap())];
        let writable = [Segment::new(answer, room)];
        let readable = if request.is_empty() { &[][..] } else { &readable };
        let writable = if room == 0 { &[][..] } else { &writable };
        self.add(CONTROL_QUEUE, readable, writable, answer);
        let used = self.wait(CONTROL_QUEUE);
        assert_eq!(used.cookie, answer);
        let mut bytes = vec![0; used.written as usize];
        self.memory.read_bytes(answer, &mut bytes).unwrap();
        bytes
    }

    /// Sends a request that has no more than a status for an answer.
    pub(crate) fn command(&mut self, request: &[u8]) -> u32 {
        status_of(&self.request(request, 4))
    }

    /// Sends a request that has to succeed.
    pub(crate) fn must(&mut self, request: &[u8]) {
        assert_eq!(self.command(request), Status::Ok as u32, "{request:x?}");
    }

    /// Sends audio to play, for stream `stream`.
    pub(crate) fn play(&mut self, stream: u32, audio: &[u8]) {
        let message = [&stream.to_le_bytes(), audio].concat();
        let place = self.place();
        assert!(message.len() as u64 <= PLACE_BYTES - 8);
        self.memory.write_bytes(place, &message).unwrap();
        let status = place + PLACE_BYTES - 8;
        self.memory.write_bytes(status, &[0xee; 8]).unwrap();
        // Cut where nobody would, in the middle of the header.
        let head = 3;
        let tail = u32::try_from(message.len()).unwrap() - head;
        let readable = [Segment::new(place, head), Segment::new(place + u64::from(head), tail)];
        let writable = [Segment::new(status, 5), Segment::new(status + 5, 3)];
        self.add(TX_QUEUE, &readable, &writable, status);
    }

    /// Waits until the next message has been played.
    pub(crate) fn played(&mut self) -> Played {
        let Used { cookie, written } = self.wait(TX_QUEUE);
        let mut bytes = [0; 8];
        self.memory.read_bytes(cookie, &mut bytes).unwrap();
        let [status, latency_bytes] =
            [0, 4].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
        Played { status, latency_bytes, written }
    }

    /// Asks for `bytes` bytes of recorded audio, of stream `stream`.
    pub(crate) fn record(&mut self, stream: u32, bytes: u32) {
        assert!(u64::from(bytes) + 64 <= PLACE_BYTES);
        let place = self.place();
        self.memory.write_bytes(place, &stream.to_le_bytes()).unwrap();
        let audio = place + 16;
        self.memory.write_bytes(audio, &vec![0xee; bytes as usize + 8]).unwrap();
        // Cut where nobody would, in the middle of the status.
        let head = bytes + 3;
        let writable = [Segment::new(audio, head), Segment::new(audio + u64::from(head), 5)];
        self.add(RX_QUEUE, &[Segment::new(place, 4)], &writable, audio << 16 | u64::from(bytes));
    }

    /// Waits until the next message has been filled.
    pub(crate) fn recorded(&mut self) -> Recorded {
        let Used { cookie, written } = self.wait(RX_QUEUE);
        let (audio, bytes) = (cookie >> 16, cookie & 0xffff);
        let mut status = [0; 8];
        self.memory.read_bytes(audio + bytes, &mut status).unwrap();
        let [status, latency_bytes] =
            [0, 4].map(|at| u32::from_le_bytes(status[at..at + 4].try_into().unwrap()));
        let mut recorded = vec![0; (written - 8) as usize];
        self.memory.read_bytes(audio, &mut recorded).unwrap();
        Recorded { status, latency_bytes, audio: recorded }
    }

    /// Asks for information on the first stream.
    pub(crate) fn pcm_info(&mut self) -> Vec<u8> {
        self.request(&words(&[request::PCM_INFO, 0, 1, 32]), 36)
    }
}

impl Queue {
    fn new(memory: &GuestMemory, index: u64, features: Features) -> Self {
        let Areas { descriptors, driver, device } = areas(index);
        let setup = Setup {
            size: QUEUE_SIZE,
            features,
            descriptor_area: descriptors,
            driver_area: driver,
            device_area: device,
        };
        let slots = (0..QUEUE_SIZE).map(|_| Slot::EMPTY).collect();
        let driver = Driver::new(memory.clone(), &setup, slots).unwrap();
        let base = if features.contains(Features::RING_PACKED) { 1 << 15 } else { 0 };
        let event = || EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).unwrap();
        let (kick, call, called) = (event(), event(), Epoll::new().unwrap());
        let wanted = EpollEvent::new(EventSet::IN, 0);
        called.ctl(ControlOperation::Add, call.as_raw_fd(), wanted).unwrap();
        Self { driver, kick, call, called, setup, base }
    }
}
