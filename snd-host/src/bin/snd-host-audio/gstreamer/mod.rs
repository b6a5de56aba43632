//! GStreamer pipelines: one that plays, and one that records.

mod bin;
mod channels;
pub(crate) mod monitor;
mod pipeline;
mod samples;
mod sink;
mod source;
pub(crate) mod trial;
mod volume;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use crate::descriptions::Descriptions;
use crate::error::AudioError;

pub(crate) use self::sink::Sink;
pub(crate) use self::source::Source;

/// Initialises GStreamer, and checks that the descriptions describe a sink and a source.
pub(crate) fn check(descriptions: &Descriptions) -> Result<(), AudioError> {
    gst::init().map_err(AudioError::Init)?;
    // Idle threads end, instead of waiting for more work.
    glib::ThreadPool::set_max_unused_threads(Some(0));
    let Descriptions { sink, source } = descriptions;
    let any = |ends: gst::Iterator<gst::Element>| ends.into_iter().flatten().next().is_some();
    if !any(sink::parse(sink, "")?.iterate_sinks()) {
        let problem = "it has no sink element; append one such as autoaudiosink";
        return Err(bin::unsuitable("sink", sink, problem));
    }
    if let Some(source) = source
        && !any(source::parse(source, "")?.iterate_sources())
    {
        let problem = "it has no source element; prepend one such as autoaudiosrc";
        return Err(bin::unsuitable("source", source, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gstreamer_audio::{AudioFormat, AudioFormatInfo};
    use snd_host::pcm::Params;

    use super::samples;
    use snd_host::FORMATS;

    #[test]
    fn samples_have_the_size_and_the_silence_of_gstreamer() {
        gstreamer::init().unwrap();
        for params in FORMATS.iter().map(|format| Params { format, ..Params::USUAL }) {
            let format: AudioFormat = params.format.gst_name.parse().unwrap();
            let info = AudioFormatInfo::from_format(format);
            assert_eq!(info.width(), params.frame_bytes() / u32::from(params.channels) * 8, "{format}");
            let mut silence = vec![0xee; params.frame_bytes() as usize];
            info.fill_silence(&mut silence);
            let mut ours = params.silence();
            samples::to_host(&params, &mut ours);
            assert_eq!(ours, silence, "{format}");
        }
    }
}
