//! libblkio's `virtio-driver`: the driver's end of split and of packed queues.
//!
//! The type of a translated address is private, so only the crate's own transports can translate
//! addresses for a queue. The queue here has the translator of a vhost-user transport, which
//! translates each address to itself. To make that transport, a small back-end completes the
//! handshake.

// UNSAFETY: lends the memory of a queue to `virtio-driver`.
#![expect(unsafe_code)]

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::marker::PhantomData;
use std::os::unix::net::{UnixListener, UnixStream};
use std::slice;
use std::thread;

use ring_core::Features;
use virtio_driver::virtqueue::Virtqueue;
use virtio_driver::{IovaTranslator, Le64, VhostUser, VirtioFeatureFlags, VirtioTransport, iovec};

use crate::arena;
use crate::case::{Bursts, Case, Ends};
use crate::ends::DriverEnd;
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{Pair, Queue};
use crate::request::Request;
use crate::shape::Shapes;
use crate::tally::Returned;
use crate::{stub, virtio_queue};

/// The crate in one format, with a stub of a device.
#[derive(Debug)]
pub struct Alone<F>(PhantomData<F>);

impl<F> Alone<F> {
    /// Returns the implementation.
    #[expect(clippy::new_without_default, reason = "a marker type, without a value")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<F: stub::Format> Implementation for Alone<F> {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let Case::Bursts(Bursts { ends: Ends::Driver, shapes, .. }) = case else { return None };
        if shapes.uses_tables() {
            return None; // the crate has no indirect tables
        }
        let mut fixture = Fixture::new(case, F::FEATURES);
        let driver = Driver::new(&mut fixture);
        let device = F::device(&fixture);
        Some(Pair::boxed(fixture, driver, device))
    }
}

/// The crate's split queues with a device of `virtio-queue`.
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
            // The crate has no indirect tables. All chains of mixed requests go to the ring.
            Case::Bursts(Bursts { shapes: Shapes::All(shape), .. }) if shape.is_indirect() => None,
            Case::Bursts(Bursts { ends: Ends::Both, .. }) | Case::TwoThreads(_) => {
                let mut fixture = Fixture::new(case, Features::empty());
                let driver = Driver::new(&mut fixture);
                let device = V::new(&fixture);
                Some(Pair::boxed(fixture, driver, device))
            }
            _ => None,
        }
    }
}

/// The driver's end of a queue. The crate does not report how many bytes were written.
struct Driver {
    queue: Virtqueue<'static, ()>,
    /// For each id, the cookie of the request and the number of bytes that a device writes.
    requests: Vec<(u16, u32)>,
}

impl Driver {
    /// Makes the driver's end. Writes the layout that the crate has chosen to `fixture`.
    fn new(Fixture { arena, setup, .. }: &mut Fixture) -> Self {
        let bytes = usize::try_from(arena.tables() - setup.areas.descriptor).expect("an arena is small");
        let start = arena::pointer(setup.areas.descriptor).as_ptr();
        // SAFETY: the arena is never unmapped. The device accesses the same bytes with atomic or
        // volatile accesses. The crate's interface makes this sharing unavoidable.
        let memory: &'static mut [u8] = unsafe { slice::from_raw_parts_mut(start, bytes) };
        let features = VirtioFeatureFlags::from_bits_truncate(setup.features.bits());
        let queue =
            Virtqueue::new(translator().expect("the handshake succeeds"), memory, setup.size, features)
                .expect("there is room for the queue");
        setup.areas.driver = setup.areas.descriptor + queue.layout().driver_area_offset as u64;
        setup.areas.device = setup.areas.descriptor + queue.layout().device_area_offset as u64;
        Self { queue, requests: vec![(0, 0); setup.size.into()] }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl DriverEnd for Driver {
    #[inline(never)]
    fn submit(&mut self, requests: &[Request]) {
        for request in requests {
            let added = self.queue.add_request(|(), add| {
                let readable = request.readable().iter().map(|segment| (segment, false));
                let writable = request.writable().iter().map(|segment| (segment, true));
                for (segment, from_device) in readable.chain(writable) {
                    let iov_base = arena::pointer(segment.address).as_ptr().cast();
                    add(iovec { iov_base, iov_len: segment.len as usize }, from_device)?;
                }
                Ok(())
            });
            let Ok(id) = added else { panic!("a burst fits the queue") };
            self.requests[usize::from(id)] = (request.cookie, request.written());
        }
    }

    #[inline(never)]
    fn collect(&mut self, mut returned: Returned) -> Returned {
        while let Some(completion) = self.queue.completions().next() {
            let (cookie, written) = self.requests[usize::from(completion.id)];
            returned.add(cookie, written);
        }
        returned
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        self.queue.avail_notif_needed()
    }
}

/// Returns the address translator of a vhost-user transport.
fn translator() -> io::Result<Box<dyn IovaTranslator>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path)?;
    let back_end = thread::spawn(move || complete_handshake(&mut listener.accept()?.0));
    let path = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    let transport: VhostUser<Le64, ()> = VhostUser::new(path, 0)?;
    let translator = transport.iova_translator();
    drop(transport);
    back_end.join().map_err(|_| io::ErrorKind::Other)??;
    Ok(translator)
}

/// Serves a front-end as a back-end that offers the necessary features and accepts every message.
fn complete_handshake(front_end: &mut UnixStream) -> io::Result<()> {
    const NEED_REPLY: u8 = 1 << 3;
    const REPLY: u32 = 1 | 1 << 2;
    /// `GET_FEATURES`, `GET_PROTOCOL_FEATURES` and `GET_MAX_MEM_SLOTS`.
    const ANSWERS: [(u32, u64); 3] = [(1, 1 << 30), (15, 1 << 3 | 1 << 9 | 1 << 15), (36, 8)];
    let mut header = [0; 12];
    while front_end.read_exact(&mut header).is_ok() {
        let [r0, r1, r2, r3, flags, _, _, _, s0, s1, s2, s3] = header;
        let request = u32::from_le_bytes([r0, r1, r2, r3]);
        let mut payload = vec![0; u32::from_le_bytes([s0, s1, s2, s3]) as usize];
        front_end.read_exact(&mut payload)?;
        let known = ANSWERS.iter().find(|answer| answer.0 == request).map(|answer| answer.1);
        if let Some(answer) = known.or((flags & NEED_REPLY != 0).then_some(0)) {
            let mut reply = Vec::new();
            [request, REPLY, 8].iter().for_each(|word| reply.extend(word.to_le_bytes()));
            reply.extend(answer.to_le_bytes());
            front_end.write_all(&reply)?;
        }
    }
    Ok(())
}
