//! The two ends of a queue, and the ways in which requests pass between them.

use std::time::Duration;

use crate::cache_padded::CachePadded;
use crate::case::{Decisions, Pace};
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::request::Request;
use crate::tally::{Returned, Seen};
use crate::two_threads::{self, Processors};

/// A queue with both ends, whatever their types.
pub trait Queue {
    /// Passes the requests of the next burst to the device and back.
    fn burst(&mut self) -> Passed;

    /// Passes all requests of the fixture together to the device and back, with these decisions.
    fn round_trip(&mut self, decisions: Decisions) -> Passed;

    /// Passes `count` requests between two threads on these processors, checks that all arrive
    /// complete, in order and once, and returns the time.
    ///
    /// # Panics
    ///
    /// If a request is lost, damaged, repeated or out of order.
    fn two_threads(&mut self, count: usize, pace: Pace, processors: Processors) -> Duration;

    /// Returns the requests that the next burst passes.
    fn next_burst(&self) -> &[Request];

    /// Returns the fixture from which the ends were made.
    fn fixture(&self) -> &Fixture;
}

/// Sums over the requests that passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// What the device has seen.
    pub seen: Seen,
    /// What the driver has taken back.
    pub returned: Returned,
    /// How often the driver decided to notify.
    pub kicks: u64,
    /// How often the device decided to notify.
    pub calls: u64,
}

/// Two ends of one queue. No cache line has fields of both.
#[derive(Debug)]
pub struct Pair<D, V> {
    driver: CachePadded<D>,
    device: CachePadded<V>,
    fixture: Fixture,
    /// The number of the next burst's first request.
    next: usize,
}

impl<D: DriverEnd + Send + 'static, V: DeviceEnd + Send + 'static> Pair<D, V> {
    /// Joins two ends that were made from `fixture`.
    pub fn boxed(fixture: Fixture, driver: D, device: V) -> Box<dyn Queue> {
        Box::new(Self { driver: CachePadded(driver), device: CachePadded(device), fixture, next: 0 })
    }
}

impl<D: DriverEnd + Send, V: DeviceEnd + Send> Queue for Pair<D, V> {
    fn burst(&mut self) -> Passed {
        let mut passed = Passed::default();
        self.driver.0.submit(&self.fixture.requests[self.next..][..self.fixture.burst]);
        passed.kicks += u64::from(self.driver.0.decide());
        passed.seen = self.device.0.serve(self.fixture.burst, passed.seen);
        passed.calls += u64::from(self.device.0.decide());
        passed.returned = self.driver.0.collect(passed.returned);
        self.next += self.fixture.burst;
        if self.next == self.fixture.requests.len() {
            self.next = 0;
        }
        passed
    }

    fn round_trip(&mut self, decisions: Decisions) -> Passed {
        let Self { driver: CachePadded(driver), device: CachePadded(device), fixture, .. } = self;
        let mut passed = Passed::default();
        if decisions == Decisions::DeviceSleeps {
            assert!(device.arm(), "a request is available before the driver has made it");
        }
        driver.submit(&fixture.requests);
        if matches!(decisions, Decisions::Driver | Decisions::Both | Decisions::DeviceSleeps) {
            passed.kicks += u64::from(driver.decide());
        }
        passed.seen = device.serve(fixture.requests.len(), passed.seen);
        if matches!(decisions, Decisions::Device | Decisions::Both) {
            passed.calls += u64::from(device.decide());
        }
        passed.returned = driver.collect(passed.returned);
        passed
    }

    fn two_threads(&mut self, count: usize, pace: Pace, processors: Processors) -> Duration {
        let (driver, device) = (&mut self.driver.0, &mut self.device.0);
        two_threads::run(driver, device, &self.fixture.requests, count, pace, processors)
    }

    fn next_burst(&self) -> &[Request] {
        &self.fixture.requests[self.next..][..self.fixture.burst]
    }

    fn fixture(&self) -> &Fixture {
        &self.fixture
    }
}
