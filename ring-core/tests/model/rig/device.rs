//! The operations of the device.

use std::mem;

use ring_core::{Arm, CompleteError, Features, PopError, Position, Segment};
use support::device_queue;

use super::Rig;
use crate::reference::{Lists, State, Taken};

impl Rig<'_> {
    pub(super) fn pop(&mut self, storage: usize) {
        let mut segments = vec![Segment::default(); storage];
        let popped = self.device.pop(&mut segments);
        let Some(buffer) = self.lists.available.pop_front() else {
            assert_eq!(popped, Ok(None));
            return;
        };
        let token = match popped {
            Ok(Some(chain)) => {
                assert_eq!((chain.readable(), chain.writable()), (&*buffer.readable, &*buffer.writable));
                let token = chain.into_token();
                assert_eq!(token.writable(), buffer.room());
                token
            }
            Err(PopError::TooLong(token)) => {
                assert!(buffer.segments() > storage, "{buffer:?} fits {storage}");
                token
            }
            other => panic!("{buffer:?} is available, but: {other:?}"),
        };
        let record = self.device.record(&token).expect("the chain is in flight");
        assert!(record.serial > self.last, "{record:?} after {}", self.last);
        self.last = record.serial;
        self.available.taken += self.steps(&buffer);
        self.device_side.wake();
        self.lists.taken.push_back(Taken { buffer, record, adopted: false, state: State::Open(token) });
    }

    /// Takes the token of an open chain: the chain's index and the token.
    fn take_token(&mut self, which: u8) -> Option<(usize, ring_core::Token)> {
        let open: Vec<usize> =
            (0..self.lists.taken.len()).filter(|index| self.lists.taken[*index].is_open()).collect();
        let index = *open.get(usize::from(which).checked_rem(open.len())?)?;
        match mem::replace(&mut self.lists.taken[index].state, State::Completed(0)) {
            State::Open(token) => Some((index, token)),
            State::Completed(_) => unreachable!("only open chains were collected"),
        }
    }

    pub(super) fn complete(&mut self, which: u8, written: u8) {
        let Some((index, token)) = self.take_token(which) else { return };
        let too_many = token.writable() + 1;
        let Err(CompleteError::TooManyBytes { token, written: refused }) =
            self.device.complete(token, too_many)
        else {
            panic!("{too_many} bytes were written to {:?}", self.lists.taken[index].buffer);
        };
        assert_eq!(refused, too_many);
        let written = u32::from(written) % too_many;
        self.device.complete(token, written).expect("the token is valid");
        self.lists.taken[index].state = State::Completed(written);
        self.stage_completed();
    }

    /// Stages the completed chains: all of them or, in an in-order queue, those that wait for no
    /// older chain.
    fn stage_completed(&mut self) {
        let in_order = self.is(Features::IN_ORDER);
        let Lists { taken, completed, .. } = &mut self.lists;
        loop {
            let next = taken.iter().position(|taken| !taken.is_open() || in_order);
            let Some(index) = next.filter(|&index| !taken[index].is_open()) else { return };
            completed.extend(taken.remove(index));
        }
    }

    /// Only the chain that was taken last can be given back. A packed device that has taken over a
    /// chain from a device that crashed cannot give this chain back.
    pub(super) fn unpop(&mut self, which: u8) {
        let Some((index, token)) = self.take_token(which) else { return };
        let Taken { record, adopted, .. } = self.lists.taken[index];
        let possible = record.serial == self.last && !(adopted && self.is(Features::RING_PACKED));
        match self.device.unpop(token) {
            Ok(()) => {
                assert!(possible, "{record:?} was given back after {}", self.last);
                self.last -= 1;
                let taken = self.lists.taken.remove(index).expect("the chain is in flight");
                self.available.taken -= self.steps(&taken.buffer);
                self.lists.available.push_front(taken.buffer);
                self.device_side.act();
            }
            Err(CompleteError::NotNewest(token)) => {
                assert!(!possible, "{record:?} was not given back");
                self.lists.taken[index].state = State::Open(token);
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(super) fn publish_used(&mut self) {
        let answer = self.device.publish();
        self.make_used();
        self.used.decide(&mut self.driver_side, answer);
    }

    pub(super) fn publish_used_silently(&mut self) {
        self.device.publish_silently();
        self.make_used();
    }

    fn make_used(&mut self) {
        while let Some(Taken { buffer, state, .. }) = self.lists.completed.pop_front() {
            let State::Completed(written) = state else { unreachable!("only completed chains are staged") };
            self.used.published += self.steps(&buffer);
            self.lists.used.push_back((buffer, written));
        }
    }

    pub(super) fn arm_device(&mut self) {
        let arm = self.device.arm();
        assert_eq!(arm == Arm::Unpublished, !self.lists.completed.is_empty());
        if arm == Arm::Unpublished {
            return;
        }
        let empty = self.lists.available.is_empty();
        assert_eq!(arm == Arm::Armed, empty);
        self.device_side.arm(self.available.taken, empty);
    }

    /// Stops the device, and checks its position.
    fn stop_device(&mut self) {
        let (stands, answer) = self.device.suspend();
        self.make_used();
        self.used.decide(&mut self.driver_side, answer);
        assert_eq!(stands, self.position(self.available.taken, self.used.published));
        assert_eq!(self.device.position_of(self.device.vring_base()), stands);
        self.used.resume();
        self.device_side.resume();
    }

    pub(super) fn suspend_device(&mut self, base: u32) {
        self.stop_device();
        assert_eq!(self.device.pop(&mut []), Ok(None));
        assert!(!self.device.publish().is_needed());
        if let Some((index, token)) = self.take_token(0) {
            let Err(CompleteError::Suspended(token)) = self.device.complete(token, 0) else {
                panic!("a chain was completed in a suspended queue");
            };
            self.lists.taken[index].state = State::Open(token);
        }
        let position = self.device.position();
        if self.device.resume(Position::from_packed_base(base)).is_ok() {
            let _ = self.device.suspend();
        }
        self.device.resume(position).expect("the queue was suspended at this position");
    }

    /// Only the device that has taken a chain can complete it, so the device must hold none.
    pub(super) fn move_device(&mut self) {
        if self.lists.taken.is_empty() {
            self.stop_device();
            let base = self.device.vring_base();
            self.device = device_queue(self.memory.clone(), &self.setup);
            self.last = 0;
            self.device.resume(self.device.position_of(base)).expect("another device stopped here");
        }
    }

    /// The next device takes over all chains that are not published, as the journal lists them.
    pub(super) fn crash_device(&mut self) {
        let start = self.device.position().used;
        let staged = !self.lists.completed.is_empty();
        self.device = device_queue(self.memory.clone(), &self.setup);
        assert!(!(staged && self.device.has_published(start)), "nothing was published");
        self.device.recover(start, self.last).expect("another device has published up to here");

        let mut in_flight: Vec<Taken> = self.lists.completed.drain(..).collect();
        in_flight.extend(self.lists.taken.drain(..));
        in_flight.sort_unstable_by_key(|taken| taken.record.serial);
        for taken in in_flight {
            let token = self.device.adopt(taken.record).expect("the chain was in flight");
            self.lists.taken.push_back(Taken { adopted: true, state: State::Open(token), ..taken });
        }
        let position = self.position(self.available.taken, self.used.published);
        assert_eq!(self.device.position(), position);
        self.used.resume();
        self.device_side.resume();
    }
}
