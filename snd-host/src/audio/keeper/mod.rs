//! Keeps an audio process running, and its takes in it.
//!
//! A thread of the card process waits for messages of the audio process, and for what
//! [`Supervision`] has to look at. It does what [`Supervision`] decides. The event loop only sends
//! messages, without waiting.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use tracing::{debug, info, warn};

use super::launcher::Launcher;
use super::supervision::{Action, Event, Reason, Supervision};
use crate::wire::{Channel, Opening, Order, Received, Report, TakeId};

/// How many messages are handled before the thread looks at the time again.
const BUDGET: usize = 64;

/// The error for an audio process that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The process cannot use what the command line says.
    #[error("{0}")]
    Refused(String),
    /// The process ends before it is ready.
    #[error("the audio process has ended before it was ready; check that snd-host-audio is beside snd-host")]
    Ended,
    /// The process is not ready in time.
    #[error("the audio process was not ready in time; check GStreamer with gst-inspect-1.0")]
    NotReady,
    /// A system call has failed.
    #[error("cannot start the audio process: {0}")]
    System(#[from] io::Error),
}

/// The card's end of the audio process.
#[derive(Debug)]
pub(super) struct Keeper {
    launcher: Launcher,
    state: Mutex<State>,
    /// Signalled when a take is forgotten.
    forgotten: Condvar,
    /// Wakes the thread.
    woken: OwnedFd,
    /// Wakes the event loop for recorded audio. Only the audio process writes to it, and no process
    /// reads it: the event loop waits for its edges. So the audio process cannot make a read wait.
    doorbell: OwnedFd,
}

#[derive(Debug)]
struct State {
    supervision: Supervision,
    takes: BTreeMap<TakeId, Arc<TakeLink>>,
    /// The channel to the current process.
    channel: Option<Arc<Channel<Order, Report>>>,
    /// How many takes there were.
    opened: u64,
    /// The takes that the current process has to look at, but had no room for the messages.
    missed: BTreeSet<TakeId>,
}

impl State {
    /// Tells the current process to look at a take. Without room for the message, does so after the
    /// next answer of the process.
    fn wake(&mut self, take: TakeId) {
        let Some(channel) = self.channel.as_ref().filter(|_| self.takes.contains_key(&take)) else { return };
        if let Err(error) = channel.send(&Order::Wake(take)) {
            debug!("the audio process cannot be woken: {error}");
            self.missed.insert(take);
        }
    }

    /// Sends the messages for which there was no room.
    fn wake_missed(&mut self) {
        for take in std::mem::take(&mut self.missed) {
            self.wake(take);
        }
    }
}

/// A take of the card in the audio process.
#[derive(Debug)]
pub(super) struct TakeLink {
    opening: Opening,
    file: Arc<File>,
    /// With which number the take was opened in the current process; 0 if it was not.
    generation: AtomicU64,
}

impl TakeLink {
    /// Returns with which number the take was opened in the current audio process; `None` if it was
    /// not.
    pub(super) fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Ordering::Relaxed)).filter(|generation| *generation > 0)
    }
}

impl Keeper {
    /// Starts an audio process and waits until it is ready.
    pub(super) fn start(launcher: Launcher) -> Result<Arc<Self>, AudioError> {
        let file = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(io::Error::from);
        let now = Instant::now();
        let (supervision, takes, missed) = (Supervision::new(now), BTreeMap::new(), BTreeSet::new());
        let state = State { supervision, takes, channel: None, opened: 0, missed };
        let (state, forgotten) = (Mutex::new(state), Condvar::new());
        let this = Arc::new(Self { launcher, state, forgotten, woken: file()?, doorbell: file()? });
        this.on(&mut this.state(), Event::Look);
        this.wait_until_ready()?;
        Ok(this)
    }

    /// Waits for the first message of the first process.
    fn wait_until_ready(&self) -> Result<(), AudioError> {
        let mut state = self.state();
        let (Some(channel), Some(deadline)) = (state.channel.clone(), state.supervision.next_look()) else {
            return Err(AudioError::Ended);
        };
        wait_until_ready(&channel, deadline)?;
        self.on(&mut state, Event::Ready);
        Ok(())
    }

