//! What happens: the shell of the control plane in virtual time, and random steps of all peers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ring_core::Features;

use super::device::{Deed, Device, Manner};
use super::guest::QUEUES;
use super::random::Random;
use super::vmm::{DEVICE_WAIT, DRAIN, Vmm};
use crate::control::{Action, Control, Event, Options};
use crate::forward::{ActiveQueue, Quarantine};
use crate::protocol::{Message, ReceiveError, SendError};

/// The number of random steps.
const STEPS: usize = 150;
/// How many steps everything may take to come to its end.
const ENOUGH: usize = 4000;
/// How many things may happen without time.
const AT_ONCE: usize = 10_000;
/// The most messages that a device gets before it has read the first one.
const WINDOW: usize = 33;
/// The size of the isolated area.
const AREA: u64 = 4 << 20;

/// isolation-host and its peers.
pub(super) struct World {
    random: Random,
    now: Instant,
    begun: Instant,
    control: Control,
    queues: Vec<Arc<Mutex<ActiveQueue>>>,
    vmm: Vmm,
    device: Option<Device>,
    /// The ring format that devices offer, as a feature bit.
    format: u64,
    /// Whether all peers behave.
    calm: bool,
    trace: bool,
}

impl World {
    pub(super) fn new(seed: u64, trace: bool) -> Self {
        let (mut random, now) = (Random::new(seed), Instant::now());
        let vmm = Vmm::new(&mut random);
        let options = Options {
            device_type: vmm.guest.device_type,
            area_size: AREA,
            queues: u16::try_from(QUEUES).unwrap(),
            device_wait: DEVICE_WAIT,
            drain_timeout: DRAIN,
            ..Options::example()
        };
        let format = if random.one_in(2) { Features::RING_PACKED.bits() } else { 0 };
        let control = Control::new(options, Quarantine::default(), now);
        let (queues, begun, device, calm) = (Vec::new(), now, None, false);
        Self { random, now, begun, control, queues, vmm, device, format, calm, trace }
    }

    fn note(&self, what: impl std::fmt::Debug) {
        if self.trace {
            println!("{:>10.3} {what:?}", (self.now - self.begun).as_secs_f64());
        }
    }

    /// Has all peers do random things.
    pub(super) fn disturb(&mut self) {
        self.report(Event::Time);
        for _ in 0..STEPS {
            match self.random.below(12) {
                0..=1 => {
                    let longest = [1, 20, 400, 3000, 12_000][usize::try_from(self.random.below(5)).unwrap()];
                    let milliseconds = self.random.below(longest) + 1;
                    self.pass(Duration::from_millis(milliseconds));
                }
                2..=3 => self.step_vmm(),
                4..=6 => self.step_guest(),
                7..=9 => drop(self.step_device()),
                10 => self.run_queues(),
                _ if self.random.one_in(4) => self.kill_device(),
                _ => self.deliver(),
            }
            self.deliver();
            self.vmm.check(self.now);
        }
    }

    /// Has all peers behave until the guest has all requests back.
    pub(super) fn settle(&mut self) {
        self.note("calm");
        self.calm = true;
        match &mut self.device {
            Some(device) if device.manner == Manner::Lying => self.kill_device(),
            // A slow or silent device keeps its state, like a process that was held up.
            Some(device) => device.manner = Manner::Prompt,
            None => {}
        }
        for _ in 0..ENOUGH {
            if self.control.accepts_vmm(self.now) && !self.vmm.connected {
                self.connect_vmm();
            }
            if self.vmm.connected {
                self.vmm.recover(self.now);
            }
            self.deliver();
            self.run_queues();
            self.deliver();
            self.vmm.guest.reap();
            self.vmm.check(self.now);
            let idle = self.queues.iter().all(|queue| queue.lock().in_flight() == 0);
            if self.vmm.is_settled() && self.vmm.guest.outstanding() == 0 && idle {
                return;
            }
            self.pass(Duration::from_millis(50));
        }
        panic!("{} requests are lost", self.vmm.guest.outstanding());
    }

    fn connect_vmm(&mut self) {
        self.vmm.connect();
        self.report(Event::VmmConnected);
    }

    fn step_vmm(&mut self) {
        if !self.vmm.connected {
            if self.control.accepts_vmm(self.now) {
                self.connect_vmm();
            }
        } else if self.random.one_in(40) {
            self.report(Event::VmmDisconnected("killed".to_owned()));
        } else if self.vmm.is_answered() || (self.vmm.may_go_on() && self.random.one_in(4)) {
            self.vmm.act(self.now, &mut self.random);
        }
    }

