//! The structures that messages carry, in the machine's byte order.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A number that belongs to one queue: its size, its base, or whether it is enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VringState {
    /// The queue.
    pub index: u32,
    /// The number.
    pub num: u32,
}

const _: () = assert!(size_of::<VringState>() == 8);

/// Where the areas of one queue are, in the front-end's address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VringAddr {
    /// The queue.
    pub index: u32,
    /// Only [`VringAddr::LOG`] is defined.
    pub flags: u32,
    /// The descriptor area.
    pub descriptor: u64,
    /// The device area.
    pub device: u64,
    /// The driver area.
    pub driver: u64,
    /// Where the device area is in the log's terms: its guest address.
    pub log: u64,
}

const _: () = assert!(size_of::<VringAddr>() == 40);

/// A piece of the memory that front-end and back-end share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemoryRegion {
    /// Its address as the guest knows it.
    pub guest_address: u64,
    /// Its size in bytes, which need not be a multiple of a page.
    pub size: u64,
    /// Its address in the front-end's address space.
    pub user_address: u64,
    /// Where it begins in the file that comes with it.
    pub offset: u64,
}

const _: () = assert!(size_of::<MemoryRegion>() == 32);

/// What `SET_MEM_TABLE` begins with; as many regions follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MemoryTableHeader {
    /// The number of regions.
    pub count: u32,
    /// Unused.
    pub padding: u32,
}

const _: () = assert!(size_of::<MemoryTableHeader>() == 8);

/// One region, alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SingleRegion {
    /// Unused.
    pub padding: u64,
    /// The region.
    pub region: MemoryRegion,
}

const _: () = assert!(size_of::<SingleRegion>() == 40);

/// The log of dirty pages, in the file that comes with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LogArea {
    /// Its size in bytes.
    pub size: u64,
    /// Where it begins.
    pub offset: u64,
}

const _: () = assert!(size_of::<LogArea>() == 16);

/// What an access to the configuration space begins with; as many bytes follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ConfigHeader {
    /// The first byte.
    pub offset: u32,
    /// How many.
    pub size: u32,
    /// What kind of write it is.
    pub flags: u32,
}

const _: () = assert!(size_of::<ConfigHeader>() == 12);

/// The file of requests in flight that the front-end keeps for the back-end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Inflight {
    /// Its size in bytes. 0 if there is none.
    pub size: u64,
    /// Where it begins in the file that comes with it.
    pub offset: u64,
    /// The number of queues.
    pub queues: u16,
    /// Their size.
    pub queue_size: u16,
    /// Not in the specification, but in what every implementation sends.
    pub padding: u32,
}

const _: () = assert!(size_of::<Inflight>() == 24);

impl VringAddr {
    /// Writes to the device area are to be logged.
    pub const LOG: u32 = 1;
}

/// What `SET_VRING_KICK`, `SET_VRING_CALL` and `SET_VRING_ERR` carry: a queue, and whether a file descriptor
/// comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VringFd(pub u64);

impl VringFd {
    const INDEX: u64 = 0xff;
    const NO_FD: u64 = 1 << 8;

    /// The queue.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0 & Self::INDEX
    }

    /// Whether the peer says that there is no file descriptor.
    #[must_use]
    pub const fn has_no_fd(self) -> bool {
        self.0 & Self::NO_FD != 0
    }
}
