//! One queue of the guest and its counterpart.

use std::collections::VecDeque;

use ring_core::driver::Used;
use ring_core::{Arm, PopError, Setup, SetupError, Violation};
use thiserror::Error;

use super::Statistics;
use super::device_end::{DeviceEnd, Refusal, Submission};
use super::guest_end::GuestEnd;
use super::requests::Requests;
use crate::device_type::DeviceType;
use crate::guest_memory::GuestMemory;
use crate::journal::Journal;

/// How many more requests are submitted than were returned before anyone else gets a turn.
const BATCH: usize = 64;

/// One queue: the guest's ring, and, while there is a device, its counterpart in the isolated area.
#[derive(Debug)]
pub struct Shadow {
    guest: GuestEnd,
    memory: GuestMemory,
    device_type: DeviceType,
    device: Option<DeviceEnd>,
    /// What was taken from the guest and not returned. Everything else knows a request by its key here.
    requests: Requests,
    /// Those that are not with the device: first in line.
    backlog: VecDeque<usize>,
    /// What the device has done and the guest does not know of yet; empty between rounds.
    done: Vec<Used<usize>>,
    /// Whether requests are taken from the guest.
    accepting: bool,
    /// What has been done so far.
    pub statistics: Statistics,
}

/// What came of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Notify the guest.
    pub call: bool,
    /// Notify the device.
    pub kick: bool,
    /// There may be more to do: run again before sleeping.
    pub again: bool,
    /// The guest broke a rule. Said once; its ring is idle from now on.
    pub guest_fault: Option<Violation>,
}

/// A queue of the guest cannot be set up.
#[derive(Debug, Error)]
pub enum ShadowError {
    /// Its size, place or position is impossible.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl Shadow {
    /// Goes on with the guest's ring where `base`, a vhost-user vring base, says; or where a process that died has
    /// left it, as it has noted in the journal.
    ///
    /// # Errors
    ///
    /// [`ShadowError`] if the ring or the position is impossible.
    pub fn new(
        memory: GuestMemory,
        setup: &Setup,
        base: u32,
        device_type: DeviceType,
        journal: Option<Journal>,
    ) -> Result<Self, ShadowError> {
        let mut requests = Requests::default();
        let guest = GuestEnd::new(memory.clone(), setup, base, journal, &mut requests)?;
        Ok(Self {
            backlog: guest.in_order(&requests),
            guest,
            memory,
            device_type,
            device: None,
            requests,
            done: Vec::new(),
            accepting: true,
            statistics: Statistics::default(),
        })
    }

    /// Gives the queue to a device. What an earlier one left undone, this one gets first, in order.
    pub fn attach(&mut self, device: DeviceEnd) {
        self.detach();
        self.device = Some(device);
    }

    /// Takes the queue away from the device, which must not serve it any more. What it has done already goes
    /// back to the guest with the next [`run`](Self::run).
    pub fn detach(&mut self) {
        if let Err(violation) = self.take_back() {
            tracing::warn!("the device broke a queue at its end: {violation}");
        }
        if self.device.take().is_some() {
            // The area goes with the device, and all the requests wait for the next one.
            self.requests.displace();
            self.backlog = self.guest.in_order(&self.requests);
        }
    }

    /// Ends the queue, which the device must not serve any more: what it has done, the guest gets back; what it
    /// has not, is in the guest's ring again as if it had never been taken. A request that cannot go back there,
    /// because a later one has been returned already, fails. Returns whether to notify the guest, and how many
    /// requests the device had not done.
    pub fn surrender(&mut self) -> (bool, usize) {
        let before = self.backlog.len();
        self.detach();
        let left = self.backlog.len() - before;
        self.give_back();
        let memory = self.memory.view();
        for key in self.backlog.drain(..) {
            self.statistics.note_refusal(Refusal::Interrupted);
            self.guest.refuse(&memory, &mut self.requests, key, self.device_type);
        }
        let call = self.guest.publish();
        self.guest.end_journal();
        (call, left)
    }

    /// Puts requests that no device has back into the guest's ring, the newest first, as far as that goes.
    pub fn give_back(&mut self) {
        while let Some(&key) = self.backlog.back()
            && self.guest.give_back(&mut self.requests, key)
        {
            self.backlog.pop_back();
        }
    }

    /// Ends the queue of a VMM that is gone. If there is a journal, what the device has not done stays noted there
    /// for when the VMM is back; otherwise it is [surrendered](Self::surrender).
    pub fn abandon(&mut self) {
        if !self.guest.has_journal() {
            self.surrender();
        }
        self.detach();
        self.guest.publish();
    }

    /// Whether the guest's requests are safe even if this process is killed.
    #[must_use]
    pub const fn has_journal(&self) -> bool {
        self.guest.has_journal()
    }

    /// Takes requests from the guest, or no longer.
    pub const fn accept(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// Requests that were taken from the guest and not returned.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.requests.len()
    }

    /// Bytes of the queue's share of the isolated area that are in use, and all of them.
    #[must_use]
    pub fn used_of_share(&self) -> (u64, u64) {
        self.device.as_ref().map_or((0, 0), DeviceEnd::used_of_share)
    }

