//! The sinks and sources of the host.

use gstreamer as gst;
use gstreamer::prelude::*;
use tracing::debug;

use crate::error::AudioError;
use crate::short_form::{Role, ShortForm};

/// A sink or a source of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostDevice {
    pub(crate) role: Role,
    /// The value of `--sink` or `--source`.
    pub(crate) option: String,
    /// The name that the sound system shows.
    pub(crate) name: String,
    /// Whether the sound system uses the device by default.
    pub(crate) default: bool,
}

/// Lists the sinks and sources that GStreamer's device providers find.
pub(crate) fn list() -> Result<Vec<HostDevice>, AudioError> {
    gst::init().map_err(AudioError::Init)?;
    let monitor = gst::DeviceMonitor::new();
    for class in ["Audio/Sink", "Audio/Source"] {
        // Without an identifier the filter cannot be removed, which is not needed.
        let _ = monitor.add_filter(Some(class), None);
    }
    if let Err(error) = monitor.start() {
        // No provider could start, for example because no sound server runs.
        debug!("cannot look for devices: {error}");
        return Ok(Vec::new());
    }
    let devices = monitor.devices().iter().filter_map(describe).collect();
    // PipeWire 0.3.65 corrupts memory when its provider stops. The process ends soon.
    std::mem::forget(monitor);
    Ok(devices)
}

/// Describes a device; `None` if GStreamer cannot create its element.
fn describe(device: &gst::Device) -> Option<HostDevice> {
    let role = if device.device_class().contains("Source") { Role::Source } else { Role::Sink };
    let element = device.create_element(None).ok()?;
    let factory = element.factory()?.name().to_string();
    let named = |property: &'static str| element.property::<Option<String>>(property);
    let properties = device.properties();
    // PipeWire's element has a number, which is another one after PipeWire has been restarted.
    let node = properties.as_ref().and_then(|all| all.get::<String>("node.name").ok());
    let device_name = node.or_else(|| ShortForm::device_property(&factory, role).and_then(named));
    let form = ShortForm::of_element(&factory, role, device_name);
    let default = properties.and_then(|all| all.get::<bool>("is-default").ok());
    Some(HostDevice {
        role,
        option: form.map_or(factory, |form| form.to_string()),
        name: device.display_name().to_string(),
        default: default.unwrap_or_default(),
    })
}
