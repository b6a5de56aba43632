//! rcore-os's `virtio-drivers`: the driver's end of split queues.

// UNSAFETY: `virtio-drivers` leaves it to its caller that buffers live and are not touched.
#![expect(unsafe_code)]

use std::cell::Cell;
use std::ptr::NonNull;
use std::slice;

use ring_core::{Segment, Setup};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{Arena, DriverEnd, QUEUE_SIZE, Request, Shape, arena};

/// The driver's end of a queue.
#[derive(Debug)]
pub struct Driver {
    queue: VirtQueue<Identity, { QUEUE_SIZE as usize }>,
    /// The requests' buffers.
    buffers: Vec<Buffers>,
    /// Which request a token stands for.
    cookies: [u16; QUEUE_SIZE as usize],
}

#[derive(Debug)]
struct Buffers {
    readable: Vec<&'static [u8]>,
    writable: &'static mut [u8],
}

impl Driver {
    /// The driver's end of a new queue in `arena` for requests of this shape, and where the queue is.
    ///
    /// # Panics
    ///
    /// If there is no room for the queue, or a request has more or less than one writable segment.
    #[must_use]
    pub fn new(arena: &Arena, requests: &[Request], shape: Shape) -> (Self, Setup) {
        let setup = arena.setup(ring_core::Features::empty());
        PAGES.set(setup.areas.descriptor);
        let mut transport = Nowhere { setup };
        let queue = VirtQueue::new(&mut transport, 0, shape.is_indirect(), true).expect("there is room");
        let buffers = requests.iter().map(Buffers::of).collect();
        (Self { queue, buffers, cookies: [0; QUEUE_SIZE as usize] }, transport.setup)
    }
}

impl Buffers {
    fn of(request: &Request) -> Self {
        let start = |segment: &Segment| arena::pointer(segment.address).as_ptr();
        let [writable] = request.writable() else { panic!("one writable segment is supported") };
        let readable = request.readable().iter().map(|segment| {
            // SAFETY: segments lie in an arena, which is never unmapped and which nobody writes to here.
            unsafe { slice::from_raw_parts(start(segment), segment.len as usize) }
        });
        Self {
            readable: readable.collect(),
            // SAFETY: as above, and nobody else accesses the bytes of this segment at all.
            writable: unsafe { slice::from_raw_parts_mut(start(writable), writable.len as usize) },
        }
    }
}

impl DriverEnd for Driver {
    #[inline(always)]
    fn add(&mut self, request: &Request) {
        let Buffers { readable, writable } = &mut self.buffers[usize::from(request.cookie)];
        // SAFETY: the buffers live forever, and nobody accesses them.
        let added = unsafe { self.queue.add(readable, &mut [writable]) };
        let Ok(token) = added else { panic!("a burst fits the queue") };
        self.cookies[usize::from(token)] = request.cookie;
    }

    #[inline(always)]
    fn publish(&mut self) {}

    #[inline(always)]
    fn announce(&mut self) -> bool {
        self.queue.should_notify()
    }

    #[inline(always)]
    fn reap(&mut self) -> Option<(u16, u32)> {
        let token = self.queue.peek_used()?;
        let cookie = self.cookies[usize::from(token)];
        let Buffers { readable, writable } = &mut self.buffers[usize::from(cookie)];
        // SAFETY: the same buffers as were added with this token.
        let popped = unsafe { self.queue.pop_used(token, readable, &mut [writable]) };
        let Ok(written) = popped else { panic!("the token was looked up") };
        Some((cookie, written))
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        // With event indices it always asks.
        !self.queue.can_pop()
    }
}

thread_local! {
    /// Where the next pages of a queue come from.
    static PAGES: Cell<u64> = const { Cell::new(0) };
}

/// Addresses are the same everywhere, and no queue is ever unmapped.
#[derive(Debug)]
enum Identity {}

// SAFETY: pages come from an arena, which is zeroed, used for nothing else at its start, and never unmapped.
unsafe impl Hal for Identity {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let start = PAGES.get().next_multiple_of(PAGE_SIZE as u64);
        PAGES.set(start + (pages * PAGE_SIZE) as u64);
        (start, arena::pointer(start))
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::dangling()
    }

    #[inline(always)]
    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().expose_provenance().get() as u64
    }

    #[inline(always)]
    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// A transport that only notes where the queue is.
#[derive(Debug)]
struct Nowhere {
    setup: Setup,
}

impl Transport for Nowhere {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn read_device_features(&mut self) -> u64 {
        self.setup.features.bits()
    }

    fn write_driver_features(&mut self, _: u64) {}

    fn max_queue_size(&mut self, _: u16) -> u32 {
        self.setup.size.into()
    }

    fn notify(&mut self, _: u16) {}

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::DRIVER_OK
    }

    fn set_status(&mut self, _: DeviceStatus) {}

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(&mut self, _: u16, _: u32, descriptors: PhysAddr, driver: PhysAddr, device: PhysAddr) {
        self.setup.areas.descriptor = descriptors;
        self.setup.areas.driver = driver;
        self.setup.areas.device = device;
    }

    fn queue_unset(&mut self, _: u16) {}

    fn queue_used(&mut self, _: u16) -> bool {
        false
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> virtio_drivers::Result<T> {
        Err(virtio_drivers::Error::Unsupported)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> virtio_drivers::Result<()> {
        Err(virtio_drivers::Error::Unsupported)
    }
}
