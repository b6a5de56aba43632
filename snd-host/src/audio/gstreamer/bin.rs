//! Bins: the elements of a description, and the converters between them and the guest's audio.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::audio::error::AudioError;

/// The name of the converter at the end of a bin that is linked to the guest's side.
pub(super) const CONVERTER: &str = "snd-host-converter";

/// Parses `description` as a part of `bin`, the description of the whole bin.
///
/// The pad named `pad` of the [`CONVERTER`] becomes the pad of the bin. GStreamer's automatic
/// choice could be another pad: pads of other elements are not linked until their peers know the
/// format.
pub(super) fn parse(
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

pub(super) fn unsuitable(role: &'static str, description: &str, problem: &'static str) -> AudioError {
    AudioError::Unsuitable { role, description: description.to_owned(), problem }
}

/// Tunes the elements of a sink or a source. Elements that the user has described keep their
/// settings, except `enable-last-sample`.
pub(super) fn tune(bin: &gst::Bin, latency: Duration) {
    for element in bin.iterate_sinks().into_iter().flatten() {
        set_if_present(&element, "enable-last-sample", "false");
    }
    // A buffer of four parts, and a clock that is skewed rather than audio that is dropped.
    let properties = [
        ("buffer-time", latency.as_micros().to_string()),
        ("latency-time", (latency / 4).as_micros().to_string()),
        ("slave-method", "skew".into()),
        ("enable-last-sample", "false".into()),
    ];
    // The elements of the description are in the bin already. The signal is for elements that they
    // add later, as autoaudiosink does.
    bin.connect_deep_element_added(move |_, _, element| {
        for (name, value) in &properties {
            set_if_present(element, name, value);
        }
    });
}

fn set_if_present(element: &gst::Element, name: &str, value: &str) {
    if element.has_property(name) {
        element.set_property_from_str(name, value);
    }
}
