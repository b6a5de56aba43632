//! The driver end of a packed queue.

use crate::chain::Segment;
use crate::error::{AddError, AddReason, SetupError, Violation};
use crate::index::{Cursor, QueueSize};
use crate::indirect::{DESCRIPTOR_BYTES, fill_table};
use crate::ledger::{Ledger, Slot, Used, admit, measure, refusal};
use crate::memory::{Area as _, Load, Memory, Store};
use crate::notify::{Arm, Notify, Unannounced};
use crate::position::Position;
use crate::setup::{Ring, Setup, State};

use super::event;
use super::layout::{DescriptorFlags, Meta, address, layout, meta};

/// Makes buffers available in a packed queue and takes them back used.
///
/// [`driver`](crate::driver) explains how the calls work together; they are the same for both formats.
#[derive(Debug)]
pub struct Driver<M: Memory, S, T> {
    ring: Ring<M>,
    ledger: Ledger<S, T>,
    state: State,
    progress: Progress,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    /// The next descriptor to fill; ahead of `published` by what is staged.
    available: Cursor,
    /// Everything before this has been published.
    published: Cursor,
    /// Descriptors between `published` and `available`; at most the queue's size.
    staged: u16,
    /// The word that publishes the batch: that of its first descriptor, which goes to `published`.
    first: u64,
    /// The next used descriptor appears here.
    next: Cursor,
    /// In an in-order queue, the used buffer that stands for itself and the older ones still to come back:
    /// its id, and the bytes written.
    batch: Option<(u32, u32)>,
    unannounced: Unannounced,
    /// Whether `reap` has something to do first: to take back the wish to be notified, or not to take
    /// anything because the queue does not run.
    alert: bool,
}

/// The descriptors of a buffer that is being added.
#[derive(Debug)]
struct Run {
    /// The next one to fill.
    at: Cursor,
    /// The buffer's id.
    id: u16,
    /// How many are still to be filled.
    left: usize,
}

impl Progress {
    const fn at(available: Cursor, used: Cursor, unannounced: Unannounced) -> Self {
        Self {
            available,
            published: available,
            staged: 0,
            first: 0,
            next: used,
            batch: None,
            unannounced,
            alert: true,
        }
    }
}

/// Setting up.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> Driver<M, S, T> {
    /// Sets up the driver end of a queue. Its areas have to be zeroed before.
    ///
    /// # Errors
    ///
    /// [`SetupError`] says what is wrong with `setup`, or that there are fewer `slots` than descriptors.
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        let size = QueueSize::packed(setup.size)?;
        let ring = Ring::new(memory, setup, size, layout(size))?;
        Ok(Self {
            state: ring.running,
            ring,
            ledger: Ledger::new(slots, size)?,
            progress: Progress::at(Cursor::START, Cursor::START, Unannounced::nothing()),
        })
    }

    /// Sets the queue up anew, once the device no longer runs it. The cookies of all buffers in flight go
    /// to `returned`. The areas have to be zeroed before.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); the queue is then as it was.
    pub fn reset(&mut self, memory: M, setup: &Setup, returned: impl FnMut(T)) -> Result<(), SetupError> {
        let size = QueueSize::packed(setup.size)?;
        let ring = Ring::new(memory, setup, size, layout(size))?;
        self.ledger.reset(size, returned)?;
        self.ring = ring;
        self.state = self.ring.running;
        self.progress = Progress::at(Cursor::START, Cursor::START, Unannounced::nothing());
        Ok(())
    }

    /// The memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        &self.ring.memory
    }
}

