//! The structures that messages carry, in native byte order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A number that concerns one queue: its size, its base, or whether it is enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VringState {
    /// The queue's index.
    pub index: u32,
    /// The number.
    pub num: u32,
}

const _: () = assert!(size_of::<VringState>() == 8);

/// The addresses of one queue's areas, in the front-end's address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VringAddr {
    /// The queue's index.
    pub index: u32,
    /// [`VringAddr::LOG`] is the only flag.
    pub flags: u32,
    /// The address of the descriptor area.
    pub descriptor: u64,
    /// The address of the device area.
    pub device: u64,
    /// The address of the driver area.
    pub driver: u64,
    /// The guest address of the device area, for the dirty log.
    pub log: u64,
}

const _: () = assert!(size_of::<VringAddr>() == 40);

/// A memory region that the front-end shares with the back-end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemoryRegion {
    /// The guest address.
    pub guest_address: u64,
    /// The size in bytes, not necessarily a multiple of the page size.
    pub size: u64,
    /// The address in the front-end's address space.
    pub user_address: u64,
    /// The offset in the file that is sent with the message.
    pub offset: u64,
}

const _: () = assert!(size_of::<MemoryRegion>() == 32);

/// The beginning of `SET_MEM_TABLE`, which is followed by `count` regions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemoryTableHeader {
    /// The number of regions.
    pub count: u32,
    /// Unused.
    pub padding: u32,
}

const _: () = assert!(size_of::<MemoryTableHeader>() == 8);

/// A single memory region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SingleRegion {
    /// Unused.
    pub padding: u64,
    /// The region.
    pub region: MemoryRegion,
}

const _: () = assert!(size_of::<SingleRegion>() == 40);

/// The dirty log, in the file that is sent with the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LogArea {
    /// The size in bytes.
    pub size: u64,
    /// The offset in the file.
    pub offset: u64,
}

const _: () = assert!(size_of::<LogArea>() == 16);

/// The beginning of an access to the configuration space, which is followed by `size` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ConfigHeader {
    /// The offset of the first byte.
    pub offset: u32,
    /// The number of bytes.
    pub size: u32,
    /// The kind of write.
    pub flags: u32,
}

const _: () = assert!(size_of::<ConfigHeader>() == 12);

/// The in-flight region, a file that the front-end keeps for the back-end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Inflight {
    /// The size in bytes; 0 if there is no region.
    pub size: u64,
    /// The offset in the file that is sent with the message.
    pub offset: u64,
    /// The number of queues.
    pub queues: u16,
    /// The size of each queue.
    pub queue_size: u16,
    /// Padding, which QEMU and others send although the specification does not have it.
    pub padding: u32,
}

const _: () = assert!(size_of::<Inflight>() == 24);

impl VringAddr {
    /// Log writes to the device area.
    pub const LOG: u32 = 1;
}

/// The payload of `SET_VRING_KICK`, `SET_VRING_CALL` and `SET_VRING_ERR`.
///
/// It has the index of a queue, and whether a file descriptor is sent with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VringFd(pub u64);

impl VringFd {
    const INDEX: u64 = 0xff;
    const NO_FD: u64 = 1 << 8;

    /// The queue's index.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0 & Self::INDEX
    }

    /// Returns whether the message has no file descriptor.
    #[must_use]
    pub const fn has_no_fd(self) -> bool {
        self.0 & Self::NO_FD != 0
    }
}
