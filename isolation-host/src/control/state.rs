//! What an operator sees of the control plane.

use std::sync::Arc;

use super::Control;
use super::device::Device;
use super::vmm_session::Vmm;
use crate::metrics::{DeviceState, QueueState, Snapshot, VmmState};

impl Control {
    /// Returns what an operator sees. Takes no lock of a queue.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let queues = self.queues.iter().map(|queue| QueueState {
            started: queue.kick.is_some(),
            enabled: queue.enabled,
            size: queue.size,
            counters: Arc::clone(&queue.counters),
        });
        Snapshot {
            device_type: self.options.device_type,
            vmm: match self.vmm {
                Vmm::Absent => VmmState::Absent,
                Vmm::Present(_) => VmmState::Connected,
                Vmm::Leaving { .. } => VmmState::Leaving,
            },
            device: match self.device {
                Device::Absent | Device::Connecting => DeviceState::Absent,
                Device::Meeting(_) => DeviceState::Handshake,
                Device::Present(_) => DeviceState::Connected,
            },
            totals: self.totals,
            area_size: self.options.area_size,
            queues: queues.collect(),
        }
    }

    /// Logs whether the peers are connected, and what each started queue has done.
    pub(crate) fn log_statistics(&self) {
        let state = |connected| if connected { "connected" } else { "absent" };
        let (vmm, device) = (state(self.vmm.session().is_some()), state(self.has_device()));
        tracing::info!("VMM {vmm}, device {device}");
        for (index, queue) in self.queues.iter().enumerate() {
            if let Some(forwarded) = &queue.lock().queue {
                let (used, all) = forwarded.used_of_share();
                let in_flight = forwarded.in_flight();
                tracing::info!(
                    "queue {index}: {}; {in_flight} in flight, {used} of {all} bytes of the area in use",
                    forwarded.counters
                );
            }
        }
    }
}
