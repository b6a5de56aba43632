//! Short forms of the descriptions of sinks and sources, such as `pulse:headphones`.

use std::fmt;
use std::time::Duration;

/// A sink or a source as the command line names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShortForm {
    /// The element that GStreamer selects.
    Auto,
    /// A sound system, and one of its devices instead of the default device.
    Device(System, Option<String>),
    /// A file, which is a WAV file if it is written.
    File(String),
    /// No short form, but a description.
    Description(String),
}

/// A sound system with short forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    Pulse,
    PipeWire,
    Alsa,
}

/// The direction of the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Sink,
    Source,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sink => "sink",
            Self::Source => "source",
        })
    }
}

/// The error for a short form whose name or path is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' names nothing after the colon; use {usage}")]
pub(crate) struct ShortFormError {
    /// What the command line says.
    given: String,
    /// The form that it has to have.
    usage: &'static str,
}

impl System {
    /// All sound systems, each with its name and the text that shows its short forms.
    const ALL: [(Self, &str, &str); 3] = [
        (Self::Pulse, "pulse", "pulse or pulse:NAME"),
        (Self::PipeWire, "pipewire", "pipewire or pipewire:NAME"),
        (Self::Alsa, "alsa", "alsa or alsa:DEVICE"),
    ];

    /// Returns the element of a sound system.
    const fn element(self, role: Role) -> &'static str {
        match (self, role) {
            (Self::Pulse, Role::Sink) => "pulsesink",
            (Self::Pulse, Role::Source) => "pulsesrc",
            (Self::PipeWire, Role::Sink) => "pipewiresink",
            (Self::PipeWire, Role::Source) => "pipewiresrc",
            (Self::Alsa, Role::Sink) => "alsasink",
            (Self::Alsa, Role::Source) => "alsasrc",
        }
    }

    /// Returns the property that names a device.
    const fn property(self) -> &'static str {
        match self {
            Self::Pulse | Self::Alsa => "device",
            Self::PipeWire => "target-object",
        }
    }
}

impl ShortForm {
    /// Parses the value of `--sink` or `--source`. Text that is no short form is a description.
    pub(crate) fn parse(text: &str) -> Result<Self, ShortFormError> {
        let trimmed = text.trim();
        let missing = |usage| ShortFormError { given: text.to_owned(), usage };
        if trimmed == "auto" {
            return Ok(Self::Auto);
        }
        for (system, name, usage) in System::ALL {
            let (found, device) = trimmed.split_once(':').map_or((trimmed, None), |(a, b)| (a, Some(b)));
            match device {
                _ if found != name => {}
                Some("") => return Err(missing(usage)),
                _ => return Ok(Self::Device(system, device.map(str::to_owned))),
            }
        }
        match trimmed.strip_prefix("file:") {
            Some("") => Err(missing("file:PATH")),
            // GStreamer takes a URI for an element.
            Some(path) if !path.starts_with("//") => Ok(Self::File(path.to_owned())),
            Some(_) | None => Ok(Self::Description(text.to_owned())),
        }
    }

    /// Returns the short form of what an element does, if there is one.
    pub(crate) fn of_element(element: &str, role: Role, device: Option<String>) -> Option<Self> {
        let system = System::ALL.into_iter().find(|(system, ..)| system.element(role) == element);
        system.map(|(system, ..)| Self::Device(system, device))
    }

    /// Returns the property of an element that names a device.
    pub(crate) fn device_property(element: &str, role: Role) -> Option<&'static str> {
        let system = System::ALL.into_iter().find(|(system, ..)| system.element(role) == element);
        system.map(|(system, ..)| system.property())
    }

    /// Returns the description for GStreamer, with buffers for `latency`.
    pub(crate) fn description(&self, role: Role, latency: Duration) -> String {
        match (self, role) {
            (Self::Auto, Role::Sink) => "autoaudiosink".to_owned(),
            (Self::Auto, Role::Source) => "autoaudiosrc".to_owned(),
            (Self::Device(system, device), _) => {
                let named = |device: &String| format!(" {}={}", system.property(), quote(device));
                let device = device.as_ref().map(named).unwrap_or_default();
                format!("{}{device} {}", system.element(role), buffers(*system, latency))
            }
            (Self::File(path), Role::Sink) => format!("wavenc ! filesink location={}", quote(path)),
            (Self::File(path), Role::Source) => format!("filesrc location={} ! decodebin", quote(path)),
            (Self::Description(description), _) => description.clone(),
        }
    }
}

impl fmt::Display for ShortForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Device(system, device) => {
                let name = System::ALL.into_iter().find(|(other, ..)| other == system);
                f.write_str(name.map_or("", |(_, name, _)| name))?;
                device.as_ref().map_or(Ok(()), |device| write!(f, ":{device}"))
            }
            Self::File(path) => write!(f, "file:{path}"),
            Self::Description(description) => f.write_str(description),
        }
    }
}

