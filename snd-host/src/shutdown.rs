//! Ending on request.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::info;
use vhost_user_backend::ShutdownHandle;

/// Knows whether this process has been asked to end.
#[derive(Debug)]
pub(crate) struct Shutdown {
    state: Mutex<State>,
    /// Readable once it has.
    asked: OwnedFd,
}

#[derive(Default)]
struct State {
    asked: bool,
    /// The session that has to be ended.
    session: Option<ShutdownHandle>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Shutdown {
    /// Takes care of SIGTERM and SIGINT from now on.
    pub(crate) fn on_signals() -> io::Result<Arc<Self>> {
        let asked = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let this = Arc::new(Self { state: Mutex::default(), asked });
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let shutdown = this.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                info!(signal, "ending");
                shutdown.ask();
            }
        })?;
        Ok(this)
    }

    fn ask(&self) {
        let mut state = self.state();
        state.asked = true;
        // It cannot be full: nobody asks 2^64 times.
        let _ = rustix::io::write(&self.asked, &1u64.to_ne_bytes());
        if let Some(session) = state.session.take() {
            session.shutdown();
        }
    }

    /// Has `session` ended as soon as it is asked for.
    pub(crate) fn watch(&self, session: Option<ShutdownHandle>) {
        let mut state = self.state();
        state.session = session;
        if state.asked
            && let Some(session) = state.session.take()
        {
            session.shutdown();
        }
    }

    /// Waits for `other` to be readable. Returns false if this process has been asked to end.
    pub(crate) fn wait_for(&self, other: impl AsFd) -> io::Result<bool> {
        loop {
            let mut files = [PollFd::new(&self.asked, PollFlags::IN), PollFd::new(&other, PollFlags::IN)];
            match poll(&mut files, None) {
                Ok(_) => return Ok(files[0].revents().is_empty()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
