//! The table of all measurements.

use crate::arena::QUEUE_SIZE;
use crate::case::{Bursts, Case, Decisions, Ends, Pace};
use crate::shape::{Shape, Shapes};

/// A part of the suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Bursts on one thread.
    Throughput,
    /// One request to the device and back, on one thread.
    Latency,
    /// Two threads that poll.
    CrossThread,
    /// Decisions about notifications.
    Notify,
    /// A device that copies the readable bytes to the writable segments.
    Payload,
    /// Long chains in indirect tables.
    Indirect,
    /// Bursts of several lengths.
    BurstLength,
    /// Queues of several sizes.
    QueueSize,
    /// Chains of several lengths.
    ChainLength,
    /// Two threads, with several numbers of buffers in flight.
    InFlight,
}

impl Group {
    /// All groups.
    pub const ALL: [Self; 10] = [
        Self::Throughput,
        Self::Latency,
        Self::CrossThread,
        Self::Notify,
        Self::Payload,
        Self::Indirect,
        Self::BurstLength,
        Self::QueueSize,
        Self::ChainLength,
        Self::InFlight,
    ];

    /// Returns the cases of the group.
    #[must_use]
    pub const fn cases(self) -> &'static [Case] {
        match self {
            Self::Throughput => &THROUGHPUT,
            Self::Latency => &[Case::RoundTrip(Decisions::Both)],
            Self::CrossThread => &[
                Case::TwoThreads(Pace::BATCHES),
                Case::TwoThreads(Pace::ONE_AT_A_TIME),
                Case::TwoThreads(Pace::ROUND_TRIP),
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
            Self::Indirect => &INDIRECT,
            Self::BurstLength => &BURST_LENGTHS,
            Self::QueueSize => &QUEUE_SIZES,
            Self::ChainLength => &CHAIN_LENGTHS,
            Self::InFlight => &IN_FLIGHT,
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
            Self::BurstLength => "burst_length",
            Self::QueueSize => "queue_size",
            Self::ChainLength => "chain_length",
            Self::InFlight => "in_flight",
        }
    }

    /// Returns whether the cases of the group differ in a number, which is then the name of the
    /// case.
    #[must_use]
    pub const fn varies_a_number(self) -> bool {
        matches!(self, Self::BurstLength | Self::QueueSize | Self::ChainLength | Self::InFlight)
    }

    /// Returns the name of a case in this group. In the groups that vary a number, the name is the
    /// number.
    #[must_use]
    pub fn label(self, case: Case) -> String {
        match (self, case) {
            (Self::BurstLength, Case::Bursts(Bursts { burst, .. })) => burst.to_string(),
            (Self::QueueSize, Case::Bursts(Bursts { size, .. })) => size.to_string(),
            (Self::ChainLength, Case::Bursts(Bursts { shapes: Shapes::All(shape), .. })) => {
                shape.segments().to_string()
            }
            (Self::InFlight, Case::TwoThreads(Pace { in_flight, .. })) => in_flight.to_string(),
            _ => case.to_string(),
        }
    }

    /// Returns the case with the name `group/label`.
    #[must_use]
    pub fn find(name: &str) -> Option<Case> {
        let (group, label) = name.split_once('/')?;
        let group = Self::ALL.into_iter().find(|it| it.name() == group)?;
        group.cases().iter().copied().find(|&case| group.label(case) == label)
    }
}

const THROUGHPUT: [Case; 14] = [
    bursts(Ends::Both, Shapes::All(Shape::ONE)),
    bursts(Ends::Both, Shapes::All(Shape::THREE)),
    bursts(Ends::Both, Shapes::All(Shape::THREE_INDIRECT)),
    bursts(Ends::Both, Shapes::Mixed),
    bursts(Ends::Device, Shapes::All(Shape::ONE)),
    bursts(Ends::Device, Shapes::All(Shape::THREE)),
    bursts(Ends::Device, Shapes::All(Shape::THREE_INDIRECT)),
    bursts(Ends::Driver, Shapes::All(Shape::ONE)),
    bursts(Ends::Driver, Shapes::All(Shape::THREE)),
    bursts(Ends::Driver, Shapes::All(Shape::THREE_INDIRECT)),
    bursts(Ends::Neither, Shapes::All(Shape::ONE)),
    bursts(Ends::Neither, Shapes::All(Shape::THREE)),
    bursts(Ends::Neither, Shapes::All(Shape::THREE_INDIRECT)),
    bursts(Ends::Neither, Shapes::Mixed),
];

const INDIRECT: [Case; 1] = [bursts(Ends::Device, Shapes::All(Shape::SIXTEEN_INDIRECT))];

const BURST_LENGTHS: [Case; 7] =
    [burst_of(1), burst_of(2), burst_of(4), burst_of(8), burst_of(16), burst_of(32), burst_of(128)];

const QUEUE_SIZES: [Case; 4] = [queue_of(16), queue_of(64), queue_of(256), queue_of(1024)];

const CHAIN_LENGTHS: [Case; 5] = [chain_of(1), chain_of(2), chain_of(4), chain_of(8), chain_of(16)];

const IN_FLIGHT: [Case; 6] =
    [in_flight(1), in_flight(4), in_flight(16), in_flight(64), in_flight(128), in_flight(255)];

const fn bursts(ends: Ends, shapes: Shapes) -> Case {
    Case::Bursts(Bursts::of(ends, shapes))
}

const fn burst_of(burst: u16) -> Case {
    Case::Bursts(Bursts { burst, ..Bursts::of(Ends::Both, Shapes::All(Shape::ONE)) })
}

/// Returns a case with bursts of 16, which fit each of the queues.
const fn queue_of(size: u16) -> Case {
    Case::Bursts(Bursts { burst: 16, size, ..Bursts::of(Ends::Both, Shapes::All(Shape::ONE)) })
}

/// Returns a case with bursts of 16 chains. Bursts of the longest chains fill the queue.
const fn chain_of(segments: usize) -> Case {
    let shapes = Shapes::All(Shape::chain(segments - 1));
    Case::Bursts(Bursts { ends: Ends::Both, shapes, burst: 16, size: QUEUE_SIZE })
}

const fn in_flight(in_flight: usize) -> Case {
    Case::TwoThreads(Pace { batch: 1, in_flight })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_is_found_by_its_name() {
        for group in Group::ALL {
            for &case in group.cases() {
                let name = format!("{}/{}", group.name(), group.label(case));
                assert_eq!(Group::find(&name), Some(case), "{name}");
            }
        }
    }
}
