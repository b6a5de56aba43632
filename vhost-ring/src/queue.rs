//! One queue that runs.

use std::fmt;

use ring_core::device::Slot;
use ring_core::memory::VmMemory;
use ring_core::{
    Arm, Chain, CompleteError, DeviceQueue, Features, PopError, Position, Reader, Segment, SetupError, Token,
    Violation, Writer,
};
use vhost_user_backend::VringT as _;
use vm_memory::GuestMemoryMmap;
use vm_memory::bitmap::NewBitmap;

use crate::{GuestMemory, Vring};

/// The guest's memory as ring-core's queues access it.
type GuestView<B> = VmMemory<GuestMemoryMmap<B>>;

/// A queue that runs: ring-core's device queue, in the format that was negotiated, on a [`Vring`].
pub struct Queue<B: NewBitmap + 'static = ()> {
    ring: DeviceQueue<GuestView<B>, Box<[Slot]>>,
    /// The number of descriptors.
    size: u16,
    vring: Vring<B>,
    /// Whether the driver has ever made a chain available.
    used: bool,
}

/// The number of kicks that do not mean that a chain is available. QEMU kicks each queue once when
/// the queue starts.
const SPURIOUS_KICKS: u32 = 1;

impl<B: NewBitmap + 'static> Queue<B> {
    /// Starts the queue at the 16-bit vring base that its vring records.
    ///
    /// A packed queue is assumed to have nothing in flight, because a 16-bit base cannot express
    /// anything else.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the configuration is invalid, or if the base is not a position of the
    /// queue.
    pub fn start(vring: &Vring<B>, memory: GuestMemory<B>, features: Features) -> Result<Self, SetupError> {
        let (setup, base) = vring.setup(features);
        let slots = vec![Slot::default(); setup.size.into()].into_boxed_slice();
        let mut ring = DeviceQueue::new(VmMemory::new(memory), &setup, slots)?;
        let position = match &ring {
            DeviceQueue::Split(_) => ring.position_of(base.into()),
            DeviceQueue::Packed(_) => Position::quiescent(base),
        };
        ring.resume(position)?;
        let fresh = match &ring {
            DeviceQueue::Split(_) => 0,
            DeviceQueue::Packed(_) => 1 << 15,
        };
        Ok(Self { ring, size: setup.size, vring: vring.clone(), used: base != fresh })
    }

    /// Moves a queue that has taken nothing yet to another position, for example to the position
    /// that [`position_of`](DeviceQueue::position_of) returns for a 32-bit base of a packed queue.
    ///
    /// # Errors
    ///
    /// The errors of [`DeviceQueue::resume`].
    pub fn resume(&mut self, position: Position) -> Result<(), SetupError> {
        self.ring.resume(position)
    }

    /// Returns the position: the next buffer to take, and what has been published.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.ring.position()
    }

    /// Returns whether the front-end lets the queue run.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.vring.is_live()
    }

    /// Returns whether the driver has kicked although no chain was ever available in this queue.
    ///
    /// If so, the guest's memory is most likely not shared with this process. Call this method
    /// after the queue was found empty.
    #[must_use]
    pub fn is_kicked_in_vain(&self) -> bool {
        !self.used && self.vring.kicks() > SPURIOUS_KICKS
    }

    /// Returns the memory that contains the queue's segments.
    #[must_use]
    pub const fn memory(&self) -> &GuestView<B> {
        self.ring.memory()
    }

    /// Takes the next chain, if there is one that fits into `segments`.
    ///
    /// If the next chain has more segments than fit into `segments`, the chain is completed with
    /// nothing written, and `pop` returns `None`. [`arm`](Self::arm) then finds the chains that
    /// follow.
    ///
    /// # Errors
    ///
    /// [`Violation`] once, when the driver breaks a rule. The queue is idle from then on, and the
    /// front-end has been told through the vring's error file.
    pub fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, Violation> {
        let popped = self.ring.pop(segments);
        self.used |= !matches!(popped, Ok(None));
        self.without_too_long(popped)
    }

    /// Stages a used chain, with the number of bytes written to it.
    ///
    /// # Errors
    ///
    /// The errors of [`DeviceQueue::complete`].
    pub fn complete(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        self.ring.complete(token, written)
    }

    /// Puts the newest chain back into the ring, as if the chain had not been taken.
    ///
    /// # Errors
    ///
    /// The errors of [`DeviceQueue::unpop`].
    pub fn unpop(&mut self, token: Token) -> Result<(), CompleteError> {
        self.ring.unpop(token)
    }

    /// Makes all staged chains visible, and notifies the driver if the driver wants it.
    pub fn publish(&mut self) {
        if self.ring.publish().is_needed() {
            self.call();
        }
    }

    /// Asks the driver to notify when it makes the next chain available.
    pub fn arm(&mut self) -> Arm {
        self.ring.arm()
    }

    /// Answers up to `limit` available chains, and stages the answers. Returns the number of chains
    /// that were answered.
    ///
    /// `answer` reads the request from the chain's readable bytes and writes the response to its
    /// writable bytes; the chain is completed with the number of bytes written.
    /// [`publish`](Self::publish) makes the answers visible. So a device can return other chains
    /// before the driver sees an answer. A device that has nothing else to do uses
    /// [`serve`](Self::serve).
    ///
    /// # Errors
    ///
    /// The errors of [`pop`](Self::pop). The chains that were answered before the error are staged.
    pub fn answer(
        &mut self,
        segments: &mut [Segment],
        limit: usize,
        mut answer: impl FnMut(Reader<'_, GuestView<B>>, &mut Writer<'_, GuestView<B>>),
    ) -> Result<usize, Violation> {
        // To start and to end a burst takes longer than to look for a chain.
        if !self.ring.pending() {
            return Ok(0);
        }
        // The clone is another handle to the same memory.
        let memory = self.memory().clone();
        let mut burst = self.ring.burst();
        let served = burst.serve(segments, limit, |readable, writable| {
            let mut response = Writer::new(&memory, writable);
            answer(Reader::new(&memory, readable), &mut response);
            response.written()
        });
        drop(burst);
        self.used |= served != Ok(0);
        let served = self.without_too_long(served);
        if served.is_err() {
            // The answers that precede the violation still reach the driver.
            self.ring.drain();
        }
        served
    }

    /// Answers chains until the queue is empty and armed, but at most as many chains as the queue
    /// has descriptors. Publishes the answers.
    ///
    /// `answer` reads the request from the chain's readable bytes and writes the response to its
    /// writable bytes; the chain is completed with the number of bytes written. Returns
    /// [`Arm::Pending`] if there may be more to do; then call `serve` again, after the other
    /// queues.
    ///
    /// # Errors
    ///
    /// The errors of [`pop`](Self::pop). The chains that were answered before the error have been
    /// published.
    pub fn serve(
        &mut self,
        segments: &mut [Segment],
        answer: impl FnMut(Reader<'_, GuestView<B>>, &mut Writer<'_, GuestView<B>>),
    ) -> Result<Arm, Violation> {
        let served = self.answer(segments, self.size.into(), answer);
        self.publish();
        served?;
        Ok(self.arm())
    }

    /// Completes a chain of too many segments with nothing written, and reports a violation.
    fn without_too_long<T: Default>(&mut self, popped: Result<T, PopError>) -> Result<T, Violation> {
        match popped {
            Ok(popped) => Ok(popped),
            Err(PopError::TooLong(token)) => {
                log::debug!("a chain of too many segments is completed unread");
                // A token that has just been taken is neither stale nor suspended.
                let completed = self.ring.complete(token, 0);
                debug_assert!(completed.is_ok());
                Ok(T::default())
            }
            Err(PopError::Violation(violation)) => {
                if let Err(error) = self.vring.signal_error() {
                    log::debug!("the front-end cannot be told of a broken queue: {error}");
                }
                Err(violation)
            }
        }
    }

    /// Stops the queue, and records the position in the vring, where GET_VRING_BASE reads the
    /// position.
    pub(crate) fn stop(mut self) -> Position {
        let (position, notify) = self.ring.suspend();
        if notify.is_needed() {
            self.call();
        }
        self.vring.set_queue_next_avail(position.available);
        position
    }

    fn call(&self) {
        if let Err(error) = self.vring.call() {
            log::debug!("the driver cannot be notified: {error}");
        }
    }
}

impl<B: NewBitmap + 'static> fmt::Debug for Queue<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("ring", &self.ring).finish_non_exhaustive()
    }
}
