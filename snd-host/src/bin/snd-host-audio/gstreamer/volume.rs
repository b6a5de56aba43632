//! The element of a pipeline that changes the volume.

use gstreamer as gst;
use gstreamer::prelude::*;

/// The name of the element.
const NAME: &str = "snd-host-volume";

/// Returns the part of a bin's description with the element.
///
/// Empty without a level, because the element does not support all formats that the other elements
/// pass unchanged.
pub(crate) const fn element(has_level: bool) -> &'static str {
    if has_level { "! volume name=snd-host-volume ! audioconvert" } else { "" }
}

/// Sets the volume to the level that the guest has chosen.
#[derive(Debug)]
pub(crate) struct Volume(Option<gst::Element>);

impl Volume {
    /// Finds the element in `bin`. Without an element the volume does not change.
    pub(crate) fn find(bin: &gst::Bin) -> Self {
        Self(bin.by_name(NAME))
    }

    /// Sets the factor of all samples.
    pub(crate) fn set(&self, gain: f64) {
        if let Some(element) = &self.0 {
            element.set_property("volume", gain);
        }
    }
}
