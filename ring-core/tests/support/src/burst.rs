//! The bursts of random tests.

/// Up to four calls that one end makes in one burst.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, Debug)]
pub enum Burst {
    /// A burst at the driver end.
    Driver {
        /// The calls.
        calls: [Option<DriverCall>; 4],
        /// How the burst ends.
        end: BurstEnd,
    },
    /// A burst at the device end.
    Device {
        /// The calls.
        calls: [Option<DeviceCall>; 4],
        /// How the burst ends.
        end: BurstEnd,
    },
}

/// How a burst ends.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, Debug)]
pub enum BurstEnd {
    /// All staged buffers are published.
    Publish,
    /// All staged buffers are published, and the next publish decides whether to notify.
    PublishSilently,
    /// The burst is dropped: staged buffers stay staged.
    Drop,
}

/// A call of a burst at the driver end.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, Debug)]
pub enum DriverCall {
    /// The driver adds a buffer.
    Add {
        /// The number of readable segments, taken modulo 4.
        readable: u8,
        /// The number of writable segments, taken modulo 4.
        writable: u8,
        /// Whether the descriptors go into an indirect table.
        indirect: bool,
    },
    /// The driver takes back the next used buffer.
    Reap,
}

/// A call of a burst at the device end.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, Debug)]
pub enum DeviceCall {
    /// The device takes the next chain.
    Pop {
        /// The number of segments that the device has room for, taken modulo 13.
        storage: u8,
    },
    /// The device completes a chain that it has taken.
    Complete {
        /// The chain, among those that can be completed.
        which: u8,
        /// The number of bytes written.
        written: u8,
    },
    /// The device takes chains and completes each chain before it takes the next one.
    Serve {
        /// The number of segments that the device has room for, taken modulo 13.
        storage: u8,
        /// The largest number of chains, taken modulo 9.
        limit: u8,
        /// The number of bytes written to each chain, which may be larger than the number of
        /// writable bytes.
        written: u8,
    },
}

impl DriverCall {
    /// The largest number of segments of each kind that a buffer has.
    pub(crate) const MOST_SEGMENTS: u8 = 3;
}

impl Burst {
    /// The largest number of segments that the device has room for.
    pub(crate) const MOST_STORAGE: u8 = 12;
}

impl DeviceCall {
    /// Returns the largest number of chains that the call looks at.
    pub(crate) fn chains(self) -> usize {
        match self {
            Self::Pop { .. } | Self::Complete { .. } => 1,
            Self::Serve { limit, .. } => usize::from(limit % 9) + 1,
        }
    }
}
