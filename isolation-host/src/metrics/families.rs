//! The names and meanings of what is counted, for all formats.

use super::snapshot::{DeviceState, Snapshot, VmmState};
use crate::forward::{Counter, QueueCounters};

/// The kind of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number that only grows.
    Counter,
    /// A number that also falls.
    Gauge,
}

/// A number of the whole process.
pub(super) struct ProcessFamily {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) value: fn(&Snapshot) -> u64,
}

/// A number that each queue has.
pub(super) struct QueueFamily {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
    pub(super) counter: fn(&QueueCounters) -> &Counter,
}

const fn process(
    name: &'static str,
    kind: Kind,
    value: fn(&Snapshot) -> u64,
    help: &'static str,
) -> ProcessFamily {
    ProcessFamily { name, help, kind, value }
}

const fn queue(
    name: &'static str,
    kind: Kind,
    counter: fn(&QueueCounters) -> &Counter,
    help: &'static str,
) -> QueueFamily {
    QueueFamily { name, help, kind, counter }
}

pub(super) const PROCESS: [ProcessFamily; 7] = [
    process(
        "vmm_connected",
        Kind::Gauge,
        |s| (s.vmm == VmmState::Connected).into(),
        "Whether a VMM is connected.",
    ),
    process(
        "device_connected",
        Kind::Gauge,
        |s| (s.device == DeviceState::Connected).into(),
        "Whether a device is connected.",
    ),
    process("vmm_connections", Kind::Counter, |s| s.totals.vmm_connections, "VMMs that have connected."),
    process(
        "device_connections",
        Kind::Counter,
        |s| s.totals.device_connections,
        "Devices that have completed the handshake.",
    ),
    process(
        "device_losses",
        Kind::Counter,
        |s| s.totals.device_losses,
        "Devices that were lost after the handshake.",
    ),
    process(
        "device_rejections",
        Kind::Counter,
        |s| s.totals.device_rejections,
        "Devices that were rejected in the handshake.",
    ),
    process("area_bytes", Kind::Gauge, |s| s.area_size, "Size of the isolated area."),
];

pub(super) const QUEUE: [QueueFamily; 11] = [
    queue("requests", Kind::Counter, |c| &c.requests, "Requests returned to the guest."),
    queue("to_device_bytes", Kind::Counter, |c| &c.to_device, "Bytes copied from the guest to the device."),
    queue("to_guest_bytes", Kind::Counter, |c| &c.to_guest, "Bytes copied from the device to the guest."),
    queue("kicks_in", Kind::Counter, |c| &c.kicks_in, "Notifications from the guest."),
    queue("kicks_out", Kind::Counter, |c| &c.kicks_out, "Notifications to the device."),
    queue("calls_in", Kind::Counter, |c| &c.calls_in, "Notifications from the device."),
    queue("calls_out", Kind::Counter, |c| &c.calls_out, "Notifications to the guest."),
    queue("refused", Kind::Counter, |c| &c.refused, "Requests that failed without the device."),
    queue(
        "violations",
        Kind::Counter,
        |c| &c.violations,
        "Violations of ring rules by the guest or the device.",
    ),
    queue("in_flight", Kind::Gauge, |c| &c.in_flight, "Requests that the guest has not got back."),
    queue("area_used_bytes", Kind::Gauge, |c| &c.area_used, "Bytes of the isolated area in use."),
];
