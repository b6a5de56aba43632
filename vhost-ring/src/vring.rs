//! What a front-end has said about one vring.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ring_core::{Areas, Features, Setup};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use vhost_user_backend::{VringMutex, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error, QueueT};
use vm_memory::bitmap::NewBitmap;
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

type Memory<B> = GuestMemoryAtomic<GuestMemoryMmap<B>>;

/// What a front-end has said about one vring. Clones share the record.
///
/// A `Vring` differs from `vhost-user-backend`'s own vrings in four ways:
///
/// - A vring may have any size that its format has. The split-only queue of `vhost-user-backend`
///   keeps its old size if the new size is not a power of two.
/// - A kick that cannot be read is not an error. A kick can be gone by the time it is read, because
///   the vring was stopped and started in between, or because the front-end has taken the kick file
///   back. With the vrings of `vhost-user-backend`, the event loop would then end permanently.
/// - No access to a notification file blocks: each file is made non-blocking when the front-end
///   passes the file. A full file means that a notification is pending already.
/// - The error file is written to when the driver breaks the queue.
pub struct Vring<B: NewBitmap + 'static = ()> {
    state: VringMutex<Memory<B>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The number of descriptors, unchecked; 0 until the front-end sets the number.
    size: AtomicU16,
    /// The number of kicks that were read.
    kicks: AtomicU32,
    error: Mutex<Option<File>>,
}

impl<B: NewBitmap + 'static> Vring<B> {
    /// Returns the configuration of the queue, as the front-end has set it, and the vring base.
    ///
    /// Nothing is checked here; ring-core's queues check the configuration.
    #[must_use]
    pub fn setup(&self, features: Features) -> (Setup, u16) {
        let state = self.state.get_ref();
        let queue = state.get_queue();
        let areas =
            Areas { descriptor: queue.desc_table(), driver: queue.avail_ring(), device: queue.used_ring() };
        // No other data is published with the size.
        let size = self.shared.size.load(Ordering::Relaxed);
        (Setup::new(size, features, areas), queue.next_avail())
    }

    /// Returns whether the front-end lets the queue run: it has started and enabled the queue.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let state = self.state.get_ref();
        state.get_queue().ready() && state.is_enabled()
    }

    /// Returns the number of kicks that were read.
    pub(crate) fn kicks(&self) -> u32 {
        self.shared.kicks.load(Ordering::Relaxed)
    }

    /// Notifies the driver. Does nothing if the front-end has passed no call file.
    ///
    /// # Errors
    ///
    /// The error of the write, unless the file is full, which means that a notification is pending.
    pub fn call(&self) -> io::Result<()> {
        full_is_pending(self.state.signal_used_queue())
    }

    /// Tells the front-end, through the vring's error file, that the queue is broken.
    ///
    /// # Errors
    ///
    /// The error of the write, unless the file is full.
    pub fn signal_error(&self) -> io::Result<()> {
        let error = self.shared.error.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = error.as_ref() else { return Ok(()) };
        full_is_pending(rustix::io::write(file, &1u64.to_ne_bytes()).map(drop).map_err(io::Error::from))
    }
}

fn full_is_pending(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}

/// Makes writes to `file` fail rather than block. Returns `None` if this is not possible.
fn non_blocking(file: Option<File>) -> Option<File> {
    let file = file?;
    let set = |fd: std::os::fd::BorrowedFd<'_>| -> rustix::io::Result<()> {
        let flags = fcntl_getfl(fd)?;
        if flags.contains(OFlags::NONBLOCK) { Ok(()) } else { fcntl_setfl(fd, flags | OFlags::NONBLOCK) }
    };
    match set(file.as_fd()) {
        Ok(()) => Some(file),
        Err(error) => {
            log::error!("a file for notifications cannot be made non-blocking and is not used: {error}");
            None
        }
    }
}

impl<B: NewBitmap + 'static> Clone for Vring<B> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), shared: self.shared.clone() }
    }
}

impl<B: NewBitmap + 'static> fmt::Debug for Vring<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vring").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl<'a, B: NewBitmap + 'static> VringStateGuard<'a, Memory<B>> for Vring<B> {
    type G = <VringMutex<Memory<B>> as VringStateGuard<'a, Memory<B>>>::G;
}

impl<'a, B: NewBitmap + 'static> VringStateMutGuard<'a, Memory<B>> for Vring<B> {
    type G = <VringMutex<Memory<B>> as VringStateMutGuard<'a, Memory<B>>>::G;
}

impl<B: NewBitmap + 'static> VringT<Memory<B>> for Vring<B> {
    fn new(memory: Memory<B>, max_queue_size: u16) -> Result<Self, Error> {
        Ok(Self { state: VringMutex::new(memory, max_queue_size)?, shared: Arc::default() })
    }

    /// Reads the kick, if there is one. Returns whether the device has to look at the vring.
    fn read_kick(&self) -> io::Result<bool> {
        match self.state.read_kick() {
            Ok(enabled) => {
                self.shared.kicks.fetch_add(1, Ordering::Relaxed);
                Ok(enabled)
            }
            Err(error) => {
                // A vring that has been started in the meantime is looked at in any case.
                log::debug!("stale kick: {error}");
                Ok(false)
            }
        }
    }

    fn get_ref(&self) -> <Self as VringStateGuard<'_, Memory<B>>>::G {
        self.state.get_ref()
    }

    fn get_mut(&self) -> <Self as VringStateMutGuard<'_, Memory<B>>>::G {
        self.state.get_mut()
    }

    fn add_used(&self, index: u16, len: u32) -> Result<(), Error> {
        self.state.add_used(index, len)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        self.call()
    }

    fn enable_notification(&self) -> Result<bool, Error> {
        self.state.enable_notification()
    }

    fn disable_notification(&self) -> Result<(), Error> {
        self.state.disable_notification()
    }

    fn needs_notification(&self) -> Result<bool, Error> {
        self.state.needs_notification()
    }

    fn set_enabled(&self, enabled: bool) {
        self.state.set_enabled(enabled);
    }

    fn set_queue_info(&self, descriptor: u64, driver: u64, device: u64) -> Result<(), Error> {
        self.state.set_queue_info(descriptor, driver, device)
    }

    fn queue_next_avail(&self) -> u16 {
        self.state.queue_next_avail()
    }

    fn set_queue_next_avail(&self, base: u16) {
        self.state.set_queue_next_avail(base);
    }

    fn set_queue_next_used(&self, index: u16) {
        self.state.set_queue_next_used(index);
    }

    fn queue_used_idx(&self) -> Result<u16, Error> {
        self.state.queue_used_idx()
    }

    fn set_queue_size(&self, size: u16) {
        self.shared.size.store(size, Ordering::Relaxed);
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.state.set_queue_event_idx(enabled);
    }

    fn set_queue_ready(&self, ready: bool) {
        self.state.set_queue_ready(ready);
    }

    fn set_kick(&self, file: Option<File>) {
        self.state.set_kick(non_blocking(file));
    }

    fn set_call(&self, file: Option<File>) {
        self.state.set_call(non_blocking(file));
    }

    fn set_err(&self, file: Option<File>) {
        *self.shared.error.lock().unwrap_or_else(PoisonError::into_inner) = non_blocking(file);
    }
}
