//! Feature bits that matter between the two sides, beyond those of the rings.

/// Device type bits: what a device means by them is between it and the driver.
pub const DEVICE_TYPE: u64 = 0x00ff_ffff | 0xfffc_0000_0000_0000;
/// All writes to guest memory are logged (`VHOST_F_LOG_ALL`).
pub const LOG_ALL: u64 = 1 << 26;
/// Any layout of descriptors is fine (`VIRTIO_F_ANY_LAYOUT`), implied by version 1.
pub const ANY_LAYOUT: u64 = 1 << 27;
/// Protocol features are negotiated, too (`VHOST_USER_F_PROTOCOL_FEATURES`).
pub const PROTOCOL_FEATURES: u64 = 1 << 30;

/// Protocol features, by bit.
pub mod protocol {
    /// The back-end says how many queues it has (`VHOST_USER_PROTOCOL_F_MQ`).
    pub const MQ: u64 = 1 << 0;
    /// The log of dirty pages is a file (`LOG_SHMFD`).
    pub const LOG_SHMFD: u64 = 1 << 1;
    /// The network device announces itself after a migration (`RARP`).
    pub const RARP: u64 = 1 << 2;
    /// Requests are acknowledged where the front-end asks (`REPLY_ACK`).
    pub const REPLY_ACK: u64 = 1 << 3;
    /// The front-end says the network's MTU (`NET_MTU`).
    pub const NET_MTU: u64 = 1 << 4;
    /// The back-end has a channel for its own requests (`BACKEND_REQ`).
    pub const BACKEND_REQ: u64 = 1 << 5;
    /// Sessions of a crypto device (`CRYPTO_SESSION`).
    pub const CRYPTO_SESSION: u64 = 1 << 7;
    /// The configuration space (`CONFIG`).
    pub const CONFIG: u64 = 1 << 9;
    /// Requests in flight are noted in shared memory (`INFLIGHT_SHMFD`).
    pub const INFLIGHT_SHMFD: u64 = 1 << 12;
    /// The device can be reset (`RESET_DEVICE`).
    pub const RESET_DEVICE: u64 = 1 << 13;
    /// Memory regions come and go one by one (`CONFIGURE_MEM_SLOTS`).
    pub const CONFIGURE_MEM_SLOTS: u64 = 1 << 15;
    /// The device status (`STATUS`).
    pub const STATUS: u64 = 1 << 16;
    /// The device's state can be moved (`DEVICE_STATE`).
    pub const DEVICE_STATE: u64 = 1 << 19;
}
