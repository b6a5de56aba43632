//! The state in one line, as systemd shows the status of a service.

use super::snapshot::{DeviceState, Snapshot, VmmState};

/// Returns the state in one line. The line changes only if a peer or a queue comes or goes.
pub(crate) fn summary(snapshot: &Snapshot) -> String {
    let device = match snapshot.device {
        DeviceState::Absent => "waiting for the device",
        DeviceState::Handshake => "negotiating with the device",
        DeviceState::Connected => "device connected",
    };
    let queues = snapshot.queues.iter().filter(|queue| queue.started).count();
    match snapshot.vmm {
        VmmState::Absent => format!("{device}, no VMM"),
        VmmState::Connected => format!("{device}, VMM connected, {queues} queues started"),
        VmmState::Leaving => format!("{device}, the VMM has gone and its requests are being finished"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_the_peers_has_a_line() {
        let mut snapshot = Snapshot::example();
        assert_eq!(summary(&snapshot), "waiting for the device, VMM connected, 1 queues started");
        (snapshot.device, snapshot.vmm) = (DeviceState::Handshake, VmmState::Absent);
        assert_eq!(summary(&snapshot), "negotiating with the device, no VMM");
        (snapshot.device, snapshot.vmm) = (DeviceState::Connected, VmmState::Leaving);
        let leaving = "device connected, the VMM has gone and its requests are being finished";
        assert_eq!(summary(&snapshot), leaving);
    }
}
