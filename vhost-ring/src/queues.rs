//! The queues of a device, as the front-end starts and stops them.

use std::fmt;
use std::io;
use std::sync::PoisonError;

use ring_core::memory::VmMemory;
use ring_core::{Arm, Features, Position, Reader, Segment, SetupError, Writer};
use vm_memory::bitmap::NewBitmap;
use vm_memory::{GuestAddressSpace as _, GuestMemoryAtomic, GuestMemoryMmap};

use crate::memory::{MemoryError, Sealed};
use crate::restart::Started;
use crate::{GuestMemory, Queue, Vring, Waker};

#[derive(Default)]
enum State<B: NewBitmap + 'static> {
    #[default]
    Fresh,
    /// Stopped at a position.
    Stopped(Position),
    Running(Box<Queue<B>>),
    /// The queue cannot be started with its configuration. Another attempt is useless until the
    /// queue is stopped.
    Invalid {
        stopped_at: Option<Position>,
    },
}

/// The queues of a device.
///
/// Queues are named by their index: queue `n` belongs to the `n`-th vring.
pub struct Queues<B: NewBitmap + 'static = ()> {
    states: Box<[State<B>]>,
    features: Features,
    memory: Option<GuestMemory<B>>,
    /// Whether the files behind the current memory keep their size.
    sealed: Option<Sealed>,
    waker: Waker,
}

/// Calls for the messages of the front-end.
impl<B: NewBitmap + 'static> Queues<B> {
    /// Returns the queues of a device that has `count` of them.
    ///
    /// # Errors
    ///
    /// The error of creating the eventfd behind [`waker`](Self::waker).
    pub fn new(count: usize) -> io::Result<Self> {
        let states = (0..count).map(|_| State::default()).collect();
        Ok(Self { states, features: Features::empty(), memory: None, sealed: None, waker: Waker::new()? })
    }

    /// Returns the features of virtqueues that a device can offer with these queues: VERSION_1,
    /// EVENT_IDX, INDIRECT_DESC and RING_PACKED.
    #[must_use]
    pub const fn offered() -> Features {
        Features::VERSION_1
            .union(Features::EVENT_IDX)
            .union(Features::INDIRECT_DESC)
            .union(Features::RING_PACKED)
    }

    /// Takes the negotiated features. Queues that run keep the features that they were started
    /// with.
    pub const fn set_features(&mut self, features: u64) {
        self.features = Features::from_bits_retain(features);
    }

    /// Returns the negotiated features.
    #[must_use]
    pub const fn features(&self) -> Features {
        self.features
    }

    /// Takes the guest's memory, after a front-end has changed it.
    ///
    /// Each queue that runs is stopped, and starts again in the new memory at the next
    /// [`start`](Self::start). `give_back` returns the queue's chains in flight, as in
    /// [`stop`](Self::stop).
    ///
    /// # Errors
    ///
    /// [`MemoryError`] if a file is shorter than the front-end says. The memory is then empty, for
    /// `vhost-user-backend` too: no access raises SIGBUS, and no queue starts. A file that can be
    /// truncated later is not an error; it is reported in the log.
    pub fn set_memory(
        &mut self,
        memory: &GuestMemoryAtomic<GuestMemoryMmap<B>>,
        mut give_back: impl FnMut(usize, &mut Queue<B>),
    ) -> Result<(), MemoryError> {
        for index in 0..self.states.len() {
            self.stop(index, |queue| give_back(index, queue));
        }
        let checked = crate::memory::check(&memory.memory());
        if checked.is_err() {
            self.memory = None;
            memory.lock().unwrap_or_else(PoisonError::into_inner).replace(GuestMemoryMmap::new());
        }
        let sealed = checked?;
        if sealed == Sealed::No && self.sealed != Some(Sealed::No) {
            log::info!("guest memory is not sealed: a front-end that truncates its file ends this process");
        }
        self.sealed = Some(sealed);
        self.memory = Some(memory.memory().into_inner());
        self.waker.wake();
        Ok(())
    }

    /// Stops a queue, and records its position, which GET_VRING_BASE then returns.
    ///
    /// `give_back` is called if the queue runs. `give_back` returns the chains in flight: with
    /// [`unpop`](Queue::unpop), newest first, where possible, and otherwise with
    /// [`complete`](Queue::complete). A chain that is still in flight afterwards is lost to the
    /// driver.
    pub fn stop(&mut self, index: usize, give_back: impl FnOnce(&mut Queue<B>)) {
        let Some(state) = self.states.get_mut(index) else { return };
        *state = match std::mem::take(state) {
            State::Running(mut queue) => {
                give_back(&mut queue);
                State::Stopped(queue.stop())
            }
            State::Invalid { stopped_at } => stopped_at.map_or(State::Fresh, State::Stopped),
            state => state,
        };
    }

    /// Forgets all queues. Call on RESET_DEVICE and at the end of a session.
    pub fn reset(&mut self) {
        self.states.iter_mut().for_each(|state| *state = State::Fresh);
    }
}

