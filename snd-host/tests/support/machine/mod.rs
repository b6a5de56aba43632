//! The vhost-user front-end, and the memory and queues of its guest.

mod driver;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use ring_core::driver::Slot;
use ring_core::memory::{Memory as _, VmMemory};
use ring_core::{Areas, DriverQueue, Features, Setup};
use ring_core_support::Anywhere;
use rustix::fs::{MemfdFlags, memfd_create};
use snd_host::spec::{QUEUES, TX_QUEUE};
use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserHeaderFlag, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion as _};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::Daemon;

pub(crate) use driver::{Played, Recorded};

/// The end of guest memory, which starts at address 0.
pub(crate) const MEMORY_END: u64 = 8 << 20;

/// The number of bytes of guest memory for the areas of each queue. The queues come first.
const QUEUE_BYTES: u64 = 64 << 10;

const QUEUE_SIZE: u16 = 64;

const fn areas(queue: u64) -> Areas {
    let start = queue * QUEUE_BYTES;
    Areas { descriptor: start, driver: start + QUEUE_BYTES / 4, device: start + QUEUE_BYTES / 2 }
}

/// The areas of the transmit queue, which carries audio to play.
pub(crate) const TX_AREAS: Areas = areas(TX_QUEUE as u64);
/// The number of descriptors of the transmit queue.
pub(crate) const TX_QUEUE_SIZE: u16 = QUEUE_SIZE;

/// The difference between the front-end's address and the guest's address of the same byte.
pub(crate) const VMM_OFFSET: u64 = 0x7f00_0000_0000;

/// The format of the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Split,
    Packed,
}

/// Both formats.
pub(crate) const FORMATS: [Format; 2] = [Format::Split, Format::Packed];

type GuestMemory = VmMemory<GuestMemoryMmap>;

/// One queue of the guest.
struct Queue {
    /// The driver end. Its memory accepts any address, because a hostile guest makes buffers
    /// available that are not in guest memory.
    driver: DriverQueue<Anywhere<GuestMemory>, Box<[Slot<u64>]>, u64>,
    kick: EventFd,
    call: EventFd,
    /// Becomes ready when `call` is signalled.
    called: Epoll,
    setup: Setup,
    /// The vring base: the position at which the device resumes.
    base: u16,
}

/// A guest whose front-end is connected and has set up all queues.
pub(crate) struct Guest {
    pub(crate) frontend: Frontend,
    pub(crate) memory: GuestMemory,
    map: Arc<GuestMemoryMmap>,
    features: Features,
    queues: Vec<Queue>,
    /// The number of messages allocated so far.
    messages: u64,
}

/// The actions of the front-end.
impl Guest {
    /// Connects and starts all queues.
    pub(crate) fn connect(daemon: &Daemon, format: Format) -> Self {
        Self::connect_with(daemon, format, QUEUE_SIZE)
    }

    /// Connects and starts queues of `size` descriptors.
    pub(crate) fn connect_with(daemon: &Daemon, format: Format, size: u16) -> Self {
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
        let queues = (0..QUEUES as u64).map(|index| Queue::new(&memory, index, features, size)).collect();
        let mut guest = Self { frontend, memory, map, features, queues, messages: 0 };
        guest.set_memory_table();
        guest.start_queues();
        guest
    }

    /// Sends the memory table. Repeated calls send the same table again.
    pub(crate) fn set_memory_table(&self) {
        let region = self.map.find_region(GuestAddress(0)).unwrap();
        self.set_memory_file(region.file_offset().unwrap().file()).unwrap();
    }

    /// Sends a memory table with `file` behind all guest memory.
    pub(crate) fn set_memory_file(&self, file: &File) -> vhost::Result<()> {
        let region = self.map.find_region(GuestAddress(0)).unwrap();
        let mut info = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        info.userspace_addr = VMM_OFFSET;
        info.mmap_handle = file.as_raw_fd();
        self.frontend.set_mem_table(&[info]).map(drop)
    }

    /// Starts all queues at the positions at which they were stopped.
    pub(crate) fn start_queues(&mut self) {
        (0..QUEUES).for_each(|index| self.start_queue(index, |_| {}));
    }

    /// Starts a queue at the position at which it was stopped, with addresses that `change` may
    /// alter.
    pub(crate) fn start_queue(&mut self, index: usize, change: impl FnOnce(&mut VringConfigData)) {
        let queue = &self.queues[index];
        let setup = &queue.setup;
        let mut config = VringConfigData {
            queue_max_size: setup.size,
            queue_size: setup.size,
            flags: 0,
            desc_table_addr: VMM_OFFSET + setup.areas.descriptor,
            used_ring_addr: VMM_OFFSET + setup.areas.device,
            avail_ring_addr: VMM_OFFSET + setup.areas.driver,
            log_addr: None,
        };
        change(&mut config);
        self.frontend.set_vring_num(index, setup.size).unwrap();
        self.frontend.set_vring_base(index, queue.base).unwrap();
        self.frontend.set_vring_addr(index, &config).unwrap();
        self.frontend.set_vring_call(index, &queue.call).unwrap();
        self.frontend.set_vring_kick(index, &queue.kick).unwrap();
        self.frontend.set_vring_enable(index, true).unwrap();
    }

    /// Stops all queues.
    pub(crate) fn stop_queues(&mut self) {
        (0..QUEUES).for_each(|index| self.stop_queue(index));
    }

    /// Stops a queue.
    pub(crate) fn stop_queue(&mut self, index: usize) {
        self.frontend.set_vring_enable(index, false).unwrap();
        self.queues[index].base = u16::try_from(self.frontend.get_vring_base(index).unwrap()).unwrap();
    }

    /// Restarts all queues as a machine does after a reset: no driver state, empty queues.
    pub(crate) fn reboot(&mut self) {
        self.stop_queues();
        for (index, queue) in (0..).zip(&mut self.queues) {
            self.memory
                .write_bytes(index * QUEUE_BYTES, &vec![0; usize::try_from(QUEUE_BYTES).unwrap()])
                .unwrap();
            *queue = Queue::new(&self.memory, index, self.features, queue.setup.size);
        }
        self.start_queues();
    }

    /// Returns the device's configuration space.
    pub(crate) fn config(&mut self) -> Vec<u8> {
        let (_, config) = self.frontend.get_config(0, 16, VhostUserConfigFlags::WRITABLE, &[0; 16]).unwrap();
        config
    }
}

impl Queue {
    fn new(memory: &GuestMemory, index: u64, features: Features, size: u16) -> Self {
        let setup = Setup::new(size, features, areas(index));
        let slots = (0..size).map(|_| Slot::EMPTY).collect();
        let driver = DriverQueue::new(Anywhere(memory.clone()), &setup, slots).unwrap();
        let base = if features.contains(Features::RING_PACKED) { 1 << 15 } else { 0 };
        let event = || EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).unwrap();
        let (kick, call, called) = (event(), event(), Epoll::new().unwrap());
        let wanted = EpollEvent::new(EventSet::IN, 0);
        called.ctl(ControlOperation::Add, call.as_raw_fd(), wanted).unwrap();
        Self { driver, kick, call, called, setup, base }
    }
}
