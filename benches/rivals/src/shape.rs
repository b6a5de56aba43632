//! The segments of requests.

use std::fmt;

/// The number of requests in a burst, unless the case says otherwise.
pub const BURST: u16 = 64;

/// The segments of a request. The display form is the number of segments, such as `3-indirect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The lengths of the readable segments, in bytes.
    pub readable: &'static [u32],
    /// The lengths of the writable segments, in bytes.
    pub writable: &'static [u32],
    /// Where the descriptors are.
    pub placement: Placement,
}

/// Where the descriptors of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the ring.
    Ring,
    /// In an indirect table, which takes one descriptor of the ring.
    Table,
}

/// The readable segments of the longest chain, which has one more segment that is writable.
const READABLE: [u32; 15] = [16; 15];

impl Shape {
    /// One descriptor.
    pub const ONE: Self = Self { readable: &[], writable: &[64], placement: Placement::Ring };
    /// Three descriptors.
    pub const THREE: Self = Self { readable: &[16, 64], writable: &[16], placement: Placement::Ring };
    /// The segments of [`THREE`](Self::THREE) in an indirect table.
    pub const THREE_INDIRECT: Self = Self { placement: Placement::Table, ..Self::THREE };
    /// Sixteen segments in an indirect table. A burst of these does not fit the ring without
    /// tables.
    pub const SIXTEEN_INDIRECT: Self =
        Self { readable: &[64; 8], writable: &[64; 8], placement: Placement::Table };
    /// 4 KiB in each direction, in one segment.
    pub const PAYLOAD_IN_ONE: Self =
        Self { readable: &[4096], writable: &[4096], placement: Placement::Ring };
    /// 4 KiB in each direction, in four segments.
    pub const PAYLOAD_IN_FOUR: Self =
        Self { readable: &[1024; 4], writable: &[1024; 4], placement: Placement::Ring };
    /// 4 KiB in each direction, in sixteen segments.
    pub const PAYLOAD_IN_SIXTEEN: Self =
        Self { readable: &[256; 16], writable: &[256; 16], placement: Placement::Ring };

    /// Returns a chain in the ring with `readable` readable segments, at most 15, and a writable
    /// one.
    #[must_use]
    pub const fn chain(readable: usize) -> Self {
        let (readable, _) = READABLE.split_at(readable);
        Self { readable, writable: &[64], placement: Placement::Ring }
    }

    /// Returns whether the ring holds the descriptor of a table instead of the descriptors of the
    /// segments.
    #[must_use]
    pub const fn is_indirect(self) -> bool {
        matches!(self.placement, Placement::Table)
    }

    /// Returns the number of segments.
    #[must_use]
    pub const fn segments(self) -> usize {
        self.readable.len() + self.writable.len()
    }

    /// Returns the number of bytes of all segments.
    #[must_use]
    pub fn bytes(self) -> u32 {
        self.readable.iter().chain(self.writable).sum()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.segments(), if self.is_indirect() { "-indirect" } else { "" })
    }
}

/// The shapes of all requests of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shapes {
    /// All requests have the same shape.
    All(Shape),
    /// Of the requests, 70 % have one descriptor, 20 % have three, and 10 % have three in an
    /// indirect table. The shapes follow in an order that no branch predictor learns.
    Mixed,
}

/// The number of mixed requests after which they repeat: a power of two.
const MIXED: u16 = 2048;

impl Shapes {
    /// Returns the shape of the request with this number.
    #[must_use]
    pub const fn of(self, number: u16) -> Shape {
        match self {
            Self::All(shape) => shape,
            Self::Mixed => match shuffled(number) as u32 * 10 / MIXED as u32 {
                0..7 => Shape::ONE,
                7..9 => Shape::THREE,
                _ => Shape::THREE_INDIRECT,
            },
        }
    }

    /// Returns whether any request has an indirect table.
    #[must_use]
    pub const fn uses_tables(self) -> bool {
        match self {
            Self::All(shape) => shape.is_indirect(),
            Self::Mixed => true,
        }
    }

    /// Returns the number of bursts of [`BURST`] after which the order of the shapes repeats.
    #[must_use]
    pub const fn bursts(self) -> u16 {
        match self {
            Self::All(_) => 1,
            Self::Mixed => MIXED / BURST,
        }
    }
}

/// Returns the position of a number in a shuffled deck of [`MIXED`]. Each step is a bijection, so
/// the shares are exact.
const fn shuffled(number: u16) -> u16 {
    let mut word = (number % MIXED).wrapping_mul(1597).wrapping_add(715) % MIXED;
    word = (word ^ (word >> 5)).wrapping_mul(1213) % MIXED;
    word = (word ^ (word >> 6)).wrapping_mul(853) % MIXED;
    word ^ (word >> 5)
}

impl fmt::Display for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(shape) => shape.fmt(f),
            Self::Mixed => f.write_str("mixed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_requests_have_the_shares_that_are_claimed() {
        let share = |shape| (0..MIXED).filter(|&number| Shapes::Mixed.of(number) == shape).count();
        let shares = [Shape::ONE, Shape::THREE, Shape::THREE_INDIRECT].map(share);
        assert_eq!(shares, [1434, 410, 204], "70, 20 and 10 % of {MIXED}");
    }
}
