//! The host's sink and source, and the threads that use them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use tracing::{debug, info_span, warn};

use super::descriptions::Descriptions;
use super::error::AudioError;
use super::gstreamer;
use super::permit::{Permit, Permits};
use super::pipeline_config::{Label, PipelineConfig};
use super::probe::{self, Finding};
use super::retry::Retry;
use super::short_form::{Role, ShortForm};
use crate::limits::MAX_TAKES;
use crate::pcm::Params;
use crate::realtime::RealTime;

/// How the host's audio is to be used.
#[derive(Clone, Debug)]
pub(crate) struct HostAudioConfig {
    /// The description of the sink, or its short form.
    pub(crate) sink: String,
    /// The description of the source, or its short form. Without a source, guests record silence.
    pub(crate) source: Option<String>,
    /// How much audio the sink is given ahead of what is heard.
    pub(crate) latency: Duration,
    /// The name of the virtual machine for the host's mixer.
    pub(crate) name: Option<String>,
    /// The directories that the sandbox lets a sink write to; `None` without a sandbox.
    pub(crate) writable: Option<Vec<PathBuf>>,
}

/// The host's sink and source. Each take has a thread that opens one of them.
#[derive(Debug)]
pub(crate) struct HostAudio {
    descriptions: Descriptions,
    latency: Duration,
    name: Option<String>,
    writable: Option<Vec<PathBuf>>,
    /// Obtained only after the process has entered the sandbox, because obtaining starts a thread.
    realtime: OnceLock<RealTime>,
    permits: Arc<Permits>,
    /// The attempts to open the source, in all takes.
    source_retry: Arc<Mutex<Retry>>,
}

impl HostAudio {
    /// Initialises GStreamer, and checks the descriptions of the sink and the source.
    pub(crate) fn new(config: HostAudioConfig) -> Result<Arc<Self>, AudioError> {
        let HostAudioConfig { sink, source, latency, name, writable } = config;
        let sink = ShortForm::parse(&sink)?.description(Role::Sink, latency);
        let source = source.map(|source| ShortForm::parse(&source)).transpose()?;
        let source = source.map(|source| source.description(Role::Source, latency));
        let descriptions = Descriptions { sink, source };
        gstreamer::check(&descriptions.fill_in(0, 0))?;
        let source_retry = Arc::new(Mutex::new(Retry::of_the_source()));
        let (permits, realtime) = (Arc::default(), OnceLock::new());
        Ok(Arc::new(Self { descriptions, latency, name, writable, realtime, permits, source_retry }))
    }

    /// Returns the priority of the threads that keep time.
    pub(crate) fn realtime(&self) -> RealTime {
        *self.realtime.get_or_init(RealTime::obtain)
    }

    /// Looks in the background whether the sink and the source work, and logs if one does not.
    ///
    /// The first take of stream 0 waits until the sink is closed again, as it would wait for an
    /// earlier take.
    pub(crate) fn probe(self: &Arc<Self>) {
        let Some(permit) = self.permits.acquire_for_probe() else { return };
        let this = self.clone();
        let probe = move || {
            for (role, finding) in this.findings(probe::probe) {
                match finding {
                    Finding::Works(element) => debug!("the {role} works: {element}"),
                    Finding::Fallback(sentence) => warn!("{role}: {sentence}"),
                    Finding::Fails(sentence) => warn!("the {role} does not work now: {sentence}"),
                }
            }
            drop(permit);
        };
        if let Err(error) = thread::Builder::new().name("probe".into()).spawn(probe) {
            warn!("cannot start a thread that tries the sink: {error}");
        }
    }

    /// Plays silence and records for a moment. Returns what was found about the sink, and about the
    /// source if there is one.
    pub(crate) fn check(&self) -> impl Iterator<Item = (Role, Finding)> {
        self.findings(probe::check)
    }

    /// Tries the sink and the source.
    fn findings(
        &self,
        attempt: impl Fn(&PipelineConfig, Role, Option<&[PathBuf]>) -> Finding,
    ) -> impl Iterator<Item = (Role, Finding)> {
        let Descriptions { sink, source } = self.descriptions.fill_in(0, 0);
        let all = [(Role::Sink, Some(sink)), (Role::Source, source)].into_iter();
        all.filter_map(|(role, description)| Some((role, description?))).map(move |(role, description)| {
            let (latency, params, label) = (self.latency, Params::USUAL, self.label(0));
            let realtime = self.realtime();
            let config = PipelineConfig { description, latency, params, level: None, label, realtime };
            (role, attempt(&config, role, self.writable.as_deref()))
        })
    }

    /// Returns how the host's mixer shows stream number `stream`.
    pub(super) fn label(&self, stream: usize) -> Option<Label> {
        let label = |machine: &String| Label { machine: machine.clone(), stream: format!("stream {stream}") };
        self.name.as_ref().map(label)
    }

    pub(super) const fn latency(&self) -> Duration {
        self.latency
    }

    pub(super) const fn has_source(&self) -> bool {
        self.descriptions.source.is_some()
    }

    pub(super) const fn source_retry(&self) -> &Arc<Mutex<Retry>> {
        &self.source_retry
    }

    /// Waits until all audio has been heard, for at most `timeout`.
    pub(crate) fn finish(&self, timeout: Duration) {
        let left = self.permits.wait_for_all(timeout);
        if left > 0 {
            warn!("{left} sinks or sources have not finished within {timeout:?}");
        }
    }

    /// Starts a thread for a take of stream number `stream`.
    ///
    /// The thread runs `work` with its permit and the descriptions for the take. Returns false if
    /// there are too many takes, or no thread can be started.
    pub(super) fn spawn(
        &self,
        stream: usize,
        work: impl FnOnce(&Permit, Descriptions) + Send + 'static,
    ) -> bool {
        let Some(permit) = self.permits.acquire(stream) else {
            warn!(stream, "{MAX_TAKES} takes are active already; the audio of this take is dropped");
            return false;
        };
        let take = permit.take();
        let descriptions = self.descriptions.fill_in(stream, take);
        let work = move || {
            let _span = info_span!("audio", stream, take).entered();
            work(&permit, descriptions);
        };
        let thread = thread::Builder::new().name(format!("audio {stream}")).spawn(work);
        thread.inspect_err(|error| warn!(stream, "cannot start an audio thread: {error}")).is_ok()
    }
}
