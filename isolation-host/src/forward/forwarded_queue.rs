//! One queue of the guest and its shadow virtqueue.

use std::sync::Arc;
use std::time::Instant;

use ring_core::driver::Used;
use ring_core::{Arm, PopError, Segment, Setup, SetupError, Violation};

use super::backlog::Backlog;
use super::counters::{QueueCounters, Refusals};
use super::device_ring::{DeviceRing, ForwardError, Submission};
use super::guest_ring::GuestRing;
use super::in_flight::{InFlight, RequestId};
use super::quarantine::Quarantine;
use crate::device_type::DeviceType;
use crate::guest_memory::GuestMemory;
use crate::journal::Journal;
use crate::limits::{ROUND_BYTES, ROUND_REQUESTS};

/// A forwarded queue: the guest's ring and, while there is a device, the ring in the isolated area.
#[derive(Debug)]
pub struct ForwardedQueue {
    pub(super) guest: GuestRing,
    pub(super) memory: GuestMemory,
    pub(super) device_type: DeviceType,
    pub(super) device: Option<DeviceRing>,
    /// The requests that were taken from the guest and not returned.
    pub(super) in_flight: InFlight,
    /// The requests that no device has.
    pub(super) backlog: Backlog,
    /// The requests that the device has used and the guest has not got back. Empty between rounds.
    used: Vec<Used<RequestId>>,
    /// Whether requests are taken from the guest.
    accepting: bool,
    /// The counters of this queue and of its predecessors.
    pub counters: Arc<QueueCounters>,
    pub(super) refusals: Refusals,
}

/// The outcome of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Notify the guest.
    pub call: bool,
    /// Notify the device.
    pub kick: bool,
    /// There may be more work: run again before sleeping.
    pub again: bool,
    /// The rule that the guest broke. Reported once; the guest's ring is idle from then on.
    pub guest_fault: Option<Violation>,
}

impl ForwardedQueue {
    /// Resumes the guest's ring at `base`, a vhost-user vring base.
    ///
    /// If the journal shows that a previous process ended while the queue was running, the ring is
    /// resumed at the position at which that process has left it.
    ///
    /// # Errors
    ///
    /// [`SetupError`] if the ring's size, addresses or position are invalid.
    pub fn new(
        memory: GuestMemory,
        setup: &Setup,
        base: u32,
        device_type: DeviceType,
        journal: Option<Journal>,
    ) -> Result<Self, SetupError> {
        let mut in_flight = InFlight::default();
        let (guest, ids) = GuestRing::new(memory.clone(), setup, base, journal, &mut in_flight)?;
        let mut backlog = Backlog::default();
        backlog.set(ids);
        Ok(Self {
            guest,
            memory,
            device_type,
            device: None,
            in_flight,
            backlog,
            used: Vec::new(),
            accepting: true,
            counters: Arc::default(),
            refusals: Refusals::default(),
        })
    }

    /// Shares the quarantine of the device's other queues.
    pub(crate) fn share_quarantine(&mut self, quarantine: Quarantine) {
        self.backlog.share_quarantine(quarantine);
    }

    /// Continues to count with these counters.
    pub(crate) fn share_counters(&mut self, counters: Arc<QueueCounters>) {
        self.counters = counters;
    }

    /// Sets the numbers of what the queue holds now.
    pub(super) fn count_held(&self) {
        self.counters.in_flight.set(self.in_flight.len() as u64);
        self.counters.area_used.set(self.used_of_share().0);
    }

    /// Gives the queue to a device.
    ///
    /// Requests that an earlier device left unfinished are submitted first, in the order in which
    /// the guest made them.
    pub fn attach(&mut self, device: DeviceRing) {
        self.detach();
        self.device = Some(device);
    }

