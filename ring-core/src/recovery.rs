//! Going on for a device that died, and not only stopped.
//!
//! A [`Position`](crate::Position) is not enough then: what was in flight would be lost. So a device that may die keeps
//! a journal where the next one finds it. It notes
//!
//! - each chain that it has taken, before it begins to work on it or takes another: its [record](DeviceQueue::record), and
//!   its segments;
//! - each chain that it [gives back](DeviceQueue::unpop): that it was never taken;
//! - before each `publish`: the chains that are staged, and [`next_used`](DeviceQueue::next_used). In an in-order queue
//!   those are not staged that wait for an older one;
//! - after each `publish`: that it came so far. What was staged is then gone from the journal.
//!
//! The journal of a device that has not taken any chain has its position's used half, and the serial 0.
//!
//! The next device asks [`has_published`](DeviceQueue::has_published) whether the batch that was staged last was published.
//! Then it [recovers](DeviceQueue::recover), and [adopts](DeviceQueue::adopt) what is left, in the order in which it was taken.
//! What was published may not have been announced; so the first [`publish`](DeviceQueue::publish) after that notifies in any
//! case, and is called even where nothing has been completed.
//!
//! ```
//! use ring_core::memory::{Memory, RawMemory};
//! # use ring_core::{DriverQueue, Features, QueueSize, Segment, device, driver};
//! use ring_core::{DeviceQueue, Setup, SetupError, ChainRecord, Token};
//!
//! struct Journal {
//!     /// Where the last batch ended that was published.
//!     used: u16,
//!     /// The serial of the chain that was taken last.
//!     last: u64,
//!     /// What was in flight then, in the order in which it was taken.
//!     taken: Vec<ChainRecord>,
//!     /// What was about to be published: where that ends, and which chains.
//!     staged: Option<(u16, Vec<ChainRecord>)>,
//! }
//!
//! fn go_on<M: Memory, S: AsRef<[device::Slot]> + AsMut<[device::Slot]>>(
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
//! # let mut page = [0u64; 512];
//! # let memory = RawMemory::from_mut(&mut page, 0);
//! # let (setup, _) = Setup::contiguous(0, 4, Features::RING_PACKED)?;
//! # let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4])?;
//! # let new = || DeviceQueue::new(memory.clone(), &setup, [device::Slot::EMPTY; 4]);
//! # let mut device = new()?;
//! # let used = device.position().used;
//! # (0..3).for_each(|cookie| driver.add(&[], &[Segment::new(0x800, 8)], cookie).unwrap());
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
//! # let tokens = go_on(&mut device, &mut journal)?;
//! # assert_eq!(tokens.len(), 2);
//! # tokens.into_iter().for_each(|token| device.complete(token, 0).unwrap());
//! # let _ = device.publish();
//! # assert_eq!([(); 3].map(|()| driver.reap().unwrap().unwrap().cookie), [1, 0, 2]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use crate::chain::{ChainRecord, Token};
use crate::device::{DeviceQueue, Slot, either};
use crate::error::SetupError;
use crate::memory::Memory;

/// Going on for a device that died: see [`recovery`](crate::recovery).
impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> DeviceQueue<M, S> {
    /// The record of a chain in flight.
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        either!(self, queue => queue.record(token))
    }

    /// Where [`position`](Self::position) will have its used half once what is staged has been published.
    pub const fn next_used(&self) -> u16 {
        either!(self, queue => queue.next_used())
    }

    /// Whether a device that had published up to `used`, and had staged more, published that, too.
    pub fn has_published(&self, used: u16) -> bool {
        either!(self, queue => queue.has_published(used))
    }

    /// Goes on after a device that died when it had published up to `used`, and had numbered its chains up to `last`.
    /// It is for a device that has not taken any itself.
    ///
    /// # Errors
    ///
    /// [`SetupError::Recovery`] if this device has taken chains, or if no queue can have come to `last`; otherwise as for
    /// [`resume`](Self::resume). The queue is then as it was.
    pub fn recover(&mut self, used: u16, last: u64) -> Result<(), SetupError> {
        either!(self, queue => queue.recover(used, last))
    }

    /// Takes over a chain that was in flight. All of them have to be taken over, in the order of their serials,
    /// before anything else happens to the queue. Of a packed queue, such chains cannot be given back.
    ///
    /// # Errors
    ///
    /// [`SetupError::ChainRecord`] if it cannot have been in flight, or has been taken over already, or comes after a later
    /// one, or after one that was popped; or if the queue does not run.
    pub fn adopt(&mut self, taken: ChainRecord) -> Result<Token, SetupError> {
        either!(self, queue => queue.adopt(taken))
    }
}
