//! Errors of sinks and sources.

use gstreamer::{ParseError, glib};

use super::short_form::ShortFormError;

/// The error for a sink or a source that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AudioError {
    /// GStreamer cannot be initialised.
    #[error("cannot initialise GStreamer: {0}")]
    Init(glib::Error),
    /// A short form has no name.
    #[error(transparent)]
    ShortForm(#[from] ShortFormError),
    /// GStreamer cannot parse a description.
    #[error("'{description}' is not a {role}: {error}{}", hint(error))]
    Description {
        /// What the description is for: a sink or a source.
        role: &'static str,
        /// The description.
        description: String,
        /// The error of GStreamer.
        error: glib::Error,
    },
    /// A description lacks an element, or has an element that it must not have.
    #[error("'{description}' is not a {role}: {problem}")]
    Unsuitable {
        /// What the description is for: a sink or a source.
        role: &'static str,
        /// The description.
        description: String,
        /// The problem, and what to do.
        problem: &'static str,
    },
    /// The elements cannot be linked.
    #[error("cannot link the pipeline: {0}")]
    Link(glib::BoolError),
    /// The pipeline has failed.
    #[error("{0}")]
    Failed(String),
}

/// Elements of short forms, and what to install for them.
const PACKAGES: [(&str, &str); 3] = [
    ("\"pulse", "; install gstreamer1.0-pulseaudio, as Debian calls it"),
    ("\"pipewire", "; install gstreamer1.0-pipewire, as Debian calls it"),
    ("\"alsa", "; install gstreamer1.0-alsa, as Debian calls it"),
];

/// Returns what to do about a description that GStreamer cannot parse.
fn hint(error: &glib::Error) -> &'static str {
    if !error.matches(ParseError::NoSuchElement) {
        return "";
    }
    let package = PACKAGES.iter().find(|(element, _)| error.message().contains(element));
    package.map_or("; gst-inspect-1.0 lists the installed elements", |(_, hint)| hint)
}
