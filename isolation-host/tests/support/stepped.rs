//! One forwarded queue with a guest and a device, which a test steps through without a process.

use std::time::Instant;

use isolation_host::area::Area;
use isolation_host::area::policy::Policy;
use isolation_host::device_type::DeviceType;
use isolation_host::forward::{DeviceRing, ForwardedQueue};
use isolation_host::guest_memory::GuestMemory;
use isolation_host::journal::{Journal, JournalMemory};
use isolation_host::mmap::Window;
use isolation_host::protocol::payload::MemoryRegion;
use ring_core::memory::Memory as _;
use ring_core::{Areas, DeviceQueue, DriverQueue, Features, Segment, Setup, Token, device, driver};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

/// The size of the queue.
pub(crate) const SIZE: u16 = 256;
/// The address of the data, behind the rings.
pub(crate) const DATA: u64 = 0x8000;
/// The size of the guest's first memory region.
pub(crate) const MEMORY: u64 = 64 << 20;
/// The address of memory that the VMM can remove. It follows the first region.
pub(crate) const REMOVABLE: u64 = MEMORY;
const REMOVABLE_SIZE: u64 = 1 << 16;
/// The size of the isolated area.
const AREA: u64 = 64 << 20;
/// The features of both rings.
const FEATURES: Features = Features::VERSION_1.union(Features::INDIRECT_DESC);

pub(crate) struct Stepped {
    pub(crate) memory: GuestMemory,
    pub(crate) driver: DriverQueue<GuestMemory, Vec<driver::Slot<u32>>, u32>,
    pub(crate) forwarded: ForwardedQueue,
    /// The isolated area of the current device.
    pub(crate) window: Window,
    pub(crate) device: DeviceQueue<Window, Vec<device::Slot>>,
    setup: Setup,
    device_type: DeviceType,
    journals: JournalMemory,
}

/// Maps fresh memory.
fn memory(address: u64, size: u64) -> Window {
    let file = memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, size).unwrap();
    Window::map(&file, 0, size, address).unwrap()
}

/// Makes the ring of a device in a fresh area.
fn device() -> (DeviceRing, Window, DeviceQueue<Window, Vec<device::Slot>>) {
    let area = Area::new(AREA, 1).unwrap();
    let share = area.share(0, SIZE, FEATURES).unwrap();
    let window = area.window().clone();
    let slots = vec![device::Slot::EMPTY; SIZE.into()];
    let queue = DeviceQueue::new(window.clone(), &share.setup, slots).unwrap();
    (DeviceRing::new(window.clone(), share, Policy::default(), None).unwrap(), window, queue)
}

impl Stepped {
    /// Starts a queue of a device of this type, with a journal.
    pub(crate) fn new(device_type: DeviceType) -> Self {
        let guest = GuestMemory::default();
        guest.add(memory(0, MEMORY), 0).unwrap();
        guest.add(memory(REMOVABLE, REMOVABLE_SIZE), REMOVABLE).unwrap();
        let areas = Areas { descriptor: 0, driver: 0x2000, device: 0x4000 };
        let setup = Setup::new(SIZE, FEATURES, areas);
        let slots = (0..SIZE).map(|_| driver::Slot::EMPTY).collect();
        let (file, bytes) = JournalMemory::make(1, SIZE).unwrap();
        let journals = JournalMemory::open(file, 0, bytes, 1, SIZE).unwrap();
        let journal = journals.queue(0, SIZE, false);
        let mut forwarded = ForwardedQueue::new(guest.clone(), &setup, 0, device_type, journal).unwrap();
        let (ring, window, device) = device();
        forwarded.attach(ring);
        let driver = DriverQueue::new(guest.clone(), &setup, slots).unwrap();
        Self { memory: guest, driver, forwarded, window, device, setup, device_type, journals }
    }

    /// Loses the device, as after a crash of its process.
    pub(crate) fn lose_device(&mut self) {
        let held = self.forwarded.held();
        self.forwarded.lose_device(held);
    }

    /// Connects another device.
    pub(crate) fn connect_device(&mut self) {
        let (ring, window, device) = device();
        self.forwarded.attach(ring);
        (self.window, self.device) = (window, device);
    }

    /// Replaces isolation-host, which recovers the queue from the journal, and the device.
    pub(crate) fn restart(&mut self) {
        let journal: Option<Journal> = self.journals.queue(0, SIZE, false);
        self.forwarded =
            ForwardedQueue::new(self.memory.clone(), &self.setup, 0, self.device_type, journal).unwrap();
        self.connect_device();
    }

    /// Removes the memory at [`REMOVABLE`].
    pub(crate) fn remove_memory(&self) {
        let (guest_address, size) = (REMOVABLE, REMOVABLE_SIZE);
        let region = MemoryRegion { guest_address, size, user_address: REMOVABLE, offset: 0 };
        self.memory.remove(&region).unwrap();
    }

    /// Makes a request available, and moves requests until there is nothing more to do.
    pub(crate) fn request(&mut self, readable: &[Segment], writable: &[Segment], cookie: u32) {
        self.driver.add(readable, writable, cookie).unwrap();
        let _ = self.driver.publish();
        self.run();
    }

    /// Moves requests until there is nothing more to do.
    pub(crate) fn run(&mut self) {
        while self.forwarded.run(Instant::now()).unwrap().again {}
    }

    /// Takes a request as the device. Returns its token, readable bytes and writable segments.
    pub(crate) fn take(&mut self) -> Option<(Token, Vec<u8>, Vec<Segment>)> {
        let mut segments = [Segment::default(); 256];
        let chain = self.device.pop(&mut segments).unwrap()?;
        let mut bytes = Vec::new();
        for segment in chain.readable() {
            let mut part = vec![0; segment.len as usize];
            self.window.read_bytes(segment.address, &mut part).unwrap();
            bytes.extend(part);
        }
        let writable = chain.writable().to_vec();
        Some((chain.into_token(), bytes, writable))
    }

    /// Completes a request as the device, and moves requests until there is nothing more to do.
    pub(crate) fn complete(&mut self, token: Token, written: u32) {
        self.device.complete(token, written).unwrap();
        let _ = self.device.publish();
        self.run();
    }

    /// Takes a used buffer as the guest. Returns the cookie and the number of bytes written.
    pub(crate) fn reap(&mut self) -> Option<(u32, u32)> {
        self.driver.reap().unwrap().map(|used| (used.cookie, used.written))
    }

    /// Reads the guest's memory.
    pub(crate) fn bytes(&self, address: u64, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.memory.read_bytes(address, &mut bytes).unwrap();
        bytes
    }
}
