//! The state as one JSON object.

use serde_json::{Map, Value, json};

use super::families::{PROCESS, QUEUE};
use super::snapshot::{QueueState, Snapshot};

/// Returns a JSON object, with a line feed at its end.
pub(super) fn json(snapshot: &Snapshot) -> String {
    let mut object = Map::new();
    object.insert("device".to_owned(), snapshot.device.name().into());
    object.insert("device_type".to_owned(), snapshot.device_type.name().into());
    object.insert("vmm".to_owned(), snapshot.vmm.name().into());
    object.insert(
        "queues".to_owned(),
        (0..).zip(&snapshot.queues).map(|(index, queue)| of(index, queue)).collect(),
    );
    object.extend(PROCESS.iter().map(|family| (family.name.to_owned(), (family.value)(snapshot).into())));
    format!("{:#}\n", Value::Object(object))
}

fn of(index: u16, queue: &QueueState) -> Value {
    let mut value = json!({
        "index": index,
        "started": queue.started,
        "enabled": queue.enabled,
        "size": queue.size,
    });
    for family in &QUEUE {
        value[family.name] = (family.counter)(&queue.counters).get().into();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = r#"{
  "area_bytes": 67108864,
  "device": "absent",
  "device_connected": 0,
  "device_connections": 3,
  "device_losses": 4,
  "device_rejections": 5,
  "device_type": "blk",
  "queues": [
    {
      "area_used_bytes": 11,
      "calls_in": 6,
      "calls_out": 7,
      "enabled": true,
      "in_flight": 10,
      "index": 0,
      "kicks_in": 4,
      "kicks_out": 5,
      "refused": 8,
      "requests": 1,
      "size": 256,
      "started": true,
      "to_device_bytes": 2,
      "to_guest_bytes": 3,
      "violations": 9
    },
    {
      "area_used_bytes": 0,
      "calls_in": 0,
      "calls_out": 0,
      "enabled": false,
      "in_flight": 0,
      "index": 1,
      "kicks_in": 0,
      "kicks_out": 0,
      "refused": 0,
      "requests": 0,
      "size": 0,
      "started": false,
      "to_device_bytes": 0,
      "to_guest_bytes": 0,
      "violations": 0
    }
  ],
  "vmm": "connected",
  "vmm_connected": 1,
  "vmm_connections": 2
}
"#;

    #[test]
    fn the_whole_state_is_one_object() {
        assert_eq!(json(&Snapshot::example()), EXPECTED);
    }
}
