//! The feature bits that change how a queue works.

use bitflags::bitflags;

bitflags! {
    /// Feature bits that the rings know, at the positions of VIRTIO 1.4, 6 "Reserved Feature Bits".
    ///
    /// A queue is set up with the negotiated features. Device-specific bits, and bits that do not
    /// concern the rings, may be set; the rings ignore them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u64 {
        /// A descriptor may refer to a table of descriptors (`VIRTIO_F_INDIRECT_DESC`).
        const INDIRECT_DESC = 1 << 28;
        /// Notifications are requested for a position, not only by a flag (`VIRTIO_F_EVENT_IDX`).
        const EVENT_IDX = 1 << 29;
        /// The device complies with VIRTIO 1.0 or later (`VIRTIO_F_VERSION_1`). The rings assume
        /// that it does.
        const VERSION_1 = 1 << 32;
        /// Addresses in descriptors are subject to the platform's translation
        /// (`VIRTIO_F_ACCESS_PLATFORM`). The rings pass addresses on unchanged.
        const ACCESS_PLATFORM = 1 << 33;
        /// The queue is packed, not split (`VIRTIO_F_RING_PACKED`).
        const RING_PACKED = 1 << 34;
        /// The device returns buffers in the order in which they were made available
        /// (`VIRTIO_F_IN_ORDER`).
        const IN_ORDER = 1 << 35;
        /// Memory accesses have to be ordered for real hardware (`VIRTIO_F_ORDER_PLATFORM`). The
        /// rings ignore this bit: the caller that sets up the queue chooses the
        /// [`Barriers`](crate::memory::Barriers) of its memory.
        const ORDER_PLATFORM = 1 << 36;
        /// A notification says how far the driver has progressed (`VIRTIO_F_NOTIFICATION_DATA`).
        const NOTIFICATION_DATA = 1 << 38;
        /// A notification names the queue by a number that the device chose
        /// (`VIRTIO_F_NOTIF_CONFIG_DATA`).
        const NOTIF_CONFIG_DATA = 1 << 39;
        /// A single queue can be reset (`VIRTIO_F_RING_RESET`).
        const RING_RESET = 1 << 40;

        /// All other bits are retained.
        const _ = !0;
    }
}
