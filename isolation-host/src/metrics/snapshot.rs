//! The state of the process at one time.

use std::sync::Arc;

use crate::device_type::DeviceType;
use crate::forward::QueueCounters;

/// The connection to the VMM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VmmState {
    /// No VMM is connected.
    Absent,
    /// A VMM is connected.
    Connected,
    /// The VMM has gone, and its requests in flight are being finished.
    Leaving,
}

impl VmmState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Connected => "connected",
            Self::Leaving => "leaving",
        }
    }
}

/// The connection to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceState {
    /// There is no connection.
    Absent,
    /// The device is connected, and has not completed the handshake yet.
    Handshake,
    /// The device has completed the handshake.
    Connected,
}

impl DeviceState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Handshake => "handshake",
            Self::Connected => "connected",
        }
    }
}

/// How often peers came and went since the process started.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    /// The VMMs that have connected.
    pub(crate) vmm_connections: u64,
    /// The devices that have completed the handshake.
    pub(crate) device_connections: u64,
    /// The devices that were lost after the handshake.
    pub(crate) device_losses: u64,
    /// The devices that were rejected in the handshake.
    pub(crate) device_rejections: u64,
}

/// The state of the process.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) device_type: DeviceType,
    pub(crate) vmm: VmmState,
    pub(crate) device: DeviceState,
    pub(crate) totals: Totals,
    /// The size of the isolated area in bytes.
    pub(crate) area_size: u64,
    pub(crate) queues: Vec<QueueState>,
}

/// The state of a queue.
#[derive(Debug)]
pub(crate) struct QueueState {
    /// Whether the VMM has started the queue.
    pub(crate) started: bool,
    /// Whether the VMM has enabled the queue.
    pub(crate) enabled: bool,
    /// The size of the guest's ring.
    pub(crate) size: u16,
    pub(crate) counters: Arc<QueueCounters>,
}

#[cfg(test)]
impl Snapshot {
    /// Returns the state of a disk with one busy and one idle queue.
    pub(super) fn example() -> Self {
        let counters = QueueCounters::default();
        for (number, counter) in (1..).zip([
            &counters.requests,
            &counters.to_device,
            &counters.to_guest,
            &counters.kicks_in,
            &counters.kicks_out,
            &counters.calls_in,
            &counters.calls_out,
            &counters.refused,
            &counters.violations,
            &counters.in_flight,
            &counters.area_used,
        ]) {
            counter.set(number);
        }
        let busy = QueueState { started: true, enabled: true, size: 256, counters: counters.into() };
        let idle = QueueState { started: false, enabled: false, size: 0, counters: Arc::default() };
        Self {
            device_type: DeviceType::Blk,
            vmm: VmmState::Connected,
            device: DeviceState::Absent,
            totals: Totals {
                vmm_connections: 2,
                device_connections: 3,
                device_losses: 4,
                device_rejections: 5,
            },
            area_size: 64 << 20,
            queues: vec![busy, idle],
        }
    }
}
