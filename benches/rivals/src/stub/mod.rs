//! Ends that do the least work that the format allows, so that the measured time is the time of the
//! other end.
//!
//! A stub trusts the other end, keeps no records, knows the requests beforehand and serves them in
//! order. Both ends are on one thread, so no access has to be ordered.

pub mod packed;
pub mod split;

use std::marker::PhantomData;

use ring_core::Features;

use crate::arena::QUEUE_SIZE;
use crate::case::{Bursts, Case, Ends};
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{Pair, Queue};
use crate::shape::Shapes;

/// The size of the queue, which a stub does not look up.
pub(crate) const SIZE: usize = QUEUE_SIZE as usize;

/// A format of queues, with the stubs of both ends.
pub trait Format: 'static {
    /// The feature of the format.
    const FEATURES: Features;

    /// Makes the stub of a driver.
    fn driver(fixture: &Fixture) -> impl DriverEnd + Send + 'static;

    /// Makes the stub of a device.
    fn device(fixture: &Fixture) -> impl DeviceEnd + Send + 'static;
}

/// Split queues.
#[derive(Debug)]
pub enum Split {}

/// Packed queues.
#[derive(Debug)]
pub enum Packed {}

impl Format for Split {
    const FEATURES: Features = Features::empty();

    fn driver(fixture: &Fixture) -> impl DriverEnd + Send + 'static {
        split::Driver::new(fixture)
    }

    fn device(fixture: &Fixture) -> impl DeviceEnd + Send + 'static {
        split::Device::new(fixture)
    }
}

impl Format for Packed {
    const FEATURES: Features = Features::RING_PACKED;

    fn driver(fixture: &Fixture) -> impl DriverEnd + Send + 'static {
        packed::Driver::new(fixture)
    }

    fn device(fixture: &Fixture) -> impl DeviceEnd + Send + 'static {
        packed::Device::new(fixture)
    }
}

/// Two stubs of one format.
#[derive(Debug)]
pub struct TwoStubs<F>(PhantomData<F>);

impl<F> TwoStubs<F> {
    /// Returns the implementation.
    #[expect(clippy::new_without_default, reason = "a marker type, without a value")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<F: Format> Implementation for TwoStubs<F> {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        // Stubs know one burst, which repeats.
        let Case::Bursts(Bursts { ends: Ends::Neither, shapes: Shapes::All(_), .. }) = case else {
            return None;
        };
        let fixture = Fixture::new(case, F::FEATURES);
        let (driver, device) = (F::driver(&fixture), F::device(&fixture));
        Some(Pair::boxed(fixture, driver, device))
    }
}
