//! Ends that do the least work that the format allows, so that the time is that of the other end.
//!
//! A stub trusts the other end, keeps no records, knows the requests beforehand and serves them in
//! order. Both ends are on one thread, so no access has to be ordered.

pub mod packed;
pub mod split;

use ring_core::Features;

use crate::arena::QUEUE_SIZE;
use crate::case::{Case, Ends};
use crate::fixture::Fixture;
use crate::implementation::{Connect, Implementation, connect};
use crate::pair::Pair;

/// The size of the queue, which a stub does not look up.
const SIZE: usize = QUEUE_SIZE as usize;

/// Two stubs of one format.
#[derive(Debug)]
pub enum Stubs {
    /// A split queue.
    Split,
    /// A packed queue.
    Packed,
}

/// Two split stubs.
pub const SPLIT: Stubs = Stubs::Split;
/// Two packed stubs.
pub const PACKED: Stubs = Stubs::Packed;

impl Implementation for Stubs {
    fn name(&self) -> &'static str {
        match self {
            Self::Split => "two split stubs",
            Self::Packed => "two packed stubs",
        }
    }

    fn connect(&self, case: Case) -> Option<Connect> {
        let Case::Bursts(Ends::Neither, _) = case else { return None };
        match self {
            Self::Split => connect(move || {
                let fixture = Fixture::new(case, Features::empty());
                let (driver, device) = (split::Driver::new(&fixture), split::Device::new(&fixture));
                Pair::boxed(fixture, driver, device)
            }),
            Self::Packed => connect(move || {
                let fixture = Fixture::new(case, Features::RING_PACKED);
                let (driver, device) = (packed::Driver::new(&fixture), packed::Device::new(&fixture));
                Pair::boxed(fixture, driver, device)
            }),
        }
    }

    fn count_name(&self, case: Case) -> Option<String> {
        let format = match self {
            Self::Split => "split",
            Self::Packed => "packed",
        };
        Some(format!("{format}/{case}"))
    }
}