    fn step_guest(&mut self) {
        self.vmm.guest.reap();
        let index = usize::try_from(self.random.below(QUEUES as u64)).unwrap();
        let count = self.random.below(3);
        for _ in 0..count {
            self.vmm.guest.request(index, &mut self.random);
        }
        if self.device.as_ref().is_some_and(|device| device.manner == Manner::Lying) {
            self.vmm.guest.taint();
        }
    }

    /// Has the device do one thing. Returns whether it has done anything.
    fn step_device(&mut self) -> bool {
        let Some(device) = &mut self.device else { return false };
        let deed = device.act(&mut self.random);
        match deed {
            Deed::Idle => return false,
            Deed::Works => {}
            Deed::Lies => self.vmm.guest.taint(),
            Deed::Sends(message) => self.report(Event::FromDevice(message)),
            Deed::Dies => self.kill_device(),
        }
        true
    }

    fn kill_device(&mut self) {
        if self.device.take().is_some() {
            self.vmm.guest.count_loss();
            let event = match self.random.below(4) {
                0 => Event::DeviceFailed(SendError::Full),
                _ => Event::DeviceClosed(ReceiveError::Closed),
            };
            self.report(event);
        }
    }

    /// Runs the queues, as the workers do.
    fn run_queues(&mut self) {
        for index in 0..self.queues.len() {
            let mut queue = self.queues[index].lock();
            queue.mark_ready();
            let rounds = (0..AT_ONCE).take_while(|_| queue.run(index, self.now).again).count();
            assert!(rounds < AT_ONCE, "queue {index} has work without end");
        }
        self.report(Event::Workers);
    }

    /// Lets time pass, and reports each deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..AT_ONCE {
            let Some(at) = self.control.deadline(self.now).filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(at);
            self.report(Event::Time);
            self.deliver();
            self.vmm.check(self.now);
        }
        panic!("deadlines pass without end");
    }

    /// Delivers the messages of the VMM that may be received, and has a prompt device do all that
    /// it can.
    fn deliver(&mut self) {
        for _ in 0..AT_ONCE {
            let message = if self.control.vmm_waits() { None } else { self.vmm.outbox.pop_front() };
            let prompt = self.device.as_ref().is_some_and(|device| device.manner == Manner::Prompt);
            match message {
                Some(message) => self.report(Event::FromVmm(message)),
                None if prompt && self.step_device() => {}
                None if self.control.vmm_waits() => return,
                None => return self.report(Event::VmmQuiet),
            }
        }
        panic!("messages without end");
    }

    fn report(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.note(&event);
            let actions = self.control.on(event, self.now);
            for action in actions.unwrap_or_else(|error| panic!("the process ends: {error}")) {
                events.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::ToVmm(message) => {
                self.note(("reply", message.request));
                self.vmm.receive(&message, self.now);
            }
            Action::DisconnectVmm => {
                self.note("VMM disconnected");
                self.vmm.disconnect();
            }
            Action::ConnectDevice => return Some(self.connect_device()),
            Action::ToDevice(message) => self.send_to_device(message),
            Action::DisconnectDevice => {
                self.note("device disconnected");
                if self.device.take().is_some() {
                    self.vmm.guest.count_loss();
                }
            }
            Action::Assign(queues) => self.queues = queues,
            // The simulated workers look at all queues, and the peers have no back-end channels.
            Action::VmmBackend(_)
            | Action::ToVmmBackend(_)
            | Action::DeviceBackend(_)
            | Action::ToBackend(_)
            | Action::Listen { .. }
            | Action::Ignore { .. }
            | Action::Wake(_) => {}
        }
        None
    }

    fn connect_device(&mut self) -> Event {
        if !self.calm && self.random.one_in(4) {
            return Event::DeviceMissing;
        }
        let device = Device::new(self.queues.is_empty(), self.calm, self.format, &mut self.random);
        self.note(("connected", device.manner));
        if device.manner == Manner::Lying {
            self.vmm.guest.taint();
        }
        self.device = Some(device);
        Event::DeviceConnected
    }

    fn send_to_device(&mut self, message: Message) {
        self.note(("to device", message.request));
        if let Some(device) = &mut self.device {
            device.inbox.push_back(message);
            assert!(device.inbox.len() <= WINDOW, "the device has {} messages", device.inbox.len());
        }
    }
}
