//! The worker threads, which move requests.
//!
//! A worker waits for the notifications of its own queues only. So no request is delayed by a
//! device that does not answer a message, or by a VMM that sends many messages.

use std::hint;
use std::io;
use std::os::fd::OwnedFd;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use thiserror::Error;

use super::active_queue::{ActiveQueue, Progress};
use super::poll_window::PollWindow;
use super::queue_event::QueueEvent;
use super::scrub_timer::ScrubTimer;
use crate::limits::MAX_ROUNDS;
use crate::notifier;
use crate::poller::Poller;
use crate::sandbox::SandboxError;

/// All worker threads. They run until the process ends.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    /// Tells the control thread to look at the queues.
    report: Arc<OwnedFd>,
    /// Whether the workers have their queues, and so answer to [`wake_all`](Self::wake_all).
    assigned: bool,
}

#[derive(Debug)]
struct Worker {
    poller: Arc<Poller<QueueEvent>>,
    /// Tells the worker to look at its queues.
    wake: OwnedFd,
    /// Counts the rounds of the worker's main loop.
    rounds: Arc<AtomicU64>,
    sender: Sender<Assignment>,
}

/// The work of one worker.
#[derive(Debug)]
struct Assignment {
    /// Its queues, each with its index.
    queues: Vec<(usize, Arc<Mutex<ActiveQueue>>)>,
    report: Arc<OwnedFd>,
    /// The longest time to poll before sleeping.
    max_poll: Duration,
}

/// The workers cannot be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The system does not start a thread.
    #[error("cannot start a worker thread")]
    Thread(#[from] io::Error),
    /// A thread cannot enter the sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl Workers {
    /// Starts `count` threads, at least one.
    ///
    /// Each calls `enter_sandbox` before it reads from a peer.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] if a thread cannot be started or cannot enter the sandbox.
    pub fn start(
        count: usize,
        enter_sandbox: impl Fn() -> Result<(), SandboxError> + Copy + Send + 'static,
    ) -> Result<Self, WorkerError> {
        let (prepared, outcomes) = channel();
        let mut workers = Vec::new();
        for _ in 0..count.max(1) {
            let (poller, wake) = (Arc::new(Poller::new()?), notifier::new()?);
            poller.add_notifier(&wake, QueueEvent::Wake)?;
            let (sender, receiver) = channel();
            let rounds = Arc::<AtomicU64>::default();
            let (own, prepared, counted) = (Arc::clone(&poller), prepared.clone(), Arc::clone(&rounds));
            thread::Builder::new().name("queues".to_owned()).spawn(move || {
                let outcome = enter_sandbox();
                let ready = outcome.is_ok();
                // Without a receiver the process is about to end.
                if prepared.send(outcome).is_ok() && ready {
                    work(&own, &counted, &receiver);
                }
            })?;
            workers.push(Worker { poller, wake, rounds, sender });
        }
        for outcome in outcomes.iter().take(workers.len()) {
            outcome?;
        }
        Ok(Self { workers, report: Arc::new(notifier::new()?), assigned: false })
    }

    /// Distributes the queues over the workers, which poll for up to `max_poll` before they sleep.
    pub(crate) fn assign(&mut self, queues: &[Arc<Mutex<ActiveQueue>>], max_poll: Duration) {
        for (number, worker) in self.workers.iter().enumerate() {
            let own = queues.iter().cloned().enumerate().skip(number).step_by(self.workers.len()).collect();
            let assignment = Assignment { queues: own, report: Arc::clone(&self.report), max_poll };
            // A worker ends only with the process, so it still receives.
            let _ = worker.sender.send(assignment);
        }
        self.assigned = true;
    }

    /// Returns how many rounds each worker has run. A worker that was woken by
    /// [`wake_all`](Self::wake_all) runs another round, unless it hangs.
    pub(crate) fn rounds(&self) -> Vec<u64> {
        let assigned = self.workers.iter().filter(|_| self.assigned);
        assigned.map(|worker| worker.rounds.load(Ordering::Relaxed)).collect()
    }

    /// Wakes all workers.
    pub(crate) fn wake_all(&self) {
        self.workers.iter().for_each(|worker| notifier::notify(&worker.wake));
    }

    /// Returns the notification that tells the control thread to look at the queues.
    pub(crate) const fn report(&self) -> &Arc<OwnedFd> {
        &self.report
    }

    /// Adds a notification to those that the worker of this queue waits for.
    pub(crate) fn listen(&self, index: usize, fd: &OwnedFd, event: QueueEvent) -> io::Result<()> {
        self.worker(index).map_or(Ok(()), |worker| worker.poller.add_notifier(fd, event))
    }

    /// Removes a notification from the worker of this queue.
    pub(crate) fn ignore(&self, index: usize, fd: &OwnedFd) {
        if let Some(worker) = self.worker(index) {
            worker.poller.remove(fd);
        }
    }

    /// Wakes the worker of this queue.
    pub(crate) fn wake(&self, index: usize) {
        if let Some(worker) = self.worker(index) {
            notifier::notify(&worker.wake);
        }
    }

    fn worker(&self, index: usize) -> Option<&Worker> {
        self.workers.get(index % self.workers.len())
    }
}