/// Returns the properties of an element whose buffer is as long as `latency`, in four parts.
fn buffers(system: System, latency: Duration) -> String {
    let part = latency / 4;
    match system {
        System::Pulse | System::Alsa => {
            format!("buffer-time={} latency-time={}", latency.as_micros(), part.as_micros())
        }
        // PipeWire has one buffer, whose length is a fraction of a second.
        System::PipeWire => format!("stream-properties=props,node.latency={}/1000", part.as_millis().max(1)),
    }
}

/// Quotes a value for GStreamer's parser.
///
/// The parser takes off the quotes, and the property then reads the value. The property takes off
/// quotes of its own from a value that begins with one, so such a value gets them, too.
fn quote(text: &str) -> String {
    let value = if text.starts_with('"') {
        let bytes: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
        format!("\"{bytes}\"")
    } else {
        text.to_owned()
    };
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use gstreamer as gst;
    use gstreamer::prelude::*;
    use proptest::prelude::*;

    use super::*;

    const LATENCY: Duration = Duration::from_millis(40);

    fn sink(text: &str) -> String {
        ShortForm::parse(text).unwrap().description(Role::Sink, LATENCY)
    }

    fn source(text: &str) -> String {
        ShortForm::parse(text).unwrap().description(Role::Source, LATENCY)
    }

    #[test]
    fn a_short_form_becomes_a_description_with_buffers() {
        let buffers = "buffer-time=40000 latency-time=10000";
        assert_eq!(sink("auto"), "autoaudiosink");
        assert_eq!(source("auto"), "autoaudiosrc");
        assert_eq!(sink("pulse"), format!("pulsesink {buffers}"));
        assert_eq!(sink("pulse:my phones"), format!("pulsesink device=\"my phones\" {buffers}"));
        assert_eq!(source("alsa:hw:1,0"), format!("alsasrc device=\"hw:1,0\" {buffers}"));
        let pipewire = "pipewiresink target-object=\"5\" stream-properties=props,node.latency=10/1000";
        assert_eq!(sink("pipewire:5"), pipewire);
        assert_eq!(sink("file:/rec/a.wav"), "wavenc ! filesink location=\"/rec/a.wav\"");
        assert_eq!(source("file:/a.mp3"), "filesrc location=\"/a.mp3\" ! decodebin");
    }

    #[test]
    fn other_text_is_a_description() {
        for text in
            ["fakesink sync=true", "pulsesink", "alsasink device=hw:1", "file:///a.wav", "automatic", ""]
        {
            assert_eq!(sink(text), text);
        }
    }

    #[test]
    fn a_short_form_without_a_name_is_refused() {
        for text in ["pulse:", "pipewire:", "alsa:", "file:", " pulse: "] {
            let error = ShortForm::parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}' names nothing")), "{error}");
        }
    }

    #[test]
    fn the_elements_of_devices_have_short_forms() {
        for text in ["pulse:a b", "pipewire:alsa_output", "alsa:hw:0,0", "alsa"] {
            let ShortForm::Device(system, device) = ShortForm::parse(text).unwrap() else { panic!("{text}") };
            for role in [Role::Sink, Role::Source] {
                let form = ShortForm::of_element(system.element(role), role, device.clone());
                assert_eq!(form.unwrap().to_string(), text);
            }
        }
        assert_eq!(ShortForm::of_element("openalsink", Role::Sink, None), None);
    }

    /// Returns the path that the sink of a description has.
    fn location(path: &str) -> Option<String> {
        gst::init().unwrap();
        let bin = gst::parse::bin_from_description(&sink(&format!("file:{path}")), false).unwrap();
        bin.iterate_sinks().into_iter().flatten().next().unwrap().property("location")
    }

    #[test]
    fn a_name_with_quotes_is_taken_as_it_is() {
        for path in ["\"\"", "\"", "\"a b\"", "\"é\\", "a\"b\"", "\\\"", "'a'"] {
            assert_eq!(location(path).as_deref(), Some(path));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>(), prefix in 0usize..6) {
            let text = ["", "pulse:", "pipewire:", "alsa:", "file:", "auto"][prefix].to_owned() + &text;
            if let Ok(form) = ShortForm::parse(&text) {
                prop_assert_eq!(ShortForm::parse(&form.to_string()), Ok(form.clone()));
                for role in [Role::Sink, Role::Source] {
                    prop_assert!(!form.description(role, LATENCY).is_empty() || text.is_empty());
                }
            }
        }

        #[test]
        fn gstreamer_gets_the_name_that_was_given(path in "[^\0\\s][^\0]{0,30}[^\0\\s]") {
            prop_assume!(!path.starts_with("//"));
            prop_assert_eq!(location(&path), Some(path));
        }
    }
}