    /// Returns whether a device has the queue.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        self.device.is_some()
    }

    /// Returns whether the requests in flight survive the end of this process.
    #[must_use]
    pub const fn has_journal(&self) -> bool {
        self.guest.has_journal()
    }

    /// Sets whether requests are taken from the guest.
    pub const fn accept(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// Returns the number of requests that were taken from the guest and not returned.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns how many bytes of the queue's share of the isolated area are in use, and its size.
    #[must_use]
    pub fn used_of_share(&self) -> (u64, u64) {
        self.device.as_ref().map_or((0, 0), DeviceRing::used_of_share)
    }

    /// Returns whether there are bytes that [`scrub`](Self::scrub) has to zero eventually.
    #[must_use]
    pub fn has_residue(&self) -> bool {
        self.device.as_ref().is_some_and(DeviceRing::has_residue)
    }

    /// Zeroes a batch of bytes that the device has read for requests that it has completed. Returns
    /// whether there are more.
    pub fn scrub(&mut self) -> bool {
        self.device.as_mut().is_some_and(|device| device.scrub(ROUND_BYTES))
    }

    /// Returns the position of the guest's ring as a vhost-user vring base.
    #[must_use]
    pub fn vring_base(&self) -> u32 {
        self.guest.vring_base()
    }

    /// Moves requests, up to a batch in each direction, and returns which side to notify.
    ///
    /// If there is no more work, the notifications of both sides are enabled. `now` decides which
    /// suspects are submitted.
    ///
    /// # Errors
    ///
    /// The [`Violation`] with which the device broke the queue. The queue then takes nothing from
    /// the device until the device is replaced.
    pub fn run(&mut self, now: Instant) -> Result<Round, Violation> {
        let mut round = self.poll(now)?;
        round.again = round.again || self.arm() == Arm::Pending;
        Ok(round)
    }

    /// Moves requests as [`run`](Self::run) does, and leaves notifications suppressed.
    ///
    /// # Errors
    ///
    /// The errors of [`run`](Self::run).
    pub fn poll(&mut self, now: Instant) -> Result<Round, Violation> {
        let mut round = Round::default();
        let returned = self.collect_used()?;
        // A network device is full of receive buffers. If a round submitted fewer than it returned,
        // the device would run out of buffers under load although the guest has more.
        let limit = returned + ROUND_REQUESTS;
        let taken = self.take(limit, &mut round);
        let submitted = self.submit(limit, now);
        round.call = self.guest.publish();
        round.kick = self.device.as_mut().is_some_and(|device| device.publish().is_needed());
        self.counters.calls_out.add(u64::from(round.call));
        self.counters.kicks_out.add(u64::from(round.kick));
        self.count_held();
        round.again = returned + taken + submitted > 0;
        Ok(round)
    }

    /// Enables the notifications of each side from which the queue could take requests.
    fn arm(&mut self) -> Arm {
        // A new request could not be submitted while others wait for room; the device's
        // notification says when there is room. Suspects wait for their trials, not for room.
        let waiting = self.backlog.without_suspects(&self.in_flight);
        let guest = if self.can_take() && waiting == 0 { self.guest.arm() } else { Arm::Armed };
        let device = self.device.as_mut().map_or(Arm::Armed, DeviceRing::arm);
        if guest == Arm::Pending { guest } else { device }
    }

    fn can_take(&self) -> bool {
        self.accepting && self.device.is_some() && self.in_flight.has_room()
    }

    /// Gives the guest back a batch of the requests that the device has used. Returns the number of
    /// requests.
    pub(super) fn collect_used(&mut self) -> Result<usize, Violation> {
        let outcome = self.reap();
        let Some(device) = &mut self.device else { return Ok(0) };
        let (memory, count) = (self.memory.view(), self.used.len());
        for Used { cookie: id, written, .. } in self.used.drain(..) {
            match device.copy_back(&memory, self.in_flight.get_mut(&id), written, self.device_type) {
                Ok(()) => {
                    self.guest.complete(self.in_flight.remove(id), written);
                    self.counters.requests.add(1);
                    self.counters.to_guest.add(u64::from(written));
                }
                Err(error) => {
                    self.refusals.count(&self.counters, error);
                    self.guest.fail(&memory, &mut self.in_flight, id, self.device_type);
                }
            }
        }
        outcome.map(|()| count)
    }

    /// Reaps the requests that the device has used, up to a batch, and prefetches the bytes that
    /// the device wrote.
    ///
    /// The data is in the cache of the device's processor. Fetching all of it before the first copy
    /// takes far less time than waiting for one packet after the other.
    fn reap(&mut self) -> Result<(), Violation> {
        let Some(device) = &mut self.device else { return Ok(()) };
        let limit = if self.device_type.joins_buffers() { u64::MAX } else { ROUND_BYTES };
        let mut bytes = 0;
        while bytes < limit {
            let used = device.reap().inspect_err(|_| self.counters.violations.add(1))?;
            let Some(used) = used else { break };
            device.prefetch(self.in_flight.get(&used.cookie), used.written);
            bytes += u64::from(used.written);
            self.used.push(used);
        }
        Ok(())
    }

    /// Takes requests from the guest until the backlog has `limit` requests that are not suspects.
    ///
    /// Returns how many requests it has handled.
    fn take(&mut self, limit: usize, round: &mut Round) -> usize {
        let mut count = 0;
        let limit = limit.saturating_sub(self.backlog.without_suspects(&self.in_flight));
        while self.can_take() && count < limit {
            match self.guest.take(&mut self.in_flight) {
                Ok(Some(id)) => self.backlog.push(id),
                Ok(None) => break,
                Err(PopError::TooLong(token)) => {
                    self.refusals.count(&self.counters, ForwardError::TooLong);
                    self.guest.complete(token, 0);
                    // The journal has no room for the chain. The chain has to be published before a
                    // later one is recorded, because a process that recovers derives from the
                    // recorded chains how many were taken.
                    return count + 1;
                }
                Err(PopError::Violation(violation)) => {
                    self.counters.violations.add(1);
                    round.guest_fault = Some(violation);
                    break;
                }
            }
            count += 1;
        }
        count
    }

    /// Submits up to `limit` requests of the backlog, and up to a batch of bytes.
    ///
    /// Returns how many requests it has handled.
    fn submit(&mut self, limit: usize, now: Instant) -> usize {
        let Some(device) = &mut self.device else { return 0 };
        let memory = self.memory.view();
        // This prefetches as in `reap`, for data in the cache of the guest's processor.
        for id in self.backlog.iter().take(limit) {
            if let Some(first) = self.in_flight.get(id).buffer.readable().first() {
                memory.prefetch(first);
            }
        }
        let (mut count, mut bytes) = (0, 0);
        while count < limit && bytes < ROUND_BYTES {
            let Some((id, at)) = self.backlog.next(&mut self.in_flight, now) else { break };
            bytes += Segment::total(self.in_flight.get(&id).buffer.all());
            match device.submit(&memory, &mut self.in_flight, id, self.device_type) {
                Submission::Staged(copied) => self.counters.to_device.add(copied),
                Submission::NoRoom(id) => {
                    self.backlog.put_back(id, at, &mut self.in_flight);
                    break;
                }
                Submission::Refused(id, error) => {
                    self.refusals.count(&self.counters, error);
                    self.guest.fail(&memory, &mut self.in_flight, id, self.device_type);
                }
            }
            count += 1;
        }
        count
    }
}
