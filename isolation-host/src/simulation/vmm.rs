//! The VMM: its messages, and the replies that it waits for.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::Features;
use zerocopy::IntoBytes as _;

use super::guest::{BASE, Guest, Plugged, QUEUES, SIZE, USER, region, setup};
use super::random::Random;
use crate::protocol::features::PROTOCOL_FEATURES;
use crate::protocol::payload::{ConfigHeader, SingleRegion, VringAddr, VringState};
use crate::protocol::{Message, Request};

/// The longest time that a message waits for the device.
pub(super) const DEVICE_WAIT: Duration = Duration::from_secs(1);
/// The longest time that a stop waits for requests in flight.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// A message that was sent and has no reply.
#[derive(Clone, Copy, Debug)]
struct Sent {
    request: Request,
    /// The queue that the message is about. For added memory, 1 if the memory is removable.
    index: usize,
    /// When the reply is due.
    due: Instant,
}

/// A queue as the VMM sees it.
#[derive(Clone, Copy, Debug, Default)]
struct Queue {
    started: bool,
    /// Where the queue was stopped; `None` after the connection was lost or the device was reset.
    base: Option<u32>,
}

/// A VMM and its guest.
#[derive(Debug)]
pub(super) struct Vmm {
    pub(super) guest: Guest,
    pub(super) connected: bool,
    negotiated: bool,
    /// The messages that isolation-host has not read.
    pub(super) outbox: VecDeque<Message>,
    sent: VecDeque<Sent>,
    queues: [Queue; QUEUES],
    kick: Arc<OwnedFd>,
}

