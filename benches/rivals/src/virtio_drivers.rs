//! rcore-os's `virtio-drivers`: the driver's end of split queues.

// UNSAFETY: callers of `virtio-drivers` have to keep buffers alive and must not access them.
#![expect(unsafe_code)]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::slice;

use ring_core::{Features, Segment, Setup};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::arena::{self, QUEUE_SIZE};
use crate::case::{Bursts, Case, Decisions, Ends};
use crate::ends::DriverEnd;
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{Pair, Queue};
use crate::request::Request;
use crate::shape::Shapes;
use crate::tally::Returned;
use crate::{stub, virtio_queue};

/// The crate with a stub of a device.
#[derive(Debug)]
pub struct Alone;

impl Implementation for Alone {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let Case::Bursts(Bursts { ends: Ends::Driver, .. }) = case else { return None };
        let mut fixture = Fixture::new(case, Features::empty());
        let driver = Driver::<{ QUEUE_SIZE as usize }>::new(&mut fixture, case.shapes().uses_tables());
        let device = stub::split::Device::new(&fixture);
        Some(Pair::boxed(fixture, driver, device))
    }

    fn suppresses_notifications(&self) -> bool {
        // The driver also notifies when the device has not asked.
        false
    }
}

/// The crate with a device of `virtio-queue`.
#[derive(Debug)]
pub struct WithVirtioQueue<V>(PhantomData<V>);

impl<V> WithVirtioQueue<V> {
    /// Returns the implementation.
    #[expect(clippy::new_without_default, reason = "a marker type, without a value")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<V: virtio_queue::Device> Implementation for WithVirtioQueue<V> {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        match case {
            // The crate has its indirect tables on the heap, where `virtio-queue` cannot access
            // them.
            Case::Bursts(Bursts { shapes: Shapes::All(shape), .. }) if shape.is_indirect() => None,
            Case::Bursts(Bursts { ends: Ends::Both, .. })
            | Case::RoundTrip(Decisions::Both)
            | Case::TwoThreads(_) => match case.queue_size() {
                16 => Some(connect::<16, V>(case)),
                64 => Some(connect::<64, V>(case)),
                256 => Some(connect::<256, V>(case)),
                1024 => Some(connect::<1024, V>(case)),
                _ => None,
            },
            _ => None,
        }
    }

    fn suppresses_notifications(&self) -> bool {
        // The driver also notifies when the device has not asked, and so does the device.
        false
    }
}

/// Sets up both ends of a queue of this size. All chains of mixed requests go to the ring.
fn connect<const SIZE: usize, V: virtio_queue::Device>(case: Case) -> Box<dyn Queue> {
    let mut fixture = Fixture::new(case, Features::empty());
    let driver = Driver::<SIZE>::new(&mut fixture, false);
    let device = V::new(&fixture);
    Pair::boxed(fixture, driver, device)
}

/// The driver's end of a queue.
#[derive(Debug)]
struct Driver<const SIZE: usize> {
    queue: VirtQueue<Identity, SIZE>,
    /// The buffers of each request.
    buffers: Vec<Buffers>,
    /// The cookie of the request for each token.
    cookies: [u16; SIZE],
}

#[derive(Debug)]
struct Buffers {
    readable: Vec<&'static [u8]>,
    writable: &'static mut [u8],
}

impl<const SIZE: usize> Driver<SIZE> {
    /// Makes the driver's end. Writes the layout that the crate has chosen to `fixture`.
    fn new(fixture: &mut Fixture, indirect: bool) -> Self {
        NEXT_PAGE.set(fixture.setup.areas.descriptor);
        let mut transport = Nowhere { setup: fixture.setup };
        let queue = VirtQueue::new(&mut transport, 0, indirect, true).expect("the arena has room");
        fixture.setup = transport.setup;
        let buffers = fixture.requests.iter().map(Buffers::of).collect();
        Self { queue, buffers, cookies: [0; SIZE] }
    }
}

impl Buffers {
    fn of(request: &Request) -> Self {
        let start = |segment: &Segment| arena::pointer(segment.address).as_ptr();
        let [writable] = request.writable() else { panic!("one writable segment is supported") };
        let readable = request.readable().iter().map(|segment| {
            // SAFETY: segments are in an arena, which is never unmapped. Nothing writes to readable
            // segments.
            unsafe { slice::from_raw_parts(start(segment), segment.len as usize) }
        });
        Self {
            readable: readable.collect(),
            // SAFETY: as above. Nothing else accesses the bytes of writable segments.
            writable: unsafe { slice::from_raw_parts_mut(start(writable), writable.len as usize) },
        }
    }
}

impl<const SIZE: usize> DriverEnd for Driver<SIZE> {
    #[inline(never)]
    fn submit(&mut self, requests: &[Request]) {
        for request in requests {
            let Buffers { readable, writable } = &mut self.buffers[usize::from(request.cookie)];
            // SAFETY: the buffers are never freed, and nothing accesses them.
            let added = unsafe { self.queue.add(readable, &mut [writable]) };
            let Ok(token) = added else { panic!("a burst fits the queue") };
            self.cookies[usize::from(token)] = request.cookie;
        }
    }

    #[inline(never)]
    fn collect(&mut self, mut returned: Returned) -> Returned {
        while let Some(token) = self.queue.peek_used() {
            let cookie = self.cookies[usize::from(token)];
            let Buffers { readable, writable } = &mut self.buffers[usize::from(cookie)];
            // SAFETY: these buffers were added with this token.
            let popped = unsafe { self.queue.pop_used(token, readable, &mut [writable]) };
            let Ok(written) = popped else { panic!("the token was looked up") };
            returned.add(cookie, written);
        }
        returned
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        self.queue.should_notify()
    }
}

thread_local! {
    /// The address of the next free page.
    static NEXT_PAGE: Cell<u64> = const { Cell::new(0) };
}

/// Guest addresses equal the addresses of this process, and no queue is unmapped.
#[derive(Debug)]
enum Identity {}

// SAFETY: pages are at the start of an arena, which is zeroed, not used otherwise, and never
// unmapped.
unsafe impl Hal for Identity {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let start = NEXT_PAGE.get().next_multiple_of(PAGE_SIZE as u64);
        NEXT_PAGE.set(start + (pages * PAGE_SIZE) as u64);
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

/// A transport that only stores the layout of the queue.
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
