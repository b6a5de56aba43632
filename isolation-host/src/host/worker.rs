//! The threads that move requests. Each has its own queues, and waits for their notifications alone; so a device that
//! does not answer a question, or a VMM that asks many, holds up no request.

use std::hint;
use std::io;
use std::os::fd::OwnedFd;
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;

use super::lane::{Lane, Progress};
use super::patience::Patience;
use super::poller::{Poller, Source};
use crate::notifier;
use crate::sandbox::SandboxError;

/// How many rounds the queues get before notifications are looked at again.
const ROUNDS: usize = 16;

/// All workers. They wait for their queues, and end with the process.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    /// To the host: a lane has to be looked at.
    report: Arc<OwnedFd>,
}

#[derive(Debug)]
struct Worker {
    poller: Arc<Poller>,
    /// To the worker: a lane has been changed.
    bell: OwnedFd,
    sender: Sender<Assignment>,
}

/// What a worker is to do.
#[derive(Debug)]
struct Assignment {
    /// Its queues, by number.
    lanes: Vec<(usize, Arc<Mutex<Lane>>)>,
    report: Arc<OwnedFd>,
    /// The longest that it polls before it sleeps.
    poll: Duration,
}

/// There are no workers.
#[derive(Debug, Error)]
pub enum NoWorkers {
    /// A thread cannot be started.
    #[error("a thread cannot be started")]
    Thread(#[from] io::Error),
    /// A thread cannot give up its privileges.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl Workers {
    /// Starts so many threads, at least one, each of which gives up its privileges before it hears a peer.
    ///
    /// # Errors
    ///
    /// [`NoWorkers`] if one cannot be started, or cannot do that.
    pub fn start(
        count: usize,
        give_up: impl Fn() -> Result<(), SandboxError> + Copy + Send + 'static,
    ) -> Result<Self, NoWorkers> {
        let (prepared, outcomes) = channel();
        let mut workers = Vec::new();
        for _ in 0..count.max(1) {
            let (poller, bell) = (Arc::new(Poller::new()?), notifier::new()?);
            poller.add_notifier(&bell, Source::Bell)?;
            let (sender, receiver) = channel();
            let (own, prepared) = (Arc::clone(&poller), prepared.clone());
            thread::Builder::new().name("queues".to_owned()).spawn(move || {
                let outcome = give_up();
                let ready = outcome.is_ok();
                // If nobody wants to know any more, the process is at its end.
                if prepared.send(outcome).is_ok() && ready {
                    work(&own, &receiver);
                }
            })?;
            workers.push(Worker { poller, bell, sender });
        }
        for outcome in outcomes.iter().take(workers.len()) {
            outcome?;
        }
        Ok(Self { workers, report: Arc::new(notifier::new()?) })
    }

    /// Shares the queues out among the workers. They poll for so long before they sleep.
    pub(super) fn assign(&self, lanes: &[Arc<Mutex<Lane>>], poll: Duration) {
        for (number, worker) in self.workers.iter().enumerate() {
            let own = lanes.iter().cloned().enumerate().skip(number).step_by(self.workers.len()).collect();
            let assignment = Assignment { lanes: own, report: Arc::clone(&self.report), poll };
            // It ends with the process only.
            let _ = worker.sender.send(assignment);
        }
    }

    /// Where the host hears of lanes that it has to look at.
    pub(super) fn report(&self) -> &OwnedFd {
        &self.report
    }

    /// Has a queue's notifications waited for, from now on.
    pub(super) fn listen(&self, index: usize, fd: &OwnedFd, source: Source) -> io::Result<()> {
        self.worker(index).map_or(Ok(()), |worker| worker.poller.add_notifier(fd, source))
    }

    /// No longer.
    pub(super) fn ignore(&self, index: usize, fd: &OwnedFd) {
        if let Some(worker) = self.worker(index) {
            worker.poller.remove(fd);
        }
    }

    /// Has a queue looked at.
    pub(super) fn wake(&self, index: usize) {
        if let Some(worker) = self.worker(index) {
            notifier::notify(&worker.bell);
        }
    }

    fn worker(&self, index: usize) -> Option<&Worker> {
        self.workers.get(index % self.workers.len())
    }
}

/// Ends the process if its thread panics, because nobody else would move the thread's queues.
struct Vital;

impl Drop for Vital {
    fn drop(&mut self) {
        if thread::panicking() {
            process::abort();
        }
    }
}

/// Moves requests for ever.
fn work(poller: &Poller, assignments: &Receiver<Assignment>) {
    let _vital = Vital;
    // Nothing is sent if the process ends before it has begun.
    let Ok(assignment) = assignments.recv() else { return };
    let mut patience = Patience::new(assignment.poll);
    loop {
        let deadline = Instant::now() + patience.window();
        while !patience.window().is_zero() && Instant::now() < deadline {
            if assignment.move_requests(Lane::poll) {
                break;
            }
            hint::spin_loop();
        }
        let busy = (0..ROUNDS).take_while(|_| assignment.move_requests(Lane::run)).count() == ROUNDS;
        let before = Instant::now();
        match poller.wait(busy.then_some(Duration::ZERO)) {
            Ok(events) => events.for_each(|source| assignment.heed(source)),
            Err(error) => {
                tracing::error!("queues cannot be waited for: {error}");
                process::exit(1);
            }
        }
        if !busy {
            patience.slept(before.elapsed());
        }
    }
}

impl Assignment {
    /// Gives every queue one round. Returns whether any may have more to do.
    fn move_requests(&self, how: fn(&mut Lane, usize) -> Progress) -> bool {
        let mut again = false;
        for (index, lane) in &self.lanes {
            let progress = how(&mut lane.lock(), *index);
            if progress.report {
                notifier::notify(&*self.report);
            }
            again |= progress.again;
        }
        again
    }

    fn heed(&self, source: Source) {
        let lane = |index: u16| {
            let found = self.lanes.iter().find(|(number, _)| *number == usize::from(index));
            found.map(|(_, lane)| lane.lock())
        };
        match source {
            Source::GuestKick(index) => lane(index).iter_mut().for_each(|lane| lane.kicked()),
            Source::DeviceCall(index) => lane(index).iter_mut().for_each(|lane| lane.called()),
            // Whoever rings has marked the lanes that there is something to do for. The others are not waited for here.
            _ => {}
        }
    }
}