    /// Starts the thread, and has the audio process try the sink and the source once. Without the
    /// launcher, no audio process can be started: `launcher_lost` is called when it has ended.
    pub(super) fn watch(self: &Arc<Self>, launcher_lost: impl FnOnce() + Send + 'static) -> io::Result<()> {
        if let Some(channel) = &self.state().channel
            && let Err(error) = channel.send(&Order::Probe)
        {
            debug!("the audio process cannot be reached: {error}");
        }
        let this = self.clone();
        thread::Builder::new().name("keeper".into()).spawn(move || {
            while this.look() {}
            launcher_lost();
        })?;
        Ok(())
    }

    /// Waits for a message or the next look, and handles it. Returns false if the launcher has
    /// ended.
    fn look(&self) -> bool {
        let (channel, deadline) = {
            let state = self.state();
            (state.channel.clone(), state.supervision.next_look())
        };
        // The launcher sends nothing, so only its end is reported.
        let launcher = PollFd::new(&self.launcher, PollFlags::empty());
        let mut files = vec![launcher, PollFd::new(&self.woken, PollFlags::IN)];
        files.extend(channel.as_deref().map(|channel| PollFd::new(channel, PollFlags::IN)));
        if let Err(error) = wait(&mut files, deadline) {
            warn!("cannot wait for the audio process: {error}");
            // An error that lasts, such as a lack of memory, must not keep a processor busy.
            thread::sleep(Duration::from_secs(1));
        }
        if !files[0].revents().is_empty() {
            return false;
        }
        // Fails if no other thread has woken this one.
        let _ = rustix::io::read(&self.woken, &mut [0; 8]);
        if let Some(channel) = channel {
            self.receive(&channel);
        }
        self.on(&mut self.state(), Event::Look);
        true
    }

