//! Bins: the elements of a description, and the converters between them and the guest's audio.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use crate::error::AudioError;
use crate::pipeline_config::Label;

/// The name of the converter at the end of a bin that is linked to the guest's side.
pub(crate) const CONVERTER: &str = "snd-host-converter";

/// Parses `description` as a part of `bin`, the description of the whole bin.
///
/// The pad named `pad` of the [`CONVERTER`] becomes the pad of the bin. GStreamer's automatic
/// choice could be another pad: pads of other elements are not linked until their peers know the
/// format.
pub(crate) fn parse(
    role: &'static str,
    description: &str,
    bin: &str,
    pad: &str,
) -> Result<gst::Bin, AudioError> {
    let failed = |error| AudioError::Description { role, description: description.to_owned(), error };
    let bin = gst::parse::bin_from_description(bin, false).map_err(failed)?;
    let pad = bin.by_name(CONVERTER).and_then(|converter| converter.static_pad(pad));
    let pad = pad.ok_or_else(|| {
        unsuitable(role, description, "an element is named snd-host-converter; choose another name")
    })?;
    let ghost = gst::GhostPad::with_target(&pad).map_err(AudioError::Link)?;
    bin.add_pad(&ghost).map_err(AudioError::Link)?;
    Ok(bin)
}

pub(crate) fn unsuitable(role: &'static str, description: &str, problem: &'static str) -> AudioError {
    AudioError::Unsuitable { role, description: description.to_owned(), problem }
}

/// Tunes the elements of a sink or a source. Elements that the user has described keep their
/// settings, except `enable-last-sample`. Names that the user has not set are set to `label`.
pub(crate) fn tune(bin: &gst::Bin, latency: Duration, label: Option<&Label>) {
    for element in bin.iterate_recurse().into_iter().flatten() {
        set_if_present(&element, "enable-last-sample", "false");
        set_label(&element, label);
    }
    // A buffer of four parts, and a clock that is skewed rather than audio that is dropped.
    let properties = [
        ("buffer-time", latency.as_micros().to_string()),
        ("latency-time", (latency / 4).as_micros().to_string()),
        ("slave-method", "skew".into()),
        ("enable-last-sample", "false".into()),
    ];
    let label = label.cloned();
    // The elements of the description are in the bin already. The signal is for elements that they
    // add later, as autoaudiosink does.
    bin.connect_deep_element_added(move |_, _, element| {
        for (name, value) in &properties {
            set_if_present(element, name, value);
        }
        set_label(element, label.as_ref());
    });
}

fn set_if_present(element: &gst::Element, name: &str, value: &str) {
    if element.has_property(name) {
        element.set_property_from_str(name, value);
    }
}

/// Sets the names by which a sound server shows an element's stream: `client-name` for PulseAudio,
/// PipeWire and JACK, and `stream-properties` for PulseAudio and PipeWire.
fn set_label(element: &gst::Element, label: Option<&Label>) {
    let Some(Label { machine, stream }) = label else { return };
    let text = |value: &glib::Value| value.get::<Option<String>>().ok();
    let is_default = |client: &glib::ParamSpec| {
        text(&element.property_value("client-name")) == text(client.default_value())
    };
    if element.find_property("client-name").as_ref().is_some_and(is_default) {
        element.set_property("client-name", machine);
    }
    if element.has_property_with_type("stream-properties", gst::Structure::static_type()) {
        let described = element.property::<Option<gst::Structure>>("stream-properties");
        let mut properties = described.unwrap_or_else(|| gst::Structure::new_empty("props"));
        for (name, value) in [("application.name", machine), ("media.name", stream)] {
            if !properties.has_field(name) {
                properties.set(name, value);
            }
        }
        element.set_property("stream-properties", properties);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(description: &str) -> (Option<String>, String) {
        gst::init().unwrap();
        let bin = gst::parse::bin_from_description(description, false).unwrap();
        let label = Label { machine: "web server".into(), stream: "stream 0".into() };
        tune(&bin, Duration::from_millis(40), Some(&label));
        let element = bin.iterate_elements().into_iter().flatten().next().unwrap();
        let properties = element
            .has_property("stream-properties")
            .then(|| element.property::<Option<gst::Structure>>("stream-properties").unwrap().to_string());
        (element.property("client-name"), properties.unwrap_or_default())
    }

    #[test]
    fn sound_servers_show_a_stream_by_the_names_of_machine_and_stream() {
        for description in ["pulsesink", "pulsesrc"] {
            let (client, properties) = names(description);
            assert_eq!(client.as_deref(), Some("web server"));
            for name in ["application.name=(string)\"web\\ server\"", "media.name=(string)\"stream\\ 0\""] {
                assert!(properties.contains(name), "{description}: {properties}");
            }
        }
    }

    #[test]
    fn names_that_the_user_has_described_are_kept() {
        let (client, properties) =
            names("pulsesink client-name=mine stream-properties=props,media.name=music");
        assert_eq!(client.as_deref(), Some("mine"));
        assert!(properties.contains("music") && !properties.contains("stream"), "{properties}");
    }
}
