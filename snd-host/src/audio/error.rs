//! Errors of sinks and sources.

use gstreamer::{ParseError, glib};

/// The error for a sink or a source that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// GStreamer cannot be initialised.
    #[error("cannot initialise GStreamer: {0}")]
    Init(glib::Error),
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

/// Returns what to do about a description that GStreamer cannot parse.
fn hint(error: &glib::Error) -> &'static str {
    if error.matches(ParseError::NoSuchElement) {
        "; gst-inspect-1.0 lists the installed elements"
    } else {
        ""
    }
}