    /// Handles the messages of a process.
    fn receive(&self, channel: &Arc<Channel<Order, Report>>) {
        for _ in 0..BUDGET {
            let event = match channel.try_receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(Some(Received { message: Some(Report::Refused), text, .. })) => {
                    warn!("the audio process cannot run: {text}");
                    continue;
                }
                Ok(Some(Received { message: Some(message), .. })) => match message {
                    Report::Ready => {
                        debug!("the audio process is ready");
                        Event::Ready
                    }
                    Report::Alive(usage) => Event::Alive(usage),
                    Report::Ended(take) => Event::Ended(take),
                    Report::Refused => continue,
                },
                Ok(Some(Received { message: None, .. })) => continue,
                Ok(None) | Err(_) => Event::Gone,
            };
            let mut state = self.state();
            if state.channel.as_ref().is_none_or(|current| !Arc::ptr_eq(current, channel)) {
                return;
            }
            self.on(&mut state, event);
            if matches!(event, Event::Alive(_)) {
                state.wake_missed();
            }
        }
    }

    /// Does what an event calls for.
    fn on(&self, state: &mut State, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for action in state.supervision.on(event, Instant::now()) {
                let Err(error) = self.act(state, action) else { continue };
                debug!("the audio process cannot be reached: {error}");
                match action {
                    Action::Start => {
                        warn!("cannot start the audio process: {error}");
                        next = Some(Event::Gone);
                    }
                    // A take that is not open in the process would be silent.
                    Action::Open(..) => next = Some(Event::Unreachable),
                    // An answer that does not come ends the process.
                    Action::Ask | Action::Lost(_) | Action::Forget(_) => {}
                }
            }
        }
    }

    fn act(&self, state: &mut State, action: Action) -> io::Result<()> {
        let channel = state.channel.clone().ok_or(io::ErrorKind::NotConnected);
        match action {
            Action::Lost(reason) => self.lost(state, reason),
            Action::Start => {
                let (channel, other) = Channel::pair()?;
                channel.send_with_file(&Order::Hello, self.doorbell.as_fd())?;
                state.channel = Some(Arc::new(channel));
                self.launcher.launch(other)?;
            }
            Action::Ask => channel?.send(&Order::Ask)?,
            Action::Open(id, generation) => {
                let Some(take) = state.takes.get(&id) else { return Ok(()) };
                let opening = Opening { generation, ..take.opening };
                take.generation.store(generation, Ordering::Relaxed);
                channel?.send_with_file(&Order::Open(opening), take.file.as_fd())?;
            }
            Action::Forget(id) => {
                state.takes.remove(&id);
                state.missed.remove(&id);
                debug!(take = id.0, "take closed");
                self.forgotten.notify_all();
            }
        }
        Ok(())
    }

    fn lost(&self, state: &mut State, reason: Reason) {
        state.channel = None;
        state.missed.clear();
        state.takes.values().for_each(|take| take.generation.store(0, Ordering::Relaxed));
        match reason {
            Reason::Leak(_) => info!("the audio process is replaced, because {reason}"),
            _ => warn!("the audio process is replaced, because {reason}"),
        }
    }

    /// Opens the take that `opening` describes, whose shared area is in `file`. Returns `None` if
    /// there are too many takes.
    pub(super) fn open(&self, opening: Opening, file: &Arc<File>) -> Option<Arc<TakeLink>> {
        let mut state = self.state();
        if !state.supervision.has_room() {
            return None;
        }
        state.opened += 1;
        let id = TakeId(state.opened);
        let opening = Opening { take: id, ..opening };
        let take = Arc::new(TakeLink { opening, file: file.clone(), generation: AtomicU64::new(0) });
        state.takes.insert(id, take.clone());
        debug!(take = id.0, "take opened");
        self.on(&mut state, Event::Opened(id));
        drop(state);
        self.wake_thread();
        Some(take)
    }

    /// Has the audio process look at a take.
    pub(super) fn wake(&self, take: &TakeLink) {
        if take.generation().is_some() {
            self.state().wake(take.opening.take);
        }
    }

    /// Expects a take to end, which still has audio for `time`.
    pub(super) fn end(&self, take: &TakeLink, time: Duration) {
        self.wake(take);
        self.on(&mut self.state(), Event::Ending(take.opening.take, time));
        self.wake_thread();
    }

    /// Waits until all takes have ended, for at most `timeout`. Returns how many have not.
    pub(super) fn finish(&self, timeout: Duration) -> usize {
        let left = self.forgotten.wait_timeout_while(self.state(), timeout, |state| !state.takes.is_empty());
        left.unwrap_or_else(PoisonError::into_inner).0.takes.len()
    }

    /// Returns the file that the audio process writes to when it has recorded audio.
    pub(super) fn doorbell(&self) -> RawFd {
        self.doorbell.as_raw_fd()
    }

    fn wake_thread(&self) {
        // Fails only if the counter is at its maximum, and then the file is readable already.
        let _ = rustix::io::write(&self.woken, &1u64.to_ne_bytes());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for the first message of a process, until `deadline`.
fn wait_until_ready(channel: &Channel<Order, Report>, deadline: Instant) -> Result<(), AudioError> {
    let mut files = [PollFd::new(channel, PollFlags::IN)];
    // The process may send other messages without end.
    while Instant::now() < deadline {
        wait(&mut files, Some(deadline))?;
        match channel.try_receive() {
            Ok(Some(Received { message: Some(Report::Ready), .. })) => return Ok(()),
            Ok(Some(Received { message: Some(Report::Refused), text, .. })) => {
                return Err(AudioError::Refused(text));
            }
            Ok(Some(_)) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(None) | Err(_) => return Err(AudioError::Ended),
        }
    }
    Err(AudioError::NotReady)
}

/// Waits until one of the files is ready, until `deadline`, or until a signal is handled.
fn wait(files: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<usize> {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let timeout = left.map(|left| Timespec::try_from(left).map_err(io::Error::other)).transpose()?;
    match poll(files, timeout.as_ref()) {
        Err(Errno::INTR) => Ok(0),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod failing_process;
