//! The shell of the control plane: one thread with both sockets, the workers and the clock.
//!
//! | file | concern |
//! |---|---|
//! | `sockets`, `ready` | what is opened at the start, and what the thread waits for |
//! | `vmm_connection`, `device_connection` | the connections to the VMM and to the device |
//!
//! The thread reports what happens to `Control`, and performs its actions. The workers of the
//! data plane ([`forward`](crate::forward)) move the requests.

mod device_connection;
mod ready;
mod sockets;
mod vmm_connection;

use std::collections::VecDeque;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::control::{Action, Control, Event};
pub use crate::control::{HostError, Options};
use crate::forward::{Quarantine, Workers};
use crate::metrics::{Server, summary};
use crate::poller::Poller;
use crate::service_manager::ServiceManager;
use device_connection::DeviceConnection;
use ready::Ready;
pub use sockets::Sockets;
use vmm_connection::VmmConnection;

/// The control thread.
#[derive(Debug)]
pub struct Host {
    control: Control,
    poller: Rc<Poller<Ready>>,
    vmm: VmmConnection,
    device: DeviceConnection,
    workers: Workers,
    max_poll: Duration,
    /// Receives a byte for each SIGUSR1.
    signals: UnixStream,
    reports: Server,
    service_manager: ServiceManager,
}

impl Host {
    /// Prepares to connect to a device and to a VMM.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the system does not let the process wait for events.
    pub fn new(options: Options, sockets: Sockets, workers: Workers) -> Result<Self, HostError> {
        let Sockets { vmm, device, signals, reports, service_manager } = sockets;
        let poller = Rc::new(Poller::new().map_err(HostError::Poll)?);
        poller.add(&signals, Ready::Signal).map_err(HostError::Poll)?;
        poller.add(&reports, Ready::Reports).map_err(HostError::Poll)?;
        poller.add_notifier(workers.report(), Ready::Workers).map_err(HostError::Poll)?;
        let vmm =
            VmmConnection::new(Rc::clone(&poller), options.vmm.clone(), vmm).map_err(HostError::Poll)?;
        let device = DeviceConnection::new(Rc::clone(&poller), options.device.clone(), device);
        let quarantine = Quarantine::new(Arc::clone(workers.report()));
        let max_poll = options.max_poll;
        let control = Control::new(options, quarantine, Instant::now());
        Ok(Self { control, poller, vmm, device, workers, max_poll, signals, reports, service_manager })
    }

    /// Forwards until the VMM has gone and no other can connect.
    ///
    /// # Errors
    ///
    /// [`HostError`] if there will be no connection to a peer, or events cannot be waited for.
    pub fn run(mut self) -> Result<(), HostError> {
        self.report(Event::Time)?;
        self.service_manager.report_ready();
        while self.connect_vmm(Instant::now())? {
            let mut ready = self.ready()?;
            if ready.is_empty() {
                let quiet = if self.control.vmm_waits() { Event::Time } else { Event::VmmQuiet };
                self.report(quiet)?;
                // A VMM that is accepted from a later time on has a deadline after this time.
                let now = Instant::now();
                if !self.connect_vmm(now)? {
                    break;
                }
                ready = self.sleep(now)?;
            }
            for ready in ready {
                self.handle(ready)?;
            }
            self.report(Event::Time)?;
            self.reports.listen_again(Instant::now());
            self.tell_service_manager();
        }
        tracing::info!("the VMM has gone and cannot come back");
        self.service_manager.report_end();
        Ok(())
    }

    /// Reports a changed status, and a sign of life if one is due.
    fn tell_service_manager(&mut self) {
        self.service_manager.report_status(|| summary(&self.control.snapshot()));
        if self.service_manager.check_workers(Instant::now(), || self.workers.rounds()) {
            self.workers.wake_all();
        }
    }