/// Calls for the work of the device.
impl<B: NewBitmap + 'static> Queues<B> {
    /// Starts a queue if the front-end lets the queue run and it does not run yet.
    ///
    /// Call `start` for each queue before every access to the queue, because vhost-user starts a
    /// queue by its first kick.
    ///
    /// # Errors
    ///
    /// [`SetupError`] once, if the queue cannot run with its configuration; the queue is left alone
    /// until the front-end has stopped it.
    pub fn start(&mut self, index: usize, vring: &Vring<B>) -> Result<Started, SetupError> {
        let (Some(state), Some(memory)) = (self.states.get_mut(index), &self.memory) else {
            return Ok(Started::Unchanged);
        };
        let left = match state {
            State::Running(_) | State::Invalid { .. } => return Ok(Started::Unchanged),
            State::Fresh => None,
            State::Stopped(position) => Some(*position),
        };
        if !vring.is_live() {
            return Ok(Started::Unchanged);
        }
        match Queue::start(vring, memory.clone(), self.features) {
            Ok(queue) => {
                let started = Started::new(left, queue.position());
                *state = State::Running(Box::new(queue));
                Ok(started)
            }
            Err(error) => {
                *state = State::Invalid { stopped_at: left };
                if let Err(error) = vring.signal_error() {
                    log::debug!("the front-end cannot be told of an invalid queue: {error}");
                }
                Err(error)
            }
        }
    }

    /// Returns a queue, if it runs and the front-end has not disabled it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Queue<B>> {
        match self.states.get_mut(index) {
            Some(State::Running(queue)) if queue.is_live() => Some(queue),
            _ => None,
        }
    }

    /// Returns a queue if it runs, enabled or not.
    ///
    /// While a queue is disabled, the device may return its chains, but must not take new ones.
    pub fn running(&mut self, index: usize) -> Option<&mut Queue<B>> {
        match self.states.get_mut(index) {
            Some(State::Running(queue)) => Some(queue),
            _ => None,
        }
    }

    /// Starts and serves all queues, for a device that answers each chain at once: see
    /// [`Queue::serve`].
    ///
    /// `answer` gets the index of the queue as well. The work is bounded: for each queue, at most
    /// as many chains are served as the queue has descriptors. If there may be more to do, the
    /// [`waker`](Self::waker) is readable afterwards. Errors go to the log.
    pub fn serve(
        &mut self,
        vrings: &[Vring<B>],
        segments: &mut [Segment],
        mut answer: impl FnMut(
            usize,
            Reader<'_, VmMemory<GuestMemoryMmap<B>>>,
            &mut Writer<'_, VmMemory<GuestMemoryMmap<B>>>,
        ),
    ) {
        self.waker.clear();
        for (index, vring) in vrings.iter().enumerate() {
            if let Err(error) = self.start(index, vring) {
                log::error!("queue {index} cannot be started: {error}");
            }
            let Some(queue) = self.get_mut(index) else { continue };
            match queue.serve(segments, |request, response| answer(index, request, response)) {
                Ok(Arm::Armed | Arm::Stopped) => {}
                Ok(Arm::Pending | Arm::Unpublished) => self.waker.wake(),
                Err(violation) => log::warn!("the driver has broken queue {index}: {violation}"),
            }
        }
    }
}

/// The waker.
impl<B: NewBitmap + 'static> Queues<B> {
    /// Returns the waker. The waker wakes the event loop when the device has to look at its queues
    /// without a kick.
    ///
    /// Register the waker's file with the event loop (`VringEpollHandler::register_listener`) under
    /// a number above that of the queues, such as [`wake_event`](Self::wake_event).
    #[must_use]
    pub const fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Returns an event number for the waker that `vhost-user-backend` does not use itself.
    #[must_use]
    pub const fn wake_event(&self) -> u64 {
        self.states.len() as u64 + 1
    }
}

impl<B: NewBitmap + 'static> fmt::Debug for Queues<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queues").field("features", &self.features).finish_non_exhaustive()
    }
}
