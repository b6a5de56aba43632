//! Signals: requests to end the process, or to report its state.

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

/// Handles SIGTERM, SIGINT and SIGUSR1.
#[derive(Debug)]
pub(crate) struct Signals {
    state: Mutex<State>,
    /// Readable once the process has been asked to end.
    end_requested: OwnedFd,
}

#[derive(Default)]
struct State {
    /// Whether the process has been asked to end.
    ending: bool,
    session: Option<Session>,
}

/// The current session.
pub(crate) struct Session {
    /// Ends the session.
    pub(crate) connection: ShutdownHandle,
    pub(crate) backend: Arc<Mutex<Backend>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("ending", &self.ending).finish_non_exhaustive()
    }
}

impl Signals {
    /// Starts to handle the signals, in a thread.
    pub(crate) fn handle() -> io::Result<Arc<Self>> {
        let end_requested = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let this = Arc::new(Self { state: Mutex::default(), end_requested });
        let mut signals = iterator::Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
        let handler = this.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if signal == SIGUSR1 {
                    handler.report();
                } else {
                    info!(signal, "ending");
                    handler.end();
                }
            }
        })?;
        Ok(this)
    }

    /// Asks the process to end, and ends the current session.
    fn end(&self) {
        let mut state = self.state();
        state.ending = true;
        // Fails only if the counter is at its maximum, and then the file is readable already.
        let _ = rustix::io::write(&self.end_requested, &1u64.to_ne_bytes());
        if let Some(session) = state.session.take() {
            session.connection.shutdown();
        }
    }

    /// Prints the state of each stream on standard error, whatever the log level.
    fn report(&self) {
        let backend = self.state().session.as_ref().map(|session| session.backend.clone());
        let lines = match backend {
            Some(backend) => backend.lock().unwrap_or_else(PoisonError::into_inner).device().report(),
            None => vec!["no front-end is connected".into()],
        };
        for line in lines {
            // Fails if standard error is closed. Other signals are still handled.
            let _ = writeln!(io::stderr(), "snd-host: {line}");
        }
    }

    /// Sets the current session. If the process has been asked to end, the session is ended.
    pub(crate) fn set_session(&self, session: Option<Session>) {
        let mut state = self.state();
        state.session = session;
        if state.ending
            && let Some(session) = state.session.take()
        {
            session.connection.shutdown();
        }
    }

    /// Waits for `other` to be readable. Returns false if the process has been asked to end.
    pub(crate) fn wait_for(&self, other: impl AsFd) -> io::Result<bool> {
        loop {
            let mut files =
                [PollFd::new(&self.end_requested, PollFlags::IN), PollFd::new(&other, PollFlags::IN)];
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