    /// Connects to a VMM if there is none. Returns whether a VMM is connected or can still connect.
    fn connect_vmm(&mut self, now: Instant) -> Result<bool, HostError> {
        if self.control.has_no_vmm() && self.vmm.is_exhausted() {
            return Ok(false);
        }
        let accepted = self.control.accepts_vmm(now);
        if self.vmm.connect(accepted, self.control.has_device(), now)? {
            self.report(Event::VmmConnected)?;
        }
        Ok(true)
    }

    /// Returns the events that have happened.
    fn ready(&mut self) -> Result<Vec<Ready>, HostError> {
        self.vmm.receive_if(!self.control.vmm_waits());
        self.wait(Some(Duration::ZERO))
    }

    /// Waits for events until the first deadline after `now`.
    fn sleep(&mut self, now: Instant) -> Result<Vec<Ready>, HostError> {
        self.vmm.receive_if(!self.control.vmm_waits());
        let deadlines = [
            self.control.deadline(now),
            self.vmm.deadline(),
            self.reports.deadline(),
            self.service_manager.deadline(),
        ];
        let deadline = deadlines.into_iter().flatten().min();
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        self.wait(timeout)
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<Vec<Ready>, HostError> {
        Ok(self.poller.wait(timeout).map_err(HostError::Poll)?.collect())
    }

    fn handle(&mut self, ready: Ready) -> Result<(), HostError> {
        match ready {
            Ready::Listener => {
                let now = Instant::now();
                match self.vmm.accept(self.control.accepts_vmm(now), now) {
                    true => self.report(Event::VmmConnected),
                    false => Ok(()),
                }
            }
            Ready::Vmm => {
                let event = self.vmm.next(self.control.vmm_waits());
                event.map_or(Ok(()), |event| self.report(event))
            }
            Ready::Device => self.receive_from_device(),
            Ready::BackendChannel => {
                for message in self.device.requests() {
                    self.report(Event::FromBackend(message))?;
                }
                Ok(())
            }
            Ready::Signal => {
                let _ = (&self.signals).read(&mut [0; 64]);
                self.control.log_statistics();
                Ok(())
            }
            Ready::Workers => self.report(Event::Workers),
            Ready::Reports => {
                self.reports.serve(Instant::now(), || self.control.snapshot());
                Ok(())
            }
        }
    }

    /// Receives all that the device has sent.
    fn receive_from_device(&mut self) -> Result<(), HostError> {
        while let Some(event) = self.device.next() {
            self.report(event)?;
        }
        Ok(())
    }

    /// Reports an event and performs the actions that follow, and those that follow from them.
    fn report(&mut self, event: Event) -> Result<(), HostError> {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in self.control.on(event, Instant::now())? {
                events.extend(self.perform(action)?);
            }
        }
        Ok(())
    }

    /// Performs an action. Returns what has happened.
    fn perform(&mut self, action: Action) -> Result<Option<Event>, HostError> {
        match action {
            Action::ToVmm(message) => return Ok(self.vmm.send(&message)),
            Action::VmmBackend(socket) => self.vmm.use_backend(socket),
            Action::ToVmmBackend(message) => self.vmm.send_to_backend(&message),
            Action::DisconnectVmm => self.vmm.disconnect(),
            Action::ConnectDevice => return self.device.connect().map(Some),
            Action::ToDevice(message) => return Ok(self.device.send(&message)),
            Action::DeviceBackend(socket) => self.device.use_backend(socket),
            Action::ToBackend(message) => self.device.send_to_backend(&message),
            Action::DisconnectDevice => self.device.disconnect(),
            Action::Assign(queues) => self.workers.assign(&queues, self.max_poll),
            Action::Listen { index, fd, event } => {
                if let Err(error) = self.workers.listen(index, &fd, event) {
                    tracing::error!("cannot wait for the notifications of queue {index}: {error}");
                }
            }
            Action::Ignore { index, fd } => self.workers.ignore(index, &fd),
            Action::Wake(index) => self.workers.wake(index),
        }
        Ok(None)
    }
}
