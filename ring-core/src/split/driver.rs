//! The driver end of a split queue.

use crate::chain::Segment;
use crate::error::{AddError, AddReason, SetupError, Violation};
use crate::index::QueueSize;
use crate::indirect::{DESCRIPTOR_BYTES, fill_table};
use crate::ledger::{Ledger, Slot, Used, admit, measure, refusal};
use crate::memory::{Area as _, Load, Memory, Store};
use crate::notify::{Arm, Notify, Unannounced, need_event};
use crate::position::Position;
use crate::setup::{Ring, Setup, State};

use super::layout::{
    Descriptor, DescriptorFlags, FLAG_NO_NOTIFICATION, FLAGS, INDEX, available_event, available_slot, layout,
    used_event, used_slot,
};

/// Makes buffers available in a split queue and takes them back used.
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
    /// The next entry to fill; free-running, ahead of `published` by what is staged.
    available: u16,
    /// The index as last stored in the driver area.
    published: u16,
    /// The next used entry to take; free-running, at or behind `used`.
    next: u16,
    /// The device's index as last loaded; can be stale. Equal to `next` while the queue does not run or is
    /// armed, so that `reap` has one thing to compare.
    used: u16,
    /// In an in-order queue, the used buffer that stands for itself and the older ones still to come back:
    /// its id, and the bytes written.
    batch: Option<(u32, u32)>,
    unannounced: Unannounced,
    /// Whether the device is asked to notify.
    armed: bool,
}

/// The descriptors of a buffer that is being added.
#[derive(Debug)]
struct Run {
    /// The next one to fill.
    next: u16,
    /// The one filled last.
    last: u16,
    /// How many are still to be filled.
    left: usize,
}

impl Progress {
    const fn at(position: Position, unannounced: Unannounced) -> Self {
        let Position { available, used } = position;
        Self { available, published: available, next: used, used, batch: None, unannounced, armed: true }
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
        let size = QueueSize::split(setup.size)?;
        let ring = Ring::new(memory, setup, size, layout(size))?;
        Ok(Self {
            state: ring.running,
            ring,
            ledger: Ledger::new(slots, size)?,
            progress: Progress::at(Position::SPLIT_START, Unannounced::nothing()),
        })
    }

    /// Sets the queue up anew, once the device no longer runs it. The cookies of all buffers in flight go
    /// to `returned`. The areas have to be zeroed before.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); the queue is then as it was.
    pub fn reset(&mut self, memory: M, setup: &Setup, returned: impl FnMut(T)) -> Result<(), SetupError> {
        let size = QueueSize::split(setup.size)?;
        let ring = Ring::new(memory, setup, size, layout(size))?;
        self.ledger.reset(size, returned)?;
        self.ring = ring;
        self.state = self.ring.running;
        self.progress = Progress::at(Position::SPLIT_START, Unannounced::nothing());
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
        let head = self.ledger.head();
        let mut run = Run { next: head, last: head, left: count };
        for segment in readable {
            self.fill(&mut run, *segment, DescriptorFlags::empty());
        }
        for segment in writable {
            self.fill(&mut run, *segment, DescriptorFlags::WRITE);
        }
        #[expect(clippy::cast_possible_truncation, reason = "no more than there are free descriptors")]
        self.stage(head, run.last, count as u16, writable_bytes, cookie);
        Ok(())
    }

    #[cold]
    fn refuse(&self, readable: &[Segment], writable: &[Segment], cookie: T) -> AddError<T> {
        let reason = refusal(readable, writable, self.state, self.ring.size, self.ledger.free());
        AddError { reason, cookie }
    }

