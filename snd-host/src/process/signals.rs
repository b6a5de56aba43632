//! What signals ask for: to end, or to say how things are.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator;
use tracing::info;
use vhost_user_backend::ShutdownHandle;

use crate::vhost_user::Backend;

/// Knows whether this process has been asked to end, and whom else a signal concerns.
#[derive(Debug)]
pub(crate) struct Signals {
    state: Mutex<State>,
    /// Readable once it has.
    asked: OwnedFd,
}

#[derive(Default)]
struct State {
    asked: bool,
    session: Option<Session>,
}

/// The session that goes on.
pub(crate) struct Session {
    /// Ends it.
    pub(crate) connection: ShutdownHandle,
    pub(crate) backend: Arc<Mutex<Backend>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Signals {
    /// Takes care of SIGTERM, SIGINT and SIGUSR1 from now on.
    pub(crate) fn handle() -> io::Result<Arc<Self>> {
        let asked = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let this = Arc::new(Self { state: Mutex::default(), asked });
        let mut signals = iterator::Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
        let handler = this.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if signal == SIGUSR1 {
                    handler.report();
                } else {
                    info!(signal, "ending");
                    handler.ask();
                }
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
            session.connection.shutdown();
        }
    }

    /// Says how each stream is: on standard error whatever is logged, because it was asked for.
    fn report(&self) {
        let backend = self.state().session.as_ref().map(|session| session.backend.clone());
        let lines = match backend {
            Some(backend) => backend.lock().unwrap_or_else(PoisonError::into_inner).device().report(),
            None => vec!["no front-end is connected".into()],
        };
        for line in lines {
            // Fails if nobody listens, which is no reason not to hear of other signals.
            let _ = writeln!(io::stderr(), "snd-host: {line}");
        }
    }

    /// Has signals concern `session`.
    pub(crate) fn watch(&self, session: Option<Session>) {
        let mut state = self.state();
        state.session = session;
        if state.asked
            && let Some(session) = state.session.take()
        {
            session.connection.shutdown();
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
