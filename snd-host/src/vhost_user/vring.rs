//! The settings of a ring: what the front-end has set, stored by `vhost-user-backend`.
//!
//! This wrapper differs from `VringMutex` in two ways. [`read_kick`](VringT::read_kick) does not
//! fail when the kick is gone, because the ring was restarted or its kick eventfd replaced before
//! the kick was read: an error would end the event loop of `vhost-user-backend`, and the device
//! with it. And a ring may have any [`size`](Vring::size): `VringMutex` has a split queue, which
//! ignores sizes that only packed rings can have.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tracing::debug;
use vhost_user_backend::{VringMutex, VringStateGuard, VringStateMutGuard, VringT};
use virtio_queue::{Error, QueueT as _};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

type Memory = GuestMemoryAtomic<GuestMemoryMmap>;

/// The settings of a ring. Clones share them.
#[derive(Clone)]
pub(crate) struct Vring {
    state: VringMutex,
    /// Unchecked; 0 until the front-end sets it.
    size: Arc<AtomicU16>,
}

impl Vring {
    /// Returns the number of descriptors that the front-end has set.
    pub(crate) fn size(&self) -> u16 {
        // No other memory is published with the size.
        self.size.load(Ordering::Relaxed)
    }

    /// Returns whether the front-end lets the ring run.
    pub(crate) fn is_live(&self) -> bool {
        let state = self.get_ref();
        state.get_queue().ready() && state.is_enabled()
    }
}

impl std::fmt::Debug for Vring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vring")
    }
}

impl<'a> VringStateGuard<'a, Memory> for Vring {
    type G = <VringMutex as VringStateGuard<'a, Memory>>::G;
}

impl<'a> VringStateMutGuard<'a, Memory> for Vring {
    type G = <VringMutex as VringStateMutGuard<'a, Memory>>::G;
}

impl VringT<Memory> for Vring {
    fn new(memory: Memory, max_queue_size: u16) -> Result<Self, Error> {
        Ok(Self { state: VringMutex::new(memory, max_queue_size)?, size: Arc::default() })
    }

    /// Reads the kick, if there is one. Returns whether the ring needs service.
    fn read_kick(&self) -> io::Result<bool> {
        let kicked = self.state.read_kick();
        Ok(kicked.unwrap_or_else(|error| {
            debug!("stale kick: {error}");
            // A ring that was restarted meanwhile is served in any case.
            false
        }))
    }

    fn get_ref(&self) -> <Self as VringStateGuard<'_, Memory>>::G {
        self.state.get_ref()
    }

    fn get_mut(&self) -> <Self as VringStateMutGuard<'_, Memory>>::G {
        self.state.get_mut()
    }

    fn add_used(&self, index: u16, len: u32) -> Result<(), Error> {
        self.state.add_used(index, len)
    }

    fn signal_used_queue(&self) -> io::Result<()> {
        self.state.signal_used_queue()
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

    fn set_queue_info(&self, descriptors: u64, available: u64, used: u64) -> Result<(), Error> {
        self.state.set_queue_info(descriptors, available, used)
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
        self.size.store(size, Ordering::Relaxed);
    }

    fn set_queue_event_idx(&self, enabled: bool) {
        self.state.set_queue_event_idx(enabled);
    }

    fn set_queue_ready(&self, ready: bool) {
        self.state.set_queue_ready(ready);
    }

    fn set_kick(&self, file: Option<File>) {
        self.state.set_kick(file);
    }

    fn set_call(&self, file: Option<File>) {
        self.state.set_call(file);
    }

    fn set_err(&self, file: Option<File>) {
        self.state.set_err(file);
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};

    use super::*;

    #[test]
    fn a_stale_kick_is_not_an_error() -> Result<(), Box<dyn std::error::Error>> {
        let vring = Vring::new(GuestMemoryAtomic::new(GuestMemoryMmap::new()), 64)?;
        let kick = File::from(eventfd(0, EventfdFlags::NONBLOCK)?);
        vring.set_kick(Some(kick.try_clone()?));
        vring.set_enabled(true);
        assert!(!vring.read_kick()?);
        rustix::io::write(&kick, &1u64.to_ne_bytes())?;
        assert!(vring.read_kick()?);
        assert!(!vring.read_kick()?);
        Ok(())
    }
}
