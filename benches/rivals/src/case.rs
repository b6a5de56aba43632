//! What is measured.

use std::fmt;

use crate::arena::QUEUE_SIZE;
pub use crate::shape::BURST;
use crate::shape::{Shape, Shapes};

/// The number of requests in a burst that carries payloads.
const PAYLOADS: u16 = 4;

/// What is measured. The display form is the name of the case, such as `device/3-indirect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Bursts of requests on one thread.
    Bursts(Bursts),
    /// Bursts of requests to a device that copies 4 KiB for each, on one thread.
    Payload(Shape),
    /// One request there and back on one thread.
    RoundTrip(Decisions),
    /// Requests between two threads.
    TwoThreads(Pace),
}

/// Bursts of requests, which are made available, served and taken back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// The ends that are measured.
    pub ends: Ends,
    /// The shapes of the requests.
    pub shapes: Shapes,
    /// The requests of a burst.
    pub burst: u16,
    /// The descriptors of the queue.
    pub size: u16,
}

/// The ends that an implementation measures. A stub takes the place of the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// The driver's end and the device's end.
    Both,
    /// The device's end.
    Device,
    /// The driver's end.
    Driver,
    /// Neither end: measures the cost of everything else.
    Neither,
}

/// The ends that decide about notifications. Both ends poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decisions {
    /// Neither end decides.
    Neither,
    /// The driver decides. The device does not want a notification.
    Driver,
    /// The device decides. The driver does not want a notification.
    Device,
    /// Both ends decide. Neither end wants a notification.
    Both,
    /// The device asks for a notification before each request, and the driver decides.
    DeviceSleeps,
}

/// How requests pass between two threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many requests are made available or used together.
    pub batch: usize,
    /// The largest number of requests in flight.
    pub in_flight: usize,
}

impl Pace {
    /// The largest number of requests in flight, one less than the queue holds.
    pub const MOST_IN_FLIGHT: usize = QUEUE_SIZE as usize - 1;
    /// One by one, with up to [`MOST_IN_FLIGHT`](Self::MOST_IN_FLIGHT) requests in flight.
    pub const ONE_AT_A_TIME: Self = Self { batch: 1, in_flight: Self::MOST_IN_FLIGHT };
    /// In batches of 32, with up to [`MOST_IN_FLIGHT`](Self::MOST_IN_FLIGHT) requests in flight.
    pub const BATCHES: Self = Self { batch: 32, in_flight: Self::MOST_IN_FLIGHT };
    /// One by one: each request starts after the request before has returned.
    pub const ROUND_TRIP: Self = Self { batch: 1, in_flight: 1 };
}

impl Bursts {
    /// Returns bursts of [`BURST`] in a queue of [`QUEUE_SIZE`].
    #[must_use]
    pub const fn of(ends: Ends, shapes: Shapes) -> Self {
        Self { ends, shapes, burst: BURST, size: QUEUE_SIZE }
    }
}

impl Case {
    /// Returns the shapes of the requests.
    #[must_use]
    pub const fn shapes(self) -> Shapes {
        match self {
            Self::Bursts(Bursts { shapes, .. }) => shapes,
            Self::Payload(shape) => Shapes::All(shape),
            Self::RoundTrip(_) | Self::TwoThreads(_) => Shapes::All(Shape::ONE),
        }
    }

    /// Returns how many requests pass in one iteration.
    #[must_use]
    pub const fn requests(self) -> u16 {
        match self {
            Self::Bursts(Bursts { burst, .. }) => burst,
            Self::Payload(_) => PAYLOADS,
            Self::RoundTrip(_) => 1,
            Self::TwoThreads(_) => QUEUE_SIZE,
        }
    }

    /// Returns the number of descriptors of the queue.
    #[must_use]
    pub const fn queue_size(self) -> u16 {
        match self {
            Self::Bursts(Bursts { size, .. }) => size,
            Self::Payload(_) | Self::RoundTrip(_) | Self::TwoThreads(_) => QUEUE_SIZE,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bursts(Bursts { ends, shapes, .. }) => write!(f, "{ends}/{shapes}"),
            Self::Payload(Shape { readable, writable, .. }) => {
                write!(f, "4 KiB in {}, out {}", readable.len(), writable.len())
            }
            Self::RoundTrip(decisions) => decisions.fmt(f),
            Self::TwoThreads(pace) => pace.fmt(f),
        }
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "both",
            Self::Device => "device",
            Self::Driver => "driver",
            Self::Neither => "neither",
        })
    }
}

impl fmt::Display for Decisions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Neither => "neither end decides",
            Self::Driver => "driver decides, none due",
            Self::Device => "device decides, none due",
            Self::Both => "both ends decide, none due",
            Self::DeviceSleeps => "device sleeps each time",
        })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ONE_AT_A_TIME => f.write_str("one at a time"),
            Self::BATCHES => f.write_str("batches of 32"),
            Self::ROUND_TRIP => f.write_str("round trip"),
            Self { batch, in_flight } => write!(f, "batches of {batch}, {in_flight} in flight"),
        }
    }
}
