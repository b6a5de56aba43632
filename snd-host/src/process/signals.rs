//! Signals: requests to end the process, or to report its state.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator;
use tracing::{info, warn};
use vhost_user_backend::ShutdownHandle;

use super::fatal;
use crate::vhost_user::Backend;

/// How long the process may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

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
    /// Starts to handle the signals, in a thread that waits for no other thread.
    pub(crate) fn handle() -> io::Result<Arc<Self>> {
        let end_requested = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let this = Arc::new(Self { state: Mutex::default(), end_requested });
        let mut signals = iterator::Signals::new([SIGTERM, SIGINT, SIGUSR1])?;
        // Reports wait for the device, and the device may hang.
        let (reports, requested) = sync_channel(1);
        let reporter = this.clone();
        thread::Builder::new().name("reports".into()).spawn(move || reporter.report_on(&requested))?;
        let handler = this.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if signal == SIGUSR1 {
                    // Fails if a report is requested already.
                    let _ = reports.try_send(());
                } else {
                    handler.end(signal);
                }
            }
        })?;
        Ok(this)
    }

    /// Asks the process to end, and ends the current session. The second request, or a timeout,
    /// ends the process immediately.
    fn end(&self, signal: i32) {
        let mut state = self.state();
        if state.ending {
            fatal::end("ended at once, because it was asked to end a second time");
        }
        info!(signal, "ending");
        state.ending = true;
        end_after_timeout();
        // Fails only if the counter is at its maximum, and then the file is readable already.
        let _ = rustix::io::write(&self.end_requested, &1u64.to_ne_bytes());
        if let Some(session) = state.session.take() {
            session.connection.shutdown();
        }
    }

    /// Reports the state whenever it is requested.
    fn report_on(&self, requested: &Receiver<()>) {
        for () in requested {
            self.report();
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

/// Starts a thread that ends the process after [`END_TIMEOUT`].
fn end_after_timeout() {
    let timeout = || {
        thread::sleep(END_TIMEOUT);
        fatal::end("ended at once, because it did not end within 5 seconds");
    };
    if let Err(error) = thread::Builder::new().name("timeout".into()).spawn(timeout) {
        warn!("cannot start a thread that bounds the time to the end: {error}");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::super::fatal::tests::{alone, assert_ended};
    use super::*;

    /// Handles signals, sends `signals` to this process, and hangs.
    fn hang(signals: &[Signal]) {
        let _handler = Signals::handle().unwrap();
        signals.iter().for_each(|signal| kill_process(getpid(), *signal).unwrap());
        loop {
            thread::park();
        }
    }

    #[test]
    fn a_process_that_hangs_is_ended_by_a_second_signal() {
        match alone("process::signals::tests::a_process_that_hangs_is_ended_by_a_second_signal") {
            Some(output) => assert_ended(&output, 1, "asked to end a second time"),
            None => hang(&[Signal::TERM, Signal::INT]),
        }
    }

    #[test]
    fn a_process_that_hangs_is_ended_by_a_timeout() {
        match alone("process::signals::tests::a_process_that_hangs_is_ended_by_a_timeout") {
            Some(output) => assert_ended(&output, 1, "did not end within 5 seconds"),
            None => hang(&[Signal::TERM]),
        }
    }
}
