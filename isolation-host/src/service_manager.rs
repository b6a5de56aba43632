//! What the service manager, such as systemd, is told: readiness, status and signs of life.
//!
//! The socket is opened before the process enters the sandbox, and never blocks: a service manager
//! that does not read misses messages.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The connection to the service manager, if there is one.
#[derive(Debug)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// The status that was sent last.
    status: String,
    watchdog: Option<Watchdog>,
}

impl ServiceManager {
    /// Connects to the service manager of `NOTIFY_SOCKET`. Without it, all messages are dropped.
    ///
    /// The watchdog is used if the service manager asks for it by `WATCHDOG_USEC`.
    #[must_use]
    pub fn from_environment(now: Instant) -> Self {
        let socket = connect().unwrap_or_else(|error| {
            tracing::warn!("cannot connect to the service manager at NOTIFY_SOCKET: {error}");
            None
        });
        let watchdog = sd_notify::watchdog_enabled().filter(|_| socket.is_some());
        Self { socket, status: String::new(), watchdog: watchdog.map(|within| Watchdog::new(within, now)) }
    }

    /// Reports that VMMs can connect.
    pub(crate) fn report_ready(&self) {
        self.send(&NotifyState::Ready);
    }

    /// Reports that the process is about to end.
    pub(crate) fn report_end(&self) {
        self.send(&NotifyState::Stopping);
    }

    /// Reports the status if it has changed.
    pub(crate) fn report_status(&mut self, status: impl FnOnce() -> String) {
        if self.socket.is_none() {
            return;
        }
        let status = status();
        if self.status != status {
            self.send(&NotifyState::Status(&status));
            self.status = status;
        }
    }

    /// Returns when [`check_workers`](Self::check_workers) is due, if at all.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.watchdog.as_ref().map(|watchdog| watchdog.next)
    }

    /// Sends a sign of life if one is due and all workers have run since the last check. `rounds`
    /// returns how many rounds each worker has run. Returns whether to wake the workers now, so
    /// that they run before the next check.
    pub(crate) fn check_workers(&mut self, now: Instant, rounds: impl FnOnce() -> Vec<u64>) -> bool {
        let Some(watchdog) = self.watchdog.as_mut().filter(|watchdog| watchdog.next <= now) else {
            return false;
        };
        if watchdog.check(now, rounds()) {
            self.send(&NotifyState::Watchdog);
        } else {
            tracing::error!("a worker thread has not run since the last check of the watchdog");
        }
        true
    }

    fn send(&self, state: &NotifyState<'_>) {
        if let Some(socket) = &self.socket {
            if let Err(error) = socket.send(format!("{state}\n").as_bytes()) {
                tracing::debug!("the service manager misses {state:?}: {error}");
            }
        }
    }
}

fn connect() -> io::Result<Option<UnixDatagram>> {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Ok(None) };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        None => socket.connect(name)?,
    }
    Ok(Some(socket))
}

/// The time of the next check of the workers, and what the last check has found.
///
/// A sleeping worker runs no rounds, so each check wakes the workers, and the next check tests
/// whether the workers have run.
#[derive(Debug)]
struct Watchdog {
    interval: Duration,
    next: Instant,
    /// The rounds of the workers at the last check.
    before: Vec<u64>,
}

impl Watchdog {
    /// Creates a watchdog for a service manager that expects a sign of life `within` this time.
    fn new(within: Duration, now: Instant) -> Self {
        // A third leaves time for a check that is late.
        Self { interval: within / 3, next: now, before: Vec::new() }
    }

    /// Returns whether all workers have run since the last check. A worker that did not exist at
    /// the last check counts as one that has run.
    fn check(&mut self, now: Instant, rounds: Vec<u64>) -> bool {
        self.next = now + self.interval;
        let hangs = rounds.iter().zip(&self.before).any(|(now, before)| now == before);
        self.before = rounds;
        !hangs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_hears_of_workers_that_run_and_not_of_one_that_hangs() {
        let start = Instant::now();
        let mut watchdog = Watchdog::new(Duration::from_secs(30), start);
        assert_eq!(watchdog.next, start);
        // There are no workers before there is a device.
        assert!(watchdog.check(start, Vec::new()));
        assert_eq!(watchdog.next, start + Duration::from_secs(10));
        assert!(watchdog.check(start, vec![1, 1]));
        assert!(watchdog.check(start, vec![2, 5]));
        assert!(!watchdog.check(start, vec![3, 5]));
        assert!(watchdog.check(start, vec![4, 6]));
    }

    #[test]
    fn a_status_is_sent_only_if_it_has_changed() {
        let (socket, manager) = UnixDatagram::pair().unwrap();
        manager.set_nonblocking(true).unwrap();
        let mut own = ServiceManager { socket: Some(socket), status: String::new(), watchdog: None };
        for status in ["a", "a", "b"] {
            own.report_status(|| status.to_owned());
        }
        let mut received = Vec::new();
        let mut buffer = [0; 100];
        while let Ok(len) = manager.recv(&mut buffer) {
            received.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
        }
        assert_eq!(received, ["STATUS=a\n", "STATUS=b\n"]);
    }

    #[test]
    fn a_service_manager_that_does_not_read_delays_nothing() {
        let (socket, _manager) = UnixDatagram::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut own = ServiceManager { socket: Some(socket), status: String::new(), watchdog: None };
        for number in 0..10_000 {
            own.report_status(|| number.to_string());
        }
    }
}
