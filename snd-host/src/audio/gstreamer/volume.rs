//! The element of a pipeline that changes the volume.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::audio::level::Level;

/// The name of the element.
const NAME: &str = "snd-host-volume";

/// Returns the part of a bin's description with the element.
///
/// Empty without a level, because the element does not support all formats that the other elements
/// pass unchanged.
pub(super) const fn element(level: Option<&Arc<Level>>) -> &'static str {
    if level.is_some() { "! volume name=snd-host-volume ! audioconvert" } else { "" }
}

/// Sets the volume to the level that the guest has chosen.
#[derive(Debug)]
pub(super) struct Volume(Option<(gst::Element, Arc<Level>)>);

impl Volume {
    /// Finds the element in `bin`. Without an element the volume does not change.
    pub(super) fn find(bin: &gst::Bin, level: Option<&Arc<Level>>) -> Self {
        Self(bin.by_name(NAME).zip(level.cloned()))
    }

    pub(super) fn update(&self) {
        if let Some((element, level)) = &self.0 {
            element.set_property("volume", level.gain());
        }
    }
}
