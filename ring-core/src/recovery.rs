//! Taking over from a device that crashed.
//!
//! A [`Position`](crate::Position) is not enough to take over from a crashed device: the chains in
//! flight would be lost. A device that may crash therefore keeps a journal where its successor can
//! read it. The journal notes
//!
//! - each chain that was taken: the chain's [record](DeviceQueue::record) and segments, before the
//!   device starts to process the chain or takes another chain;
//! - each chain that was [put back](DeviceQueue::unpop): the chain counts as never taken;
//! - before each `publish`: the staged chains, and [`next_used`](DeviceQueue::next_used). In an
//!   in-order queue, a completed chain that waits for an older chain is not staged;
//! - after each `publish`: that the publish has happened. The chains that were staged are then
//!   removed from the journal.
//!
//! The journal of a device that has not taken any chain contains the `used` part of the queue's
//! position, and serial 0.
//!
//! The successor calls [`has_published`](DeviceQueue::has_published) to find out whether the batch
//! that was staged last has been published. Then the successor calls
//! [`recover`](DeviceQueue::recover), and [`adopt`](DeviceQueue::adopt) for each remaining chain,
//! in the order in which the chains were taken. The crashed device may have published chains
//! without notifying the driver. So the first [`publish`](DeviceQueue::publish) after a recovery
//! notifies in any case; call it even if no chain has been completed.
//!
//! # The life of a chain whose device crashes
//!
//! ```text
//!   first device           journal                            driver
//!   ------------           -------                            ------
//!   1 pop
//!   2 record ------------> record and segments
//!     (process)
//!   3 complete
//!   4 next_used ---------> staged: records, next_used
//!   5 publish -------------------------------------------->   the chain is used
//!   6 (note) ------------> published: the records are removed
//!
//!   X  the device crashes after any of these steps
//!
//!   second device
//!   -------------
//!   7 has_published <----- used
//!         |
//!         | true: the crash came after 5         the chain is used; its record is removed
//!         | false: the crash came before 5       the chain is still in flight
//!         v
//!   8 recover <----------- used, last serial
//!   9 adopt <------------- record                the new token stands for the chain
//!     (process again)
//!  10 complete, publish ----------------------------------->  the chain is used
//! ```
//!
//! A chain whose record was not written before the crash was never started. The second device takes
//! that chain with [`pop`](DeviceQueue::pop). In every case the driver gets each buffer back
//! exactly once.
//!
//! # Example
//!
//! ```
//! use ring_core::memory::{AlignedWord, Memory, RawMemory};
//! # use ring_core::{DriverQueue, Features, QueueSize, Segment, device, driver};
//! use ring_core::{ChainRecord, DeviceQueue, Setup, SetupError, Token};
//!
//! struct Journal {
//!     /// The end of the batch that was published last.
//!     used: u16,
//!     /// The serial of the chain that was taken last.
//!     last: u64,
//!     /// The chains in flight, in the order in which they were taken.
//!     taken: Vec<ChainRecord>,
//!     /// The batch that was about to be published: its end, and its chains.
//!     staged: Option<(u16, Vec<ChainRecord>)>,
//! }
//!
//! fn take_over<M: Memory, S: device::Slots>(
//!     device: &mut DeviceQueue<M, S>,
//!     journal: &mut Journal,
//! ) -> Result<Vec<Token>, SetupError> {
//!     if let Some((used, staged)) = journal.staged.take() {
//!         if device.has_published(journal.used) {
//!             journal.used = used;
//!             journal.taken.retain(|taken| !staged.contains(taken));
//!         }
//!     }
//!     device.recover(journal.used, journal.last)?;
//!     journal.taken.iter().map(|taken| device.adopt(*taken)).collect()
//! }
//! #
//! # let mut page = [AlignedWord::ZERO; 512];
//! # let memory = RawMemory::from_mut(&mut page, 0);
//! # let (setup, _) = Setup::contiguous(0, 4, Features::RING_PACKED)?;
//! # let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4])?;
//! # let new = || DeviceQueue::new(memory.clone(), &setup, [device::Slot::EMPTY; 4]);
//! # let mut device = new()?;
//! # let used = device.position().used;
//! # for cookie in 0..3 {
//! #     driver.add(&[], &[Segment::new(0x800, 8)], cookie)?;
//! # }
//! # let _ = driver.publish();
//! # let mut pop = || device.pop(&mut [Segment::default()]).unwrap().unwrap().into_token();
//! # let tokens = [pop(), pop(), pop()];
//! # let taken = tokens.each_ref().map(|token| device.record(token).unwrap());
//! # let [_, second, _] = tokens;
//! # device.complete(second, 8)?;
//! # let staged = Some((device.next_used(), vec![taken[1]]));
//! # let _ = device.publish();
//! # let mut journal = Journal { used, last: taken[2].serial, taken: taken.to_vec(), staged };
//! # let mut device = new()?;
//! # let tokens = take_over(&mut device, &mut journal)?;
//! # assert_eq!(tokens.len(), 2);
//! # tokens.into_iter().for_each(|token| device.complete(token, 0).unwrap());
//! # let _ = device.publish();
//! # assert_eq!([(); 3].map(|()| driver.reap().unwrap().unwrap().cookie), [1, 0, 2]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use crate::chain::{ChainRecord, Token};
use crate::device::{DeviceQueue, Slots, either};
use crate::error::SetupError;
use crate::memory::Memory;

/// Taking over from a device that crashed: see [`recovery`](crate::recovery).
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Returns the record of a chain in flight.
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        either!(self, queue => queue.record(token))
    }

    /// Returns what the `used` part of [`position`](Self::position) will be after the staged chains
    /// have been published.
    pub const fn next_used(&self) -> u16 {
        either!(self, queue => queue.next_used())
    }

    /// Returns whether the last batch of a crashed device was published.
    ///
    /// The batch is what the device had staged after it had published up to `used`.
    pub fn has_published(&self, used: u16) -> bool {
        either!(self, queue => queue.has_published(used))
    }

    /// Takes over from a device that had published up to `used` and whose last chain had the serial
    /// `last`.
    ///
    /// Only a device that has not taken any chain itself can take over.
    ///
    /// # Errors
    ///
    /// [`SetupError::Recovery`] if this device has taken chains, or if no queue can have reached
    /// the serial `last`; otherwise the errors of [`resume`](Self::resume). After an error the
    /// queue is unchanged.
    pub fn recover(&mut self, used: u16, last: u64) -> Result<(), SetupError> {
        either!(self, queue => queue.recover(used, last))
    }

    /// Takes over a chain that was in flight.
    ///
    /// Adopt all chains in flight in the order of their serials, before any other call to the
    /// queue. In a packed queue, an adopted chain cannot be put back with [`unpop`](Self::unpop).
    ///
    /// # Errors
    ///
    /// [`SetupError::ChainRecord`] if the record cannot be that of a chain in flight, if the chain
    /// has been adopted already, if a later chain has been adopted or any chain has been popped, or
    /// if the queue does not run.
    pub fn adopt(&mut self, taken: ChainRecord) -> Result<Token, SetupError> {
        either!(self, queue => queue.adopt(taken))
    }
}