/// Making buffers available.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> Driver<M, S, T> {
    /// Free descriptors.
    pub const fn free(&self) -> u16 {
        self.ledger.free()
    }

    /// Buffers that were added and not yet reaped.
    pub const fn in_flight(&self) -> u16 {
        self.ledger.in_flight()
    }

    /// Stages a buffer of readable, then writable segments. [`publish`](Self::publish) makes it available.
    ///
    /// The device may access the segments from then on until [`reap`](Self::reap) or a reset returns the
    /// `cookie`; so the cookie is the natural owner of their memory.
    ///
    /// # Errors
    ///
    /// [`AddError`] says why the buffer cannot be added, and returns the cookie. Nothing has changed then.
    #[inline]
    pub fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<(), AddError<T>> {
        let count = readable.len() + writable.len();
        let fits = self.state.is_running() && count.wrapping_sub(1) < usize::from(self.ledger.free());
        let Some(writable_bytes) = measure(readable, writable).filter(|_| fits) else {
            return Err(self.refuse(readable, writable, cookie));
        };
        let mut run = Run { at: self.progress.available, id: self.ledger.head(), left: count };
        for segment in readable {
            self.fill(&mut run, *segment, DescriptorFlags::empty());
        }
        for segment in writable {
            self.fill(&mut run, *segment, DescriptorFlags::WRITE);
        }
        #[expect(clippy::cast_possible_truncation, reason = "no more than there are free descriptors")]
        self.stage(&run, count as u16, writable_bytes, cookie);
        Ok(())
    }

    #[cold]
    fn refuse(&self, readable: &[Segment], writable: &[Segment], cookie: T) -> AddError<T> {
        let reason = refusal(readable, writable, self.state, self.ring.size, self.ledger.free());
        AddError { reason, cookie }
    }

    /// Fills the next free descriptor.
    #[inline]
    fn fill(&mut self, run: &mut Run, segment: Segment, kind: DescriptorFlags) {
        run.left -= 1;
        let next = if run.left == 0 { DescriptorFlags::empty() } else { DescriptorFlags::NEXT };
        let flags = kind.union(next).union(DescriptorFlags::available(run.at));
        // The device reads the id from the last descriptor; some old ones read it from the first.
        let word = Meta { len: segment.len, id: run.id, flags }.to_word();
        self.ring.descriptor.write(address(run.at.slot()), segment.address);
        if run.at == self.progress.published {
            self.progress.first = word;
        } else {
            // Relaxed: the device comes here only after the batch's first descriptor is published.
            self.ring.descriptor.store(meta(run.at.slot()), word, Store::Relaxed);
        }
        run.at = run.at.advance(1, self.ring.size);
    }

    /// Stages the chain of `count` descriptors that have been filled.
    #[inline]
    fn stage(&mut self, run: &Run, count: u16, writable: u32, cookie: T) {
        self.ledger.take(run.id, count, writable, cookie);
        self.progress.available = run.at;
        self.progress.staged += count;
    }

    /// Stages a buffer through a table of descriptors, so that it takes up a single one in the queue.
    ///
    /// `table` is memory for the table: 16 bytes for each segment, of any alignment. Like the segments, it
    /// is the device's until the cookie comes back.
    ///
    /// # Errors
    ///
    /// [`AddError`] says why the buffer cannot be added, and returns the cookie. The queue has not changed
    /// then.
    pub fn add_indirect(
        &mut self,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<(), AddError<T>> {
        let fill = || {
            let (_, bytes) = admit(readable, writable, self.state, self.ring.size)?;
            if !self.ring.indirect {
                return Err(AddReason::IndirectNotNegotiated);
            }
            if self.free() == 0 {
                return Err(AddReason::Full { free: 0, needed: 1 });
            }
            let written =
                fill_table(&self.ring.memory, table, readable, writable, |segment, writable, _| {
                    let flags = if writable { DescriptorFlags::WRITE } else { DescriptorFlags::empty() };
                    (segment.address, Meta { len: segment.len, id: 0, flags }.to_word())
                })?;
            Ok((written, bytes))
        };
        let (written, bytes) = match fill() {
            Ok(filled) => filled,
            Err(reason) => return Err(AddError { reason, cookie }),
        };
        let table = Segment::new(table.address, u32::from(written) * DESCRIPTOR_BYTES);
        let mut run = Run { at: self.progress.available, id: self.ledger.head(), left: 1 };
        self.fill(&mut run, table, DescriptorFlags::INDIRECT);
        self.stage(&run, 1, bytes, cookie);
        Ok(())
    }

    /// What to tell the device with a notification, where [`NOTIFICATION_DATA`] was negotiated.
    ///
    /// `queue` is the queue's index; or, with [`NOTIF_CONFIG_DATA`], the number that the device gave for it.
    /// (VIRTIO 1.4, 2.9 "Driver Notifications")
    ///
    /// [`NOTIFICATION_DATA`]: crate::Features::NOTIFICATION_DATA
    /// [`NOTIF_CONFIG_DATA`]: crate::Features::NOTIF_CONFIG_DATA
    pub const fn notification_data(&self, queue: u16) -> u32 {
        queue as u32 | (self.progress.published.bits() as u32) << 16
    }

    /// Makes all staged buffers available, and says whether to notify the device.
    #[inline]
    pub fn publish(&mut self) -> Notify {
        self.publish_silently();
        let count = self.progress.unannounced.take();
        if count == Some(0) || !self.state.is_running() {
            return Notify::NotNeeded;
        }
        // Orders the store of the flags before the load of the device's wish; pairs with the fence in the
        // device's `arm`.
        self.ring.memory.fence();
        let Some(count) = count else {
            return Notify::Needed;
        };
        let Ring { device, event_idx, size, .. } = &self.ring;
        Notify::if_(event::is_due(device, self.progress.published, count, *event_idx, *size))
    }

    /// Makes all staged buffers available to a device that polls. The next [`publish`](Self::publish)
    /// decides about notifying it of these buffers, too.
    #[inline]
    pub fn publish_silently(&mut self) {
        let Progress { published, staged, first, .. } = self.progress;
        if staged != 0 && self.state.is_running() {
            // Release: pairs with the Acquire in the device's `pop`; orders the other descriptors of the
            // batch and the buffers' contents before the flags of its first one.
            self.ring.descriptor.store(meta(published.slot()), first, Store::Release);
            self.progress.published = self.progress.available;
            self.progress.staged = 0;
            self.progress.unannounced.add(staged);
            self.ledger.publish();
        }
    }
}

