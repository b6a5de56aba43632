//! The queue of `virtio-drivers`, in memory that the device queue of ring-core shares.

// UNSAFETY: `Hal` is an unsafe trait, and the methods of the queue trust the caller with the
// buffers.
#![expect(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr::NonNull;

use ring_core::memory::{Memory as _, RawMemory};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Error, Hal, PAGE_SIZE, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::SIZE;

/// The device's address of the first page of the pool.
const ADDRESS: u64 = 0x10_0000;
const PAGES: usize = 128;
const WORDS: usize = PAGE_SIZE / size_of::<u64>();

/// Pages that both sides share and that are never freed. Each area and each segment has a page of
/// its own.
struct Pool {
    start: NonNull<u8>,
    free: Vec<usize>,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::new());
}

impl Pool {
    fn new() -> Self {
        let words = vec![0u64; (PAGES + 1) * WORDS].leak();
        let skipped = words.as_ptr().align_offset(PAGE_SIZE);
        let start = NonNull::from(words.split_at_mut(skipped).1).cast();
        Self { start, free: (0..PAGES).collect() }
    }

    fn take(&mut self) -> (PhysAddr, NonNull<u8>) {
        let page = self.free.pop().expect("a queue of eight needs a few dozen pages");
        let offset = page * PAGE_SIZE;
        // SAFETY: `new` has leaked the page, and `page` is below `PAGES`.
        (ADDRESS + offset as u64, unsafe { self.start.add(offset) })
    }

    fn put(&mut self, address: PhysAddr) {
        self.free.push(page(address));
    }
}

/// Returns the index of the page that contains an address.
fn page(address: PhysAddr) -> usize {
    usize::try_from(address - ADDRESS).expect("the address is in the pool") / PAGE_SIZE
}

/// Returns the pool as memory of the device.
pub(crate) fn memory() -> RawMemory<'static> {
    let start = POOL.with_borrow(|pool| pool.start);
    // SAFETY: the pages are never freed. Plain accesses to them come from this thread only, because
    // the pool is local to the thread.
    unsafe { RawMemory::new(start, ADDRESS, PAGES * PAGE_SIZE) }
}

struct Pages;

// SAFETY: `dma_alloc` returns pages of the pool, which are aligned, zeroed and used once at a time.
// `share` copies to a page of the pool and returns the address of the page.
unsafe impl Hal for Pages {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        assert_eq!(pages, 1, "the areas of a queue of eight fit a page each");
        let (address, page) = POOL.with_borrow_mut(Pool::take);
        memory().write_bytes(address, &[0; PAGE_SIZE]).expect("the address is in the pool");
        (address, page)
    }

    unsafe fn dma_dealloc(address: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        POOL.with_borrow_mut(|pool| pool.put(address));
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("only the PCI transport maps registers")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        let (address, _) = POOL.with_borrow_mut(Pool::take);
        // SAFETY: the caller promises that the buffer is valid and not in use.
        let buffer = unsafe { buffer.as_ref() };
        memory().write_bytes(address, buffer).expect("a segment is less than a page");
        address
    }

    unsafe fn unshare(address: PhysAddr, mut buffer: NonNull<[u8]>, direction: BufferDirection) {
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: as in `share`. The device may write the buffer.
            let buffer = unsafe { buffer.as_mut() };
            memory().read_bytes(address, buffer).expect("a segment is less than a page");
        }
        POOL.with_borrow_mut(|pool| pool.put(address));
    }
}

/// The segments of a buffer.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) readable: Vec<Vec<u8>>,
    pub(crate) writable: Vec<Vec<u8>>,
}

pub(crate) struct TheirDriver {
    queue: VirtQueue<Pages, { SIZE as usize }>,
    areas: [u64; 3],
    in_flight: BTreeMap<u16, Buffer>,
}

impl TheirDriver {
    pub(crate) fn new(indirect: bool, event_idx: bool) -> Self {
        let mut transport = NoTransport { areas: [0; 3] };
        let queue =
            VirtQueue::new(&mut transport, 0, indirect, event_idx).expect("the pool has room for the areas");
        Self { queue, areas: transport.areas, in_flight: BTreeMap::new() }
    }

    /// Returns the addresses of the descriptor area, the driver area and the device area.
    pub(crate) fn areas(&self) -> [u64; 3] {
        self.areas
    }

    /// Makes a buffer available, if there is room.
    pub(crate) fn add(&mut self, mut buffer: Buffer) -> Option<u16> {
        let readable: Vec<&[u8]> = buffer.readable.iter().map(Vec::as_slice).collect();
        let mut writable: Vec<&mut [u8]> = buffer.writable.iter_mut().map(Vec::as_mut_slice).collect();
        // SAFETY: `in_flight` keeps the segments until `reap` passes them to `pop_used`.
        match unsafe { self.queue.add(&readable, &mut writable) } {
            Ok(token) => {
                assert!(self.in_flight.insert(token, buffer).is_none());
                Some(token)
            }
            Err(Error::QueueFull | Error::InvalidParam) => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn should_notify(&self) -> bool {
        self.queue.should_notify()
    }

    /// Takes back the next used buffer: its token, the number of bytes written, and the buffer.
    pub(crate) fn reap(&mut self) -> Option<(u16, u32, Buffer)> {
        let token = self.queue.peek_used()?;
        let mut buffer = self.in_flight.remove(&token).expect("the device returns what is in flight");
        let readable: Vec<&[u8]> = buffer.readable.iter().map(Vec::as_slice).collect();
        let mut writable: Vec<&mut [u8]> = buffer.writable.iter_mut().map(Vec::as_mut_slice).collect();
        // SAFETY: these are the segments that were passed to `add`.
        let written = unsafe { self.queue.pop_used(token, &readable, &mut writable) };
        Some((token, written.expect("the token is that of the next used buffer"), buffer))
    }
}

impl Drop for TheirDriver {
    /// Returns the pages of the buffers in flight to the pool. The queue returns the pages of its
    /// areas only.
    fn drop(&mut self) {
        let [descriptors, _, device] = self.areas.map(page);
        POOL.with_borrow_mut(|pool| {
            pool.free = (0..PAGES).filter(|free| ![descriptors, device].contains(free)).collect();
        });
    }
}

/// A transport that only records the addresses of the areas.
struct NoTransport {
    areas: [u64; 3],
}

impl Transport for NoTransport {
    fn queue_set(&mut self, _: u16, _: u32, descriptors: u64, driver_area: u64, device_area: u64) {
        self.areas = [descriptors, driver_area, device_area];
    }

    fn max_queue_size(&mut self, _: u16) -> u32 {
        SIZE.into()
    }

    fn queue_used(&mut self, _: u16) -> bool {
        false
    }

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn read_device_features(&mut self) -> u64 {
        0
    }

    fn write_driver_features(&mut self, _: u64) {}

    fn notify(&mut self, _: u16) {}

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::empty()
    }

    fn set_status(&mut self, _: DeviceStatus) {}

    fn set_guest_page_size(&mut self, _: u32) {}

    fn queue_unset(&mut self, _: u16) {}

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> virtio_drivers::Result<T> {
        Err(Error::Unsupported)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> virtio_drivers::Result<()> {
        Err(Error::Unsupported)
    }
}