    /// Where the guest's queue stands, as a vhost-user vring base.
    #[must_use]
    pub fn vring_base(&self) -> u32 {
        self.guest.vring_base()
    }

    /// Moves what can be moved, up to a batch each way, and says whom to notify.
    ///
    /// Once it has nothing to do, both sides have been asked to notify.
    ///
    /// # Errors
    ///
    /// The [`Violation`] by which the device broke the queue. Nothing more comes from it until it is replaced.
    pub fn run(&mut self) -> Result<Round, Violation> {
        let mut round = self.poll()?;
        round.again = round.again || self.arm() == Arm::Pending;
        Ok(round)
    }

    /// The same, but asks nobody to notify.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn poll(&mut self) -> Result<Round, Violation> {
        let mut round = Round::default();
        let returned = self.take_back()?;
        // A network device is full of buffers for what may come. If fewer went to it than come from it in a round,
        // it would soon have none left when much does, although the guest has more.
        let taken = self.take(returned + BATCH, &mut round);
        let submitted = self.submit(returned + BATCH);
        round.call = self.guest.publish();
        round.kick = self.device.as_mut().is_some_and(|device| device.publish().is_needed());
        self.statistics.calls_out += u64::from(round.call);
        self.statistics.kicks_out += u64::from(round.kick);
        round.again = returned + taken + submitted > 0;
        Ok(round)
    }

    /// Asks both sides to notify, as far as something could be done about it.
    fn arm(&mut self) -> Arm {
        // What cannot be submitted now must not be announced either: the device's side will free the way.
        let guest = if self.can_submit() && self.backlog.is_empty() { self.guest.arm() } else { Arm::Armed };
        let device = self.device.as_mut().map_or(Arm::Armed, DeviceEnd::arm);
        if guest == Arm::Pending { guest } else { device }
    }

    fn can_submit(&self) -> bool {
        self.accepting && self.device.is_some()
    }

    /// Returns to the guest all that the device has done, to be published at once: a network device's receive
    /// buffers may belong together.
    fn take_back(&mut self) -> Result<usize, Violation> {
        let outcome = self.reap();
        let Some(device) = &mut self.device else { return Ok(0) };
        let (memory, count) = (self.memory.view(), self.done.len());
        for Used { cookie: key, written, .. } in self.done.drain(..) {
            if let Some(request) = self.requests.get_mut(key) {
                device.collect(&memory, request, written, self.device_type);
            }
            if let Some(token) = self.requests.remove(key) {
                self.guest.complete(token, written);
            }
            self.statistics.requests += 1;
            self.statistics.to_guest += u64::from(written);
        }
        outcome.map(|()| count)
    }

    /// Finds out all that the device has done. What it wrote is on its way from its processor to this one before the
    /// first of it is copied: to wait for one packet after the other would take longer than all the rest.
    fn reap(&mut self) -> Result<(), Violation> {
        let Some(device) = &mut self.device else { return Ok(()) };
        while let Some(used) = device.reap().inspect_err(|_| self.statistics.violations += 1)? {
            if let Some(request) = self.requests.get_mut(used.cookie) {
                device.prefetch(request, used.written);
            }
            self.done.push(used);
        }
        Ok(())
    }

    /// Takes requests from the guest until so many wait for the device. Returns how many were dealt with.
    fn take(&mut self, most: usize, round: &mut Round) -> usize {
        let mut count = 0;
        while self.can_submit() && self.backlog.len() < most {
            match self.guest.take(&mut self.requests) {
                Ok(Some(key)) => self.backlog.push_back(key),
                Ok(None) => break,
                Err(PopError::TooLong(token)) => {
                    self.statistics.note_refusal(Refusal::TooLong);
                    self.guest.complete(token, 0);
                    // The journal cannot hold it, so it has to be published before any later one is noted: a
                    // process that takes over counts what has been taken by what is there.
                    return count + 1;
                }
                Err(PopError::Violation(violation)) => {
                    self.statistics.violations += 1;
                    round.guest_fault = Some(violation);
                    break;
                }
            }
            count += 1;
        }
        count
    }

    /// Submits at most so many of the requests that wait. Returns how many were dealt with.
    fn submit(&mut self, most: usize) -> usize {
        let Some(device) = &mut self.device else { return 0 };
        let memory = self.memory.view();
        // As in `reap`, for what comes from the guest's processor.
        for &key in self.backlog.iter().take(most) {
            let request = self.requests.get_mut(key);
            request
                .iter()
                .filter_map(|it| it.buffer.split().0.first())
                .for_each(|from| memory.prefetch(from));
        }
        let mut count = 0;
        while count < most
            && let Some(&key) = self.backlog.front()
            && let Some(request) = self.requests.get_mut(key)
        {
            match device.submit(&memory, key, request) {
                Submission::Staged(copied) => self.statistics.to_device += copied,
                Submission::NoRoom => break,
                Submission::Never(refusal) => {
                    self.statistics.note_refusal(refusal);
                    self.guest.refuse(&memory, &mut self.requests, key, self.device_type);
                }
            }
            self.backlog.pop_front();
            count += 1;
        }
        count
    }
}