/// Aborts the process when its thread panics, because no other thread runs the queues.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

/// The main loop of a worker.
fn work(poller: &Poller<QueueEvent>, rounds_run: &AtomicU64, assignments: &Receiver<Assignment>) {
    let _guard = AbortOnPanic;
    // There is no assignment if the process ends before forwarding begins.
    let Ok(assignment) = assignments.recv() else { return };
    let (mut window, mut timer) = (PollWindow::new(assignment.max_poll), ScrubTimer::default());
    loop {
        rounds_run.fetch_add(1, Ordering::Relaxed);
        let deadline = Instant::now() + window.get();
        while !window.get().is_zero() && Instant::now() < deadline {
            if assignment.move_requests(ActiveQueue::poll) {
                break;
            }
            hint::spin_loop();
        }
        let rounds = (0..MAX_ROUNDS).take_while(|_| assignment.move_requests(ActiveQueue::run)).count();
        let before = Instant::now();
        let mut busy = rounds == MAX_ROUNDS;
        if timer.is_due(assignment.has_residue(), before) {
            if assignment.scrub() { busy = true } else { timer.done() }
        }
        let timeout = if busy { Some(Duration::ZERO) } else { timer.timeout(before) };
        match poller.wait(timeout) {
            Ok(events) => events.for_each(|event| assignment.handle(event)),
            Err(error) => {
                tracing::error!("cannot wait for the queues' notifications: {error}");
                process::exit(1);
            }
        }
        if !busy {
            window.slept(before.elapsed());
        }
    }
}

impl Assignment {
    /// Runs one round of every queue. Returns whether any queue may have more work.
    fn move_requests(&self, how: fn(&mut ActiveQueue, usize, Instant) -> Progress) -> bool {
        let (mut again, now) = (false, Instant::now());
        for (index, queue) in &self.queues {
            let progress = how(&mut queue.lock(), *index, now);
            if progress.report {
                notifier::notify(&*self.report);
            }
            again |= progress.again;
        }
        again
    }

    /// Returns whether devices have read bytes that have to be zeroed eventually.
    fn has_residue(&self) -> bool {
        self.queues.iter().any(|(_, queue)| queue.lock().has_residue())
    }

    /// Zeroes a batch of each queue. Returns whether there is more to zero.
    fn scrub(&self) -> bool {
        self.queues.iter().fold(false, |more, (_, queue)| queue.lock().scrub() || more)
    }

    fn handle(&self, event: QueueEvent) {
        match event {
            // The control thread has marked the queues that are ready.
            QueueEvent::Wake => {}
            QueueEvent::Kick(index) => {
                if let Some(mut queue) = self.queue(index) {
                    queue.kicked();
                }
            }
            QueueEvent::Call(index) => {
                if let Some(mut queue) = self.queue(index) {
                    queue.called();
                }
            }
        }
    }

    fn queue(&self, index: u16) -> Option<MutexGuard<'_, ActiveQueue>> {
        let (_, queue) = self.queues.iter().find(|(own, _)| *own == usize::from(index))?;
        Some(queue.lock())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn the_queues_of_a_worker_take_turns() {
        thread_local! {
            static RUN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
        }
        let queues = (0..3).map(|index| (index, Arc::new(Mutex::new(ActiveQueue::new())))).collect();
        let report = Arc::new(notifier::new().unwrap());
        let assignment = Assignment { queues, report, max_poll: Duration::ZERO };
        // Queue 0 always has more work.
        let run = |_: &mut ActiveQueue, index, _| {
            RUN.with_borrow_mut(|run| run.push(index));
            Progress { again: index == 0, report: false }
        };
        assert!((0..2).all(|_| assignment.move_requests(run)));
        assert_eq!(RUN.take(), [0, 1, 2, 0, 1, 2]);
    }
}