impl Vmm {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            guest: Guest::new(random),
            connected: false,
            negotiated: false,
            outbox: VecDeque::new(),
            sent: VecDeque::new(),
            queues: Default::default(),
            kick: Arc::new(crate::notifier::new().unwrap()),
        }
    }

    /// Returns whether the VMM has started all queues and waits for nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.negotiated && self.sent.is_empty() && self.queues.iter().all(|queue| queue.started)
    }

    pub(super) fn is_answered(&self) -> bool {
        self.sent.is_empty()
    }

    /// Returns whether a message can follow those that have no reply.
    pub(super) fn may_go_on(&self) -> bool {
        let ends = |sent: &Sent| matches!(sent.request, Request::GetVringBase | Request::ResetDevice);
        !self.sent.iter().any(ends)
    }

    /// Connects.
    pub(super) fn connect(&mut self) {
        self.connected = true;
        // What the guest has got back by now says where its queues are.
        self.guest.reap();
        for (index, queue) in self.queues.iter_mut().enumerate() {
            *queue = Queue { started: false, base: Some(self.guest.base(index)) };
        }
    }

    /// Loses the connection. The requests in flight may fail.
    pub(super) fn disconnect(&mut self) {
        (self.connected, self.negotiated) = (false, false);
        self.outbox.clear();
        self.sent.clear();
        self.guest.excuse();
    }

    fn send(&mut self, request: Request, index: usize, message: Message, now: Instant) {
        let stop = |request: Request| request == Request::GetVringBase;
        let stops = self.sent.iter().filter(|sent| stop(sent.request)).count() + usize::from(stop(request));
        let due = now + DEVICE_WAIT + DRAIN * u32::try_from(stops).unwrap();
        self.sent.push_back(Sent { request, index, due });
        self.outbox.push_back(message.needing_reply());
    }

    /// Sends the messages of one random action.
    pub(super) fn act(&mut self, now: Instant, random: &mut Random) {
        if !self.negotiated {
            return self.negotiate(now);
        }
        let index = usize::try_from(random.below(QUEUES as u64)).unwrap();
        match random.below(16) {
            _ if !self.queues[index].started => self.start(index, now),
            0..=2 => self.stop(index, now),
            3..=5 => (0..=random.below(3)).for_each(|_| self.read_config(now)),
            6 => self.enable(index, random.one_in(2), now),
            7 => self.reset(now),
            8..=9 if self.guest.plugged == Plugged::In => self.unplug(now),
            10 => self.plug(now),
            _ => self.enable(index, true, now),
        }
    }

    /// Sends the next messages that requests need in order to complete: features, memory, queues.
    pub(super) fn recover(&mut self, now: Instant) {
        if !self.is_answered() {
            return;
        }
        if !self.negotiated {
            return self.negotiate(now);
        }
        self.plug(now);
        for index in 0..QUEUES {
            match self.queues[index].started {
                true => self.enable(index, true, now),
                false => self.start(index, now),
            }
        }
    }

    fn negotiate(&mut self, now: Instant) {
        self.negotiated = true;
        let ask = |request| Message::request(request, &[0u8; 0]);
        self.send(Request::GetFeatures, 0, ask(Request::GetFeatures), now);
        self.set_features(now);
        self.add_memory(false, now);
        if self.guest.plugged != Plugged::Out {
            self.add_memory(true, now);
        }
    }

    fn set_features(&mut self, now: Instant) {
        let wanted = self.guest.features.bits() | PROTOCOL_FEATURES;
        self.send(Request::SetFeatures, 0, Message::request(Request::SetFeatures, &wanted), now);
    }

    fn add_memory(&mut self, removable: bool, now: Instant) {
        let payload = SingleRegion { padding: 0, region: region(removable) };
        let file = self.guest.file.try_clone().unwrap();
        let message = Message::request(Request::AddMemReg, &payload).with_fd(file);
        self.send(Request::AddMemReg, removable.into(), message, now);
    }

    /// Adds memory, which the guest uses once isolation-host has replied.
    fn plug(&mut self, now: Instant) {
        if self.guest.plugged == Plugged::Out {
            self.guest.plugged = Plugged::Adding;
            self.add_memory(true, now);
        }
    }

    /// Lets the guest use the memory, unless the memory has been removed or is still being added.
    fn finish_plugging(&mut self) {
        let is_added = |sent: &Sent| sent.request == Request::AddMemReg && sent.index == 1;
        if self.guest.plugged == Plugged::Adding && !self.sent.iter().any(is_added) {
            self.guest.plugged = Plugged::In;
        }
    }

    /// Removes memory, whether requests use it or not.
    fn unplug(&mut self, now: Instant) {
        self.guest.plugged = Plugged::Out;
        self.guest.excuse();
        let payload = SingleRegion { padding: 0, region: region(true) };
        self.send(Request::RemMemReg, 0, Message::request(Request::RemMemReg, &payload), now);
    }

    fn start(&mut self, index: usize, now: Instant) {
        let number = u32::try_from(index).unwrap();
        let first = if self.guest.features.contains(Features::RING_PACKED) { 0x8000_8000 } else { 0 };
        let base = self.queues[index].base.unwrap_or(first);
        let areas = setup(index, self.guest.features).areas;
        let user = |address: u64| address - BASE + USER;
        let areas = VringAddr {
            index: number,
            flags: 0,
            descriptor: user(areas.descriptor),
            device: user(areas.device),
            driver: user(areas.driver),
            log: 0,
        };
        let state = |num| VringState { index: number, num };
        let size = Message::request(Request::SetVringNum, &state(SIZE.into()));
        self.send(Request::SetVringNum, index, size, now);
        self.send(Request::SetVringBase, index, Message::request(Request::SetVringBase, &state(base)), now);
        self.send(Request::SetVringAddr, index, Message::request(Request::SetVringAddr, &areas), now);
        let kick = Message::request(Request::SetVringKick, &u64::from(number));
        self.send(Request::SetVringKick, index, kick.with_fd(self.kick.try_clone().unwrap()), now);
        self.queues[index].started = true;
        self.enable(index, true, now);
    }

    fn enable(&mut self, index: usize, enabled: bool, now: Instant) {
        let state = VringState { index: u32::try_from(index).unwrap(), num: enabled.into() };
        self.send(Request::SetVringEnable, index, Message::request(Request::SetVringEnable, &state), now);
    }

    fn stop(&mut self, index: usize, now: Instant) {
        let state = VringState { index: u32::try_from(index).unwrap(), num: 0 };
        self.guest.excuse();
        self.send(Request::GetVringBase, index, Message::request(Request::GetVringBase, &state), now);
    }

    fn reset(&mut self, now: Instant) {
        self.guest.excuse();
        self.send(Request::ResetDevice, 0, Message::request(Request::ResetDevice, &[0u8; 0]), now);
        self.set_features(now);
    }

    fn read_config(&mut self, now: Instant) {
        let header = ConfigHeader { offset: 8, size: 16, flags: 0 };
        let payload = [header.as_bytes(), &[0; 16]].concat();
        self.send(Request::GetConfig, 0, Message::request(Request::GetConfig, &payload[..]), now);
    }

    /// Takes a reply, which has to be that to the oldest message.
    pub(super) fn receive(&mut self, reply: &Message, now: Instant) {
        let Sent { request, index, due } = self.sent.pop_front().expect("a reply has a request");
        assert!(reply.is_reply() && reply.request == request as u32, "{reply:?} to {request:?}");
        assert!(now <= due, "{request:?} took {:?} too long", now - due);
        match request {
            Request::AddMemReg if index == 1 => self.finish_plugging(),
            Request::GetVringBase => {
                let state: VringState = reply.body().expect("a stop has an answer");
                self.queues[index] = Queue { started: false, base: Some(state.num) };
            }
            Request::ResetDevice => {
                self.guest.reset();
                self.queues = Default::default();
            }
            Request::GetFeatures | Request::GetConfig => {}
            _ => assert_eq!(reply.body(), Ok(0u64), "{request:?} of queue {index}"),
        }
    }

    /// Checks that no reply is overdue.
    pub(super) fn check(&self, now: Instant) {
        for Sent { request, due, .. } in &self.sent {
            assert!(now <= *due, "{request:?} is not answered for {:?} too long", now - *due);
        }
    }
}
