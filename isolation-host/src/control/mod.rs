//! The control plane as a value: events in, actions out.
//!
//! [`Control`] knows the sessions with the VMM and with the device, and controls the queues. It has
//! no socket, no timer and no thread, reads no clock and waits for nothing. The shell
//! ([`host`](crate::host)) reports [`Event`]s with the time, performs the [`Action`]s that
//! [`on`](Control::on) returns, and reports [`Event::Time`] when the [deadline](Control::deadline)
//! has passed.
//!
//! ```text
//!             Event, now                               Action
//!   sockets ─────────────▶ ┌──────────────────────┐ ─────────────▶ sockets, workers
//!   timer   ─────────────▶ │ Control::on          │
//!   workers ─────────────▶ │   the event          │
//!                          │   settle: what is due│ ─────────────▶ deadline: the timer
//!                          └──────────────────────┘
//! ```
//!
//! Each file has one concern:
//!
//! | file | concern |
//! |---|---|
//! | `event`, `options` | what the shell reports and performs; the options |
//! | `state` | what an operator sees |
//! | `vmm_session`, `device_session` | the connections to the VMM and to the device |
//! | `device` | the states of the connection to the device |
//! | `reconnect` | when to connect to a device |
//! | `vmm_requests`, `answer` | the VMM's requests and their answers |
//! | `pending`, `waiting`, `budget`, `drain` | what requests of the VMM wait for, and how long |
//! | `vmm_memory` | guest memory, dirty log, in-flight region |
//! | `device_config` | configuration, and requests that are relayed to the device |
//! | `queue`, `queue_stop` | starting and stopping a queue |

mod answer;
mod budget;
mod device;
mod device_config;
mod device_session;
mod drain;
mod event;
mod options;
mod pending;
mod queue;
mod queue_stop;
mod reconnect;
mod state;
mod vmm_memory;
mod vmm_requests;
mod vmm_session;
mod waiting;

use std::time::Instant;

use crate::device_link::BackendChannel;
use crate::forward::Quarantine;
use crate::guest_memory::GuestMemory;
use crate::metrics::Totals;
use budget::Budget;
use device::Device;
use device_config::KnownConfig;
pub(crate) use event::{Action, Event};
use options::Offer;
pub use options::{HostError, Options};
use queue::Queue;
use reconnect::Reconnect;
use vmm_session::Vmm;

/// The state of the control plane.
#[derive(Debug)]
pub(crate) struct Control {
    options: Options,
    vmm: Vmm,
    device: Device,
    /// How long the VMM may still wait for the device.
    budget: Budget,
    /// When the last device was disconnected.
    lost: Option<Instant>,
    reconnect: Reconnect,
    /// What the VMM is offered, once there was a device. A device that connects later has to
    /// support all of the offer.
    offer: Option<Offer>,
    memory: GuestMemory,
    quarantine: Quarantine,
    /// The queues. The first device determines how many there are.
    queues: Vec<Queue>,
    /// The parts of the configuration that the device has replied last.
    config: KnownConfig,
    /// The state of the device's back-end channel.
    backend: BackendChannel,
    /// How often peers came and went.
    totals: Totals,
    /// The actions that the shell has to perform.
    actions: Vec<Action>,
}

impl Control {
    /// Makes a control plane that connects to a device immediately.
    pub(crate) fn new(options: Options, quarantine: Quarantine, now: Instant) -> Self {
        let mut reconnect = Reconnect::default();
        reconnect.at(now);
        Self {
            budget: Budget::new(options.device_wait),
            options,
            vmm: Vmm::Absent,
            device: Device::Absent,
            lost: None,
            reconnect,
            offer: None,
            memory: GuestMemory::default(),
            quarantine,
            queues: Vec::new(),
            config: KnownConfig::default(),
            backend: BackendChannel::default(),
            totals: Totals::default(),
            actions: Vec::new(),
        }
    }

    /// Handles an event. Returns the actions that the shell has to perform, in this order.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the process cannot continue.
    pub(crate) fn on(&mut self, event: Event, now: Instant) -> Result<Vec<Action>, HostError> {
        match event {
            Event::Time => {}
            Event::VmmConnected => self.start_session(),
            Event::FromVmm(message) => self.serve(message, now),
            Event::VmmQuiet => self.budget.refill(),
            Event::VmmDisconnected(why) => self.lose_vmm(&why, now),
            Event::DeviceConnected => self.begin_handshake(),
            Event::DeviceMissing => self.miss_device(now),
            Event::FromDevice(message) => self.receive_from_device(message, now)?,
            Event::DeviceClosed(error) => self.end_device(error, now),
            Event::DeviceFailed(error) => self.fail_device(error, now),
            Event::FromBackend(message) => self.receive_from_backend(&message),
            Event::Workers => self.check_faults(now),
        }
        self.settle(now);
        Ok(std::mem::take(&mut self.actions))
    }

    /// Returns what the VMM is offered; nothing if there was no device yet.
    fn offer(&self) -> Offer {
        self.offer.unwrap_or_default()
    }

    /// Performs everything that is due.
    fn settle(&mut self, now: Instant) {
        self.drop_silent_device(now);
        self.continue_waiting(now);
        self.end_leaving(now);
        self.connect_device(now);
        self.relay_config_change(now);
        self.admit_suspects(now);
        self.send_to_device(now);
    }

    /// Returns when [`Event::Time`] is due.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let deadlines = [
            self.reconnect.deadline(),
            self.device.deadline(),
            self.grace_deadline(now),
            self.vmm.deadline(),
            self.quarantine.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Disconnects a device that has broken a queue.
    ///
    /// Workers report two other things: the progress of a queue that is being stopped, and that
    /// suspects wait for admission. [`settle`](Self::settle) checks both after every event.
    fn check_faults(&mut self, now: Instant) {
        let found =
            self.queues.iter().enumerate().find_map(|(index, queue)| Some((index, queue.lock().fault?)));
        if let Some((index, violation)) = found {
            self.lose_device(&format!("it broke queue {index}: {violation}"), now);
        }
    }

    /// Lets all queues look for work when a suspect that waits for admission can be submitted.
    fn admit_suspects(&mut self, now: Instant) {
        if self.quarantine.take_vacancy(now) {
            (0..self.queues.len()).for_each(|index| self.wake(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocol::Request;

    fn control(now: Instant) -> Control {
        Control::new(Options::example(), Quarantine::default(), now)
    }

    #[test]
    fn a_device_that_owes_replies_and_sends_none_is_replaced() {
        let now = Instant::now();
        let mut control = control(now);
        let mut actions = |event, seconds| control.on(event, now + Duration::from_secs(seconds)).unwrap();
        assert!(matches!(actions(Event::Time, 0)[..], [Action::ConnectDevice]));
        assert!(matches!(actions(Event::DeviceConnected, 0)[..], [Action::ToDevice(_)]));
        assert!(actions(Event::Time, 9).is_empty());
        assert!(matches!(actions(Event::Time, 10)[..], [Action::DisconnectDevice, Action::ConnectDevice]));
    }

    #[test]
    fn only_the_check_of_a_migrated_state_may_take_five_minutes() {
        let now = Instant::now();
        let control = control(now);
        for request in (0..100).filter_map(|number| Request::try_from(number).ok()) {
            let wait = control.begin_reply_wait(request, now);
            let longest = if request == Request::CheckDeviceState { 300 } else { 1 };
            let after = |tenths| wait.is_over(now + Duration::from_millis(100) * tenths);
            assert_eq!((after(10 * longest - 1), after(10 * longest)), (false, true), "{request:?}");
        }
    }
}
