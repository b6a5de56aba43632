//! The operations of random tests.

/// One operation of one of the two ends of a queue.
///
/// A number that is too large is taken modulo the number of choices, so that every value is a valid
/// operation.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// The driver adds a buffer.
    Add {
        /// The number of readable segments.
        readable: u8,
        /// The number of writable segments.
        writable: u8,
        /// Whether the descriptors go into an indirect table.
        indirect: bool,
    },
    /// The driver publishes what it has added, and decides whether to notify.
    PublishAvailable,
    /// The driver publishes what it has added, and leaves the decision to the next publish.
    PublishAvailableSilently,
    /// The device takes the next chain.
    Pop {
        /// The number of segments that the device has room for.
        storage: u8,
    },
    /// The device completes a chain that it has taken.
    Complete {
        /// The chain, among those that can be completed.
        which: u8,
        /// The number of bytes written.
        written: u8,
    },
    /// The device gives back a chain that it has taken.
    Unpop {
        /// The chain, among those that can be completed.
        which: u8,
    },
    /// The device publishes what it has completed, and decides whether to notify.
    PublishUsed,
    /// The device publishes what it has completed, and leaves the decision to the next publish.
    PublishUsedSilently,
    /// The driver takes back the next used buffer.
    Reap,
    /// The driver asks for a notification.
    ArmDriver,
    /// The device asks for a notification.
    ArmDevice,
    /// The driver is suspended and resumed.
    SuspendDriver,
    /// The device is suspended and resumed.
    SuspendDevice {
        /// A vring base from an untrusted front-end. The device tries to resume there first.
        base: u32,
    },
    /// Another device takes over from a device that was stopped, at the vring base of the latter.
    MoveDevice,
    /// Another device takes over from a device that crashed.
    CrashDevice,
    /// Both ends are reset.
    Reset,
}