    /// Fills the next free descriptor.
    #[inline]
    fn fill(&self, run: &mut Run, segment: Segment, kind: DescriptorFlags) {
        let index = run.next;
        run.last = index;
        run.next = self.ledger.next(index);
        run.left -= 1;
        let flags = if run.left == 0 { kind } else { kind.union(DescriptorFlags::NEXT) };
        self.write(index, Descriptor { segment, flags, next: run.next });
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
                fill_table(&self.ring.memory, table, readable, writable, |segment, writable, next| {
                    let kind = if writable { DescriptorFlags::WRITE } else { DescriptorFlags::empty() };
                    let (flags, next) =
                        next.map_or((kind, 0), |next| (kind.union(DescriptorFlags::NEXT), next));
                    Descriptor { segment, flags, next }.to_words()
                })?;
            Ok((written, bytes))
        };
        let (written, bytes) = match fill() {
            Ok(filled) => filled,
            Err(reason) => return Err(AddError { reason, cookie }),
        };
        let head = self.ledger.head();
        let segment = Segment::new(table.address, u32::from(written) * DESCRIPTOR_BYTES);
        self.write(head, Descriptor { segment, flags: DescriptorFlags::INDIRECT, next: 0 });
        self.stage(head, head, 1, bytes, cookie);
        Ok(())
    }

    #[inline]
    fn write(&self, index: u16, descriptor: Descriptor) {
        self.ring.descriptor.write_pair(Descriptor::offset(index), descriptor.to_words());
    }

    /// Stages the chain of `count` descriptors from `head` to `last`.
    #[inline]
    fn stage(&mut self, head: u16, last: u16, count: u16, writable: u32, cookie: T) {
        self.ledger.take(last, count, writable, cookie);
        let slot = self.ring.size.slot(self.progress.available);
        self.ring.driver.write(available_slot(slot), head);
        self.progress.available = self.progress.available.wrapping_add(1);
    }

    /// What to tell the device with a notification, where [`NOTIFICATION_DATA`] was negotiated.
    ///
    /// `queue` is the queue's index; or, with [`NOTIF_CONFIG_DATA`], the number that the device gave for it.
    /// (VIRTIO 1.4, 2.9 "Driver Notifications")
    ///
    /// [`NOTIFICATION_DATA`]: crate::Features::NOTIFICATION_DATA
    /// [`NOTIF_CONFIG_DATA`]: crate::Features::NOTIF_CONFIG_DATA
    pub const fn notification_data(&self, queue: u16) -> u32 {
        queue as u32 | (self.progress.published as u32) << 16
    }

    /// Makes all staged buffers available, and says whether to notify the device.
    #[inline]
    pub fn publish(&mut self) -> Notify {
        self.publish_silently();
        let count = self.progress.unannounced.take();
        if count == Some(0) || !self.state.is_running() {
            return Notify::NotNeeded;
        }
        // Orders the store of the index before the load of the device's wish; pairs with the fence in the
        // device's `arm`.
        self.ring.memory.fence();
        let Some(count) = count else {
            return Notify::Needed;
        };
        let published = self.progress.published;
        Notify::if_(if self.ring.event_idx {
            let event = self.ring.device.load(available_event(self.ring.size), Load::Relaxed);
            need_event(event, published, published.wrapping_sub(count))
        } else {
            self.ring.device.load::<u16>(FLAGS, Load::Relaxed) & FLAG_NO_NOTIFICATION == 0
        })
    }

    /// Makes all staged buffers available to a device that polls. The next [`publish`](Self::publish)
    /// decides about notifying it of these buffers, too.
    #[inline]
    pub fn publish_silently(&mut self) {
        let count = self.progress.available.wrapping_sub(self.progress.published);
        if count != 0 && self.state.is_running() {
            // Release: pairs with the Acquire in the device's `pop`; orders the descriptors, the ring slots
            // and the buffers' contents before the index that covers them.
            self.ring.driver.store(INDEX, self.progress.available, Store::Release);
            self.progress.published = self.progress.available;
            self.ledger.publish();
            self.progress.unannounced.add(count);
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
        if self.progress.next == self.progress.used {
            match self.refresh() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(violation) => return Err(self.broken(violation)),
            }
        }
        match self.take() {
            Ok((used, _)) => {
                self.progress.next = self.progress.next.wrapping_add(1);
                Ok(Some(used))
            }
            Err(violation) => Err(self.broken(violation)),
        }
    }

    /// Makes the queue idle from now on.
    #[cold]
    fn broken(&mut self, violation: Violation) -> Violation {
        self.state = State::Broken;
        self.progress.used = self.progress.next;
        violation
    }

    #[inline]
    fn take(&mut self) -> Result<(Used<T>, u16), Violation> {
        if self.state == State::InOrder {
            if self.progress.batch.is_none() {
                self.progress.batch = Some(self.used_entry());
            }
            return self.ledger.release_oldest(&mut self.progress.batch);
        }
        let (id, written) = self.used_entry();
        self.ledger.release(id, written)
    }

    /// The next used entry: an id, and the bytes written.
    #[inline]
    fn used_entry(&self) -> (u32, u32) {
        let slot = used_slot(self.ring.size.slot(self.progress.next));
        (self.ring.device.read(slot), self.ring.device.read(slot + 4))
    }

    /// Looks at the device's index again. Returns whether anything was used; never in a queue that does not
    /// run, so that this is the one place to ask.
    #[inline]
    fn refresh(&mut self) -> Result<bool, Violation> {
        if !self.state.is_running() {
            return Ok(false);
        }
        // Acquire: pairs with the Release in the device's `publish`; orders the used entries and the
        // buffers' contents after the index that covers them.
        let index: u16 = self.ring.device.load(INDEX, Load::Acquire);
        let next = self.progress.next;
        if index == next {
            return Ok(false);
        }
        // What is only staged is not the device's to use.
        let in_flight = self.progress.published.wrapping_sub(next);
        if index.wrapping_sub(next) > in_flight {
            return Err(Violation::UsedIndex { index, next, in_flight });
        }
        if self.progress.armed {
            self.disarm();
        }
        self.progress.used = index;
        Ok(true)
    }

    /// Asks the device to notify when it returns the next buffer.
    #[inline]
    pub fn arm(&mut self) -> Arm {
        if !self.state.is_running() {
            return Arm::Armed;
        }
        let (driver, next) = (&self.ring.driver, self.progress.next);
        if self.ring.event_idx {
            driver.store(used_event(self.ring.size), next, Store::Relaxed);
        } else {
            driver.store(FLAGS, 0u16, Store::Relaxed);
        }
        self.progress.armed = true;
        self.progress.used = next;
        // Orders the store of the wish before the load of the device's index; pairs with the fence in the
        // device's `publish`.
        self.ring.memory.fence();
        // Relaxed: `reap` loads the index again, with Acquire, before it relies on it.
        let index: u16 = self.ring.device.load(INDEX, Load::Relaxed);
        if index == next { Arm::Armed } else { Arm::Pending }
    }

    /// Takes back the wish to be notified, where that takes a store.
    #[inline]
    fn disarm(&mut self) {
        self.progress.armed = false;
        if !self.ring.event_idx {
            self.ring.driver.store(FLAGS, FLAG_NO_NOTIFICATION, Store::Relaxed);
        }
    }
}

/// Stopping and going on.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> Driver<M, S, T> {
    /// Publishes what is staged, and stops. Buffers in flight stay in flight.
    pub fn suspend(&mut self) -> (Position, Notify) {
        let notify = self.publish();
        self.state = self.state.unless_broken(State::Suspended);
        self.progress.used = self.progress.next;
        (self.position(), notify)
    }

    /// Goes on where [`suspend`](Self::suspend) stopped. The first [`publish`](Self::publish) then
    /// notifies, because nobody knows what was announced before.
    pub fn resume(&mut self) {
        let Progress { batch, .. } = self.progress;
        self.progress = Progress { batch, ..Progress::at(self.position(), Unannounced::unknown()) };
        self.state = self.state.unless_broken(self.ring.running);
    }

    /// Where the queue stands: what has been published, and the next buffer to take back.
    pub const fn position(&self) -> Position {
        Position { available: self.progress.published, used: self.progress.next }
    }
}