/// Taking buffers back.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> Driver<M, S, T> {
    /// Takes back the next used buffer, if there is one.
    ///
    /// # Errors
    ///
    /// A [`Violation`] once, when the device breaks a rule; the queue is idle from then on.
    #[inline]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        let taken = if self.progress.batch.is_some() && (!self.progress.alert || self.attend()) {
            self.ledger.release_oldest(&mut self.progress.batch)
        } else {
            match self.used() {
                Some(used) => self.take(used),
                None => return Ok(None),
            }
        };
        match taken {
            Ok((used, count)) => {
                self.progress.next = self.progress.next.advance(count, self.ring.size);
                Ok(Some(used))
            }
            Err(violation) => {
                self.state = State::Broken;
                self.progress.alert = true;
                Err(violation)
            }
        }
    }

    /// The next used descriptor, if there is one and the queue runs.
    #[inline]
    fn used(&mut self) -> Option<Meta> {
        let next = self.progress.next;
        // Acquire: pairs with the Release in the device's `publish`; orders the buffer's contents after the
        // flags of its used descriptor.
        let used = Meta::from_word(self.ring.descriptor.load(meta(next.slot()), Load::Acquire));
        if !used.flags.is_used(next) || (self.progress.alert && !self.attend()) {
            return None;
        }
        Some(used)
    }

    /// Takes back the wish to be notified. Returns whether the queue runs.
    #[cold]
    fn attend(&mut self) -> bool {
        if self.state.is_running() {
            self.progress.alert = false;
            event::disable(&self.ring.driver);
        }
        self.state.is_running()
    }

    #[inline]
    fn take(&mut self, used: Meta) -> Result<(Used<T>, u16), Violation> {
        // The length is reserved without the flag `WRITE` (VIRTIO 1.4, 2.8.4 "Element Address and Length"), but
        // QEMU never sets the flag. It is believed, up to what the buffer has room for.
        if self.state == State::InOrder {
            self.progress.batch = Some((used.id.into(), used.len));
            return self.ledger.release_oldest(&mut self.progress.batch);
        }
        self.ledger.release(used.id.into(), used.len)
    }

    /// Asks the device to notify when it returns the next buffer.
    #[inline]
    pub fn arm(&mut self) -> Arm {
        if !self.state.is_running() {
            return Arm::Armed;
        }
        let next = self.progress.next;
        event::enable(&self.ring.driver, self.ring.event_idx.then_some(next));
        self.progress.alert = true;
        // Orders the store of the wish before the load of the device's flags; pairs with the fence in the
        // device's `publish`.
        self.ring.memory.fence();
        // Relaxed: `reap` loads the flags again, with Acquire, before it relies on them.
        let used = Meta::from_word(self.ring.descriptor.load(meta(next.slot()), Load::Relaxed));
        // The rest of a batch has no used descriptors of its own.
        if self.progress.batch.is_some() || used.flags.is_used(next) { Arm::Pending } else { Arm::Armed }
    }
}

/// Stopping and going on.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> Driver<M, S, T> {
    /// Publishes what is staged, and stops. Buffers in flight stay in flight.
    pub fn suspend(&mut self) -> (Position, Notify) {
        let notify = self.publish();
        self.state = self.state.unless_broken(State::Suspended);
        self.progress.alert = true;
        (self.position(), notify)
    }

    /// Goes on where [`suspend`](Self::suspend) stopped. The first [`publish`](Self::publish) then
    /// notifies, because nobody knows what was announced before.
    pub fn resume(&mut self) {
        let Progress { published, next, batch, .. } = self.progress;
        self.progress = Progress { batch, ..Progress::at(published, next, Unannounced::unknown()) };
        self.state = self.state.unless_broken(self.ring.running);
    }

    /// Where the queue stands: what has been published, and the next buffer to take back.
    pub const fn position(&self) -> Position {
        Position { available: self.progress.published.bits(), used: self.progress.next.bits() }
    }
}
