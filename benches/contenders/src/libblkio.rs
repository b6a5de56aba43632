//! libblkio's `virtio-driver`: the driver's end of split and of packed queues.
//!
//! Only its own transports can translate addresses for its queues, since the type of a translated address is
//! private. So a queue borrows the translator of its vhost-user transport, which takes each address for what
//! it is, and which needs a back-end to shake hands with.

// UNSAFETY: lends the queue's memory to `virtio-driver`.
#![expect(unsafe_code)]

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::slice;
use std::thread;

use ring_core::{Features, Setup};
use virtio_driver::virtqueue::Virtqueue;
use virtio_driver::{IovaTranslator, Le64, VhostUser, VirtioFeatureFlags, VirtioTransport, iovec};

use crate::{Arena, DriverEnd, QUEUE_SIZE, Request, arena};

/// The driver's end of a queue. It does not tell how many bytes were written.
pub struct Driver {
    queue: Virtqueue<'static, ()>,
    /// Which request an id stands for, and how many bytes it may write.
    requests: [(u16, u32); QUEUE_SIZE as usize],
}

impl Driver {
    /// The driver's end of a new queue in `arena` of this format, and where the queue is.
    ///
    /// # Panics
    ///
    /// If there is no room for the queue.
    #[must_use]
    pub fn new(arena: &Arena, format: Features) -> (Self, Setup) {
        let mut setup = arena.setup(format);
        let bytes = usize::try_from(arena.tables() - setup.areas.descriptor).expect("an arena is small");
        let start = arena::pointer(setup.areas.descriptor).as_ptr();
        // SAFETY: the arena is never unmapped. While it belongs to the queue, others access it atomically or
        // volatilely; that they do so at all is how this crate is meant to be used.
        let memory: &'static mut [u8] = unsafe { slice::from_raw_parts_mut(start, bytes) };
        let features = VirtioFeatureFlags::from_bits_truncate(setup.features.bits());
        let queue =
            Virtqueue::new(translator().expect("the handshake succeeds"), memory, setup.size, features)
                .expect("there is room for the queue");
        setup.areas.driver = setup.areas.descriptor + queue.layout().driver_area_offset as u64;
        setup.areas.device = setup.areas.descriptor + queue.layout().device_area_offset as u64;
        (Self { queue, requests: [(0, 0); QUEUE_SIZE as usize] }, setup)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl DriverEnd for Driver {
    #[inline(always)]
    fn add(&mut self, request: &Request) {
        let added = self.queue.add_request(|(), add| {
            let buffers = request.readable().iter().map(|segment| (segment, false));
            for (segment, from_device) in
                buffers.chain(request.writable().iter().map(|segment| (segment, true)))
            {
                let iov_base = arena::pointer(segment.address).as_ptr().cast();
                add(iovec { iov_base, iov_len: segment.len as usize }, from_device)?;
            }
            Ok(())
        });
        let Ok(id) = added else { panic!("a burst fits the queue") };
        self.requests[usize::from(id)] = (request.cookie, request.written());
    }

    #[inline(always)]
    fn publish(&mut self) {}

    #[inline(always)]
    fn announce(&mut self) -> bool {
        self.queue.avail_notif_needed()
    }

    #[inline(always)]
    fn reap(&mut self) -> Option<(u16, u32)> {
        let completion = self.queue.completions().next()?;
        Some(self.requests[usize::from(completion.id)])
    }

    fn arm(&mut self) -> bool {
        self.queue.set_used_notif_enabled(true);
        !self.queue.completions().has_next()
    }
}

/// The translator of a transport.
fn translator() -> io::Result<Box<dyn IovaTranslator>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path)?;
    let back_end = thread::spawn(move || shake_hands(&mut listener.accept()?.0));
    let path = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    let transport: VhostUser<Le64, ()> = VhostUser::new(path, 0)?;
    let translator = transport.iova_translator();
    drop(transport);
    back_end.join().map_err(|_| io::ErrorKind::Other)??;
    Ok(translator)
}

/// A vhost-user back-end that offers every feature it is asked for and says yes to everything.
fn shake_hands(front_end: &mut UnixStream) -> io::Result<()> {
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
