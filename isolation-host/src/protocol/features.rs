//! Feature bits of vhost-user and of devices. The feature bits of rings are in ring-core.

/// The bits whose meaning depends on the device type.
pub const DEVICE_TYPE: u64 = 0x00ff_ffff | 0xfffc_0000_0000_0000;
/// The back-end logs all writes to guest memory (`VHOST_F_LOG_ALL`).
pub const LOG_ALL: u64 = 1 << 26;
/// Descriptors may be laid out in any way (`VIRTIO_F_ANY_LAYOUT`). Implied by version 1.
pub const ANY_LAYOUT: u64 = 1 << 27;
/// Protocol features can be negotiated (`VHOST_USER_F_PROTOCOL_FEATURES`).
pub const PROTOCOL_FEATURES: u64 = 1 << 30;

/// Protocol features, by bit.
pub mod protocol {
    /// The back-end reports the number of its queues (`VHOST_USER_PROTOCOL_F_MQ`).
    pub const MQ: u64 = 1 << 0;
    /// The dirty log is a file (`LOG_SHMFD`).
    pub const LOG_SHMFD: u64 = 1 << 1;
    /// The network device announces itself after a migration (`RARP`).
    pub const RARP: u64 = 1 << 2;
    /// The back-end acknowledges requests on demand (`REPLY_ACK`).
    pub const REPLY_ACK: u64 = 1 << 3;
    /// The front-end sets the MTU of the network (`NET_MTU`).
    pub const NET_MTU: u64 = 1 << 4;
    /// The back-end has a channel for requests of its own (`BACKEND_REQ`).
    pub const BACKEND_REQ: u64 = 1 << 5;
    /// The front-end manages the sessions of a crypto device (`CRYPTO_SESSION`).
    pub const CRYPTO_SESSION: u64 = 1 << 7;
    /// The back-end has the configuration space (`CONFIG`).
    pub const CONFIG: u64 = 1 << 9;
    /// The back-end records requests in flight in a file of the front-end (`INFLIGHT_SHMFD`).
    pub const INFLIGHT_SHMFD: u64 = 1 << 12;
    /// The front-end can reset the device (`RESET_DEVICE`).
    pub const RESET_DEVICE: u64 = 1 << 13;
    /// The front-end adds and removes single memory regions (`CONFIGURE_MEM_SLOTS`).
    pub const CONFIGURE_MEM_SLOTS: u64 = 1 << 15;
    /// The front-end reads and writes the device status (`STATUS`).
    pub const STATUS: u64 = 1 << 16;
    /// The front-end can migrate the device's state (`DEVICE_STATE`).
    pub const DEVICE_STATE: u64 = 1 << 19;
}
