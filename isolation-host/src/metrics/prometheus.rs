//! The counters in Prometheus' text format, version 0.0.4.

use std::fmt::{self, Write};

use super::families::{Kind, PROCESS, QUEUE};
use super::snapshot::Snapshot;

/// Returns the counters, each family with its meaning.
pub(super) fn prometheus(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, snapshot);
    text
}

fn write(text: &mut String, snapshot: &Snapshot) -> fmt::Result {
    for family in &PROCESS {
        let name = head(text, "", family.name, family.kind, family.help)?;
        writeln!(text, "{name} {}", (family.value)(snapshot))?;
    }
    for family in &QUEUE {
        let name = head(text, "queue_", family.name, family.kind, family.help)?;
        for (index, queue) in snapshot.queues.iter().enumerate() {
            writeln!(text, "{name}{{queue=\"{index}\"}} {}", (family.counter)(&queue.counters).get())?;
        }
    }
    Ok(())
}

/// Writes the lines before the values of a family. Returns the name of the family.
fn head(text: &mut String, group: &str, name: &str, kind: Kind, help: &str) -> Result<String, fmt::Error> {
    // A counter's name ends with `_total`.
    let (suffix, kind) = match kind {
        Kind::Counter => ("_total", "counter"),
        Kind::Gauge => ("", "gauge"),
    };
    let name = format!("isolation_host_{group}{name}{suffix}");
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = r#"# HELP isolation_host_vmm_connected Whether a VMM is connected.
# TYPE isolation_host_vmm_connected gauge
isolation_host_vmm_connected 1
# HELP isolation_host_device_connected Whether a device is connected.
# TYPE isolation_host_device_connected gauge
isolation_host_device_connected 0
# HELP isolation_host_vmm_connections_total VMMs that have connected.
# TYPE isolation_host_vmm_connections_total counter
isolation_host_vmm_connections_total 2
# HELP isolation_host_device_connections_total Devices that have completed the handshake.
# TYPE isolation_host_device_connections_total counter
isolation_host_device_connections_total 3
# HELP isolation_host_device_losses_total Devices that were lost after the handshake.
# TYPE isolation_host_device_losses_total counter
isolation_host_device_losses_total 4
# HELP isolation_host_device_rejections_total Devices that were rejected in the handshake.
# TYPE isolation_host_device_rejections_total counter
isolation_host_device_rejections_total 5
# HELP isolation_host_area_bytes Size of the isolated area.
# TYPE isolation_host_area_bytes gauge
isolation_host_area_bytes 67108864
# HELP isolation_host_queue_requests_total Requests returned to the guest.
# TYPE isolation_host_queue_requests_total counter
isolation_host_queue_requests_total{queue="0"} 1
isolation_host_queue_requests_total{queue="1"} 0
# HELP isolation_host_queue_to_device_bytes_total Bytes copied from the guest to the device.
# TYPE isolation_host_queue_to_device_bytes_total counter
isolation_host_queue_to_device_bytes_total{queue="0"} 2
isolation_host_queue_to_device_bytes_total{queue="1"} 0
# HELP isolation_host_queue_to_guest_bytes_total Bytes copied from the device to the guest.
# TYPE isolation_host_queue_to_guest_bytes_total counter
isolation_host_queue_to_guest_bytes_total{queue="0"} 3
isolation_host_queue_to_guest_bytes_total{queue="1"} 0
# HELP isolation_host_queue_kicks_in_total Notifications from the guest.
# TYPE isolation_host_queue_kicks_in_total counter
isolation_host_queue_kicks_in_total{queue="0"} 4
isolation_host_queue_kicks_in_total{queue="1"} 0
# HELP isolation_host_queue_kicks_out_total Notifications to the device.
# TYPE isolation_host_queue_kicks_out_total counter
isolation_host_queue_kicks_out_total{queue="0"} 5
isolation_host_queue_kicks_out_total{queue="1"} 0
# HELP isolation_host_queue_calls_in_total Notifications from the device.
# TYPE isolation_host_queue_calls_in_total counter
isolation_host_queue_calls_in_total{queue="0"} 6
isolation_host_queue_calls_in_total{queue="1"} 0
# HELP isolation_host_queue_calls_out_total Notifications to the guest.
# TYPE isolation_host_queue_calls_out_total counter
isolation_host_queue_calls_out_total{queue="0"} 7
isolation_host_queue_calls_out_total{queue="1"} 0
# HELP isolation_host_queue_refused_total Requests that failed without the device.
# TYPE isolation_host_queue_refused_total counter
isolation_host_queue_refused_total{queue="0"} 8
isolation_host_queue_refused_total{queue="1"} 0
# HELP isolation_host_queue_violations_total Violations of ring rules by the guest or the device.
# TYPE isolation_host_queue_violations_total counter
isolation_host_queue_violations_total{queue="0"} 9
isolation_host_queue_violations_total{queue="1"} 0
# HELP isolation_host_queue_in_flight Requests that the guest has not got back.
# TYPE isolation_host_queue_in_flight gauge
isolation_host_queue_in_flight{queue="0"} 10
isolation_host_queue_in_flight{queue="1"} 0
# HELP isolation_host_queue_area_used_bytes Bytes of the isolated area in use.
# TYPE isolation_host_queue_area_used_bytes gauge
isolation_host_queue_area_used_bytes{queue="0"} 11
isolation_host_queue_area_used_bytes{queue="1"} 0
"#;

    #[test]
    fn each_family_has_its_meaning_and_a_value_for_each_queue() {
        assert_eq!(prometheus(&Snapshot::example()), EXPECTED);
    }
}
