//! The table of everything that is measured.

use std::fmt;

use crate::arena::QUEUE_SIZE;
use crate::request::Shape;

/// The requests of a burst, which are made available, served and taken back together.
pub const BURST: u16 = 64;

/// The requests of a burst that carries a payload.
const PAYLOADS: u16 = 4;

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Bursts on one thread.
    Throughput,
    /// One request there and back on one thread.
    Latency,
    /// Two threads that poll.
    CrossThread,
    /// What decisions about notifications cost.
    Notify,
    /// A device that copies what it reads to where it may write.
    Payload,
    /// Long chains in indirect tables.
    Indirect,
}

/// What is measured. The display form is the name of the case in its group, such as
/// `device/3-indirect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Bursts of requests on one thread.
    Bursts(Ends, Shape),
    /// Bursts of requests to a device that copies 4 KiB for each, on one thread.
    Payload(Shape),
    /// One request there and back on one thread.
    RoundTrip(Decisions),
    /// Requests between two threads.
    TwoThreads(Pace),
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
pub enum Pace {
    /// One by one, with as many in flight as the queue holds.
    OneAtATime,
    /// In batches of 32, with as many in flight as the queue holds.
    Batches,
    /// One by one, each after the one before has come back.
    RoundTrip,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 6] =
        [Self::Throughput, Self::Latency, Self::CrossThread, Self::Notify, Self::Payload, Self::Indirect];

    /// Returns the cases of the group.
    #[must_use]
    pub const fn cases(self) -> &'static [Case] {
        match self {
            Self::Throughput => &[
                Case::Bursts(Ends::Both, Shape::ONE),
                Case::Bursts(Ends::Both, Shape::THREE),
                Case::Bursts(Ends::Both, Shape::THREE_INDIRECT),
                Case::Bursts(Ends::Device, Shape::ONE),
                Case::Bursts(Ends::Device, Shape::THREE),
                Case::Bursts(Ends::Device, Shape::THREE_INDIRECT),
                Case::Bursts(Ends::Driver, Shape::ONE),
                Case::Bursts(Ends::Driver, Shape::THREE),
                Case::Bursts(Ends::Driver, Shape::THREE_INDIRECT),
                Case::Bursts(Ends::Neither, Shape::ONE),
                Case::Bursts(Ends::Neither, Shape::THREE),
                Case::Bursts(Ends::Neither, Shape::THREE_INDIRECT),
            ],
            Self::Latency => &[Case::RoundTrip(Decisions::Both)],
            Self::CrossThread => &[
                Case::TwoThreads(Pace::OneAtATime),
                Case::TwoThreads(Pace::Batches),
                Case::TwoThreads(Pace::RoundTrip),
            ],
            Self::Notify => &[
                Case::RoundTrip(Decisions::Neither),
                Case::RoundTrip(Decisions::Driver),
                Case::RoundTrip(Decisions::Device),
                Case::RoundTrip(Decisions::DeviceSleeps),
            ],
            Self::Payload => &[
                Case::Payload(Shape::PAYLOAD_IN_ONE),
                Case::Payload(Shape::PAYLOAD_IN_FOUR),
                Case::Payload(Shape::PAYLOAD_IN_SIXTEEN),
            ],
            Self::Indirect => &[Case::Bursts(Ends::Device, Shape::SIXTEEN_INDIRECT)],
        }
    }

    /// Returns the name of the group in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Latency => "latency",
            Self::CrossThread => "cross_thread",
            Self::Notify => "notify",
            Self::Payload => "payload",
            Self::Indirect => "indirect",
        }
    }
}

impl Case {
    /// Returns the shape of the requests.
    #[must_use]
    pub const fn shape(self) -> Shape {
        match self {
            Self::Bursts(_, shape) | Self::Payload(shape) => shape,
            Self::RoundTrip(_) | Self::TwoThreads(_) => Shape::ONE,
        }
    }

    /// Returns how many requests pass in one iteration.
    #[must_use]
    pub const fn requests(self) -> u16 {
        match self {
            Self::Bursts(..) => BURST,
            Self::Payload(_) => PAYLOADS,
            Self::RoundTrip(_) => 1,
            Self::TwoThreads(_) => QUEUE_SIZE,
        }
    }

    /// Returns how many requests are made available or used together.
    #[must_use]
    pub const fn batch(self) -> usize {
        match self {
            Self::TwoThreads(pace) => pace.batch(),
            Self::Bursts(..) | Self::Payload(_) | Self::RoundTrip(_) => self.requests() as usize,
        }
    }
}

impl Pace {
    /// Returns how many requests are made available or used together.
    #[must_use]
    pub const fn batch(self) -> usize {
        match self {
            Self::OneAtATime | Self::RoundTrip => 1,
            Self::Batches => 32,
        }
    }

    /// Returns how many requests are in flight at most.
    #[must_use]
    pub const fn in_flight(self) -> usize {
        match self {
            Self::OneAtATime | Self::Batches => QUEUE_SIZE as usize - 1,
            Self::RoundTrip => 1,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bursts(ends, shape) => write!(f, "{ends}/{shape}"),
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
        f.write_str(match self {
            Self::OneAtATime => "one at a time",
            Self::Batches => "batches of 32",
            Self::RoundTrip => "round trip",
        })
    }
}
