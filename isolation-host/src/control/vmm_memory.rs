//! The memory that the VMM shares: guest memory, the dirty log, and the in-flight region.

use zerocopy::{FromBytes as _, IntoBytes as _};

use super::Control;
use super::answer::{Answer, RequestError};
use crate::journal::JournalMemory;
use crate::mmap::Window;
use crate::protocol::features::LOG_ALL;
use crate::protocol::payload::{Inflight, LogArea, MemoryRegion, MemoryTableHeader, SingleRegion};
use crate::protocol::{Message, MessageError};

impl Control {
    /// Adds a region to the guest's memory.
    pub(super) fn add_memory(&self, message: &mut Message) -> Result<(), RequestError> {
        let SingleRegion { region, .. } = message.body()?;
        let fd = message.take_fd()?;
        let window = Window::map(fd, region.offset, region.size, region.guest_address)?;
        Ok(self.memory.add(window, region.user_address)?)
    }

    /// Replaces the guest's memory.
    pub(super) fn set_memory_table(&self, message: &Message) -> Result<(), RequestError> {
        let (MemoryTableHeader { count, .. }, rest) = message.body_and_rest()?;
        let invalid =
            || RequestError::MemoryTable { count, fds: message.fds.len(), bytes: message.payload.len() };
        let number = usize::try_from(count).map_err(|_| invalid())?;
        let bytes = number.checked_mul(size_of::<MemoryRegion>()).and_then(|len| rest.get(..len));
        let regions = bytes.and_then(|bytes| <[MemoryRegion]>::ref_from_bytes(bytes).ok().map(<[_]>::to_vec));
        let regions = regions.filter(|regions| regions.len() == message.fds.len()).ok_or_else(invalid)?;
        let mut windows = Vec::with_capacity(regions.len());
        for (region, fd) in regions.iter().zip(&message.fds) {
            let window = Window::map(fd, region.offset, region.size, region.guest_address)?;
            windows.push((window, region.user_address));
        }
        Ok(self.memory.replace(windows)?)
    }

    /// Makes an in-flight region for the VMM to keep.
    pub(super) fn make_journals(&mut self, message: &Message) -> Result<Answer, RequestError> {
        let inflight = inflight(message)?;
        let (index, queues) = (u64::from(inflight.queues), self.queues.len());
        if usize::from(inflight.queues) > queues {
            return Err(RequestError::NoSuchQueue { index, queues });
        }
        let (file, size) = JournalMemory::make(inflight.queues, inflight.queue_size)?;
        let answer = Inflight { size, offset: 0, ..inflight };
        let answer = answer.as_bytes().get(..message.payload.len()).unwrap_or_default();
        Ok(Answer::Reply { payload: answer.to_owned(), fd: Some(file) })
    }

    /// Maps the in-flight region that the VMM has kept.
    pub(super) fn set_journals(&mut self, message: &mut Message) -> Result<(), RequestError> {
        let Inflight { size, offset, queues, queue_size, .. } = inflight(message)?;
        let journals = JournalMemory::open(message.take_fd()?, offset, size, queues, queue_size)?;
        if let Some(session) = self.vmm.session_mut() {
            session.journals = Some(journals);
        }
        Ok(())
    }

    /// Maps the dirty log.
    pub(super) fn set_dirty_log(&mut self, message: &mut Message) -> Result<Answer, RequestError> {
        let LogArea { size, offset } = message.body()?;
        let log = Window::map(message.take_fd()?, offset, size, 0)?;
        if let Some(session) = self.vmm.session_mut() {
            session.log = Some(log);
        }
        self.update_dirty_log();
        Ok(Answer::with(&0u64))
    }

    /// Logs writes to guest memory if there is a log and the feature was negotiated.
    pub(super) fn update_dirty_log(&mut self) {
        if let Some(session) = self.vmm.session() {
            let log = session.log.clone().filter(|_| session.features & LOG_ALL != 0);
            if log.is_some() != self.memory.is_logging() {
                let state = if log.is_some() { "logged" } else { "no longer logged" };
                tracing::info!("dirty pages are {state}");
            }
            self.memory.log_to(log);
            // A worker writes only while it holds the lock of its queue, so every write after this
            // line is logged.
            self.queues.iter().for_each(|queue| drop(queue.lock()));
        }
    }
}

/// The length of an in-flight description in vhost-user's specification, which has no padding.
const UNPADDED: usize = 20;

/// Returns the in-flight description in a message, which may be padded.
fn inflight(message: &Message) -> Result<Inflight, MessageError> {
    let mut padded = message.payload.clone();
    if padded.len() == UNPADDED {
        padded.resize(size_of::<Inflight>(), 0);
    }
    let length = MessageError::Length { len: message.payload.len(), expected: size_of::<Inflight>() };
    Inflight::read_from_bytes(&padded).map_err(|_| length)
}
