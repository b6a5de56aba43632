//! The host's sink and source, and the threads that use them.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use snd_host::pcm::Params;
use snd_host::realtime::RealTime;
use snd_host::wire::{CaptureWriter, Opening, PlaybackReader};
use snd_host::{Args, Writable};
use tracing::{debug, info_span, warn};

use crate::descriptions::Descriptions;
use crate::error::AudioError;
use crate::gstreamer;
use crate::permit::{Permit, Permits};
use crate::pipeline_config::{Label, PipelineConfig};
use crate::player;
use crate::probe::{self, Finding};
use crate::recorder;
use crate::retry::Retry;
use crate::short_form::{Role, ShortForm};
use crate::wakeup::Wakeup;

/// How the host's audio is to be used.
#[derive(Clone, Debug)]
pub(crate) struct HostConfig {
    /// The description of the sink, or its short form.
    sink: String,
    /// The description of the source, or its short form. Without a source, guests record silence.
    source: Option<String>,
    /// How much audio the sink is given ahead of what is heard.
    latency: Duration,
    /// The name of the virtual machine for the host's mixer.
    name: Option<String>,
    /// The directories that the sandbox lets a sink write to; `None` without a sandbox.
    writable: Option<Vec<PathBuf>>,
}

impl HostConfig {
    /// Takes the configuration from the command line.
    pub(crate) fn of(args: &Args) -> Self {
        Self {
            sink: args.sink.clone(),
            source: args.source.clone(),
            latency: Duration::from_millis(args.latency.into()),
            name: args.name.clone(),
            writable: (!args.no_sandbox).then(|| Writable { given: &args.writable }.dirs()),
        }
    }
}

/// The host's sink and source. Each take has a thread that opens one of them.
#[derive(Debug)]
pub(crate) struct Host {
    config: HostConfig,
    descriptions: Descriptions,
    /// Not obtained until the process is in the sandbox, because that takes a thread.
    realtime: OnceLock<RealTime>,
    permits: Arc<Permits>,
    /// The attempts to open the source, in all takes.
    source_retry: Arc<Mutex<Retry>>,
}

impl Host {
    /// Initialises GStreamer, and checks the descriptions of the sink and the source.
    pub(crate) fn new(config: HostConfig) -> Result<Arc<Self>, AudioError> {
        let sink = ShortForm::parse(&config.sink)?.description(Role::Sink, config.latency);
        let source = config.source.as_deref().map(ShortForm::parse).transpose()?;
        let source = source.map(|source| source.description(Role::Source, config.latency));
        let descriptions = Descriptions { sink, source };
        gstreamer::check(&descriptions.fill_in(0, 0))?;
        let source_retry = Arc::new(Mutex::new(Retry::of_the_source()));
        Ok(Arc::new(Self {
            config,
            descriptions,
            realtime: OnceLock::new(),
            permits: Arc::default(),
            source_retry,
        }))
    }

    /// Checks in the background whether the sink and the source work, and logs if one does not.
    ///
    /// The first take of stream 0 waits until the sink is closed again, as it would wait for an
    /// earlier take.
    pub(crate) fn probe(self: &Arc<Self>) {
        let permit = self.permits.acquire_for_probe();
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
            let config = self.pipeline(description, Params::USUAL, false, 0);
            (role, attempt(&config, role, self.config.writable.as_deref()))
        })
    }

    fn pipeline(&self, description: String, params: Params, has_level: bool, stream: u32) -> PipelineConfig {
        let label = |machine: &String| Label { machine: machine.clone(), stream: format!("stream {stream}") };
        PipelineConfig {
            description,
            latency: self.config.latency,
            params,
            has_level,
            label: self.config.name.as_ref().map(label),
            realtime: *self.realtime.get_or_init(RealTime::obtain),
        }
    }

    /// Starts a thread that plays a take, and calls `ended` at its end.
    pub(crate) fn play(
        &self,
        opening: Opening,
        reader: PlaybackReader,
        wakeup: Arc<Wakeup>,
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let Opening { take, stream, params, has_level, generation, .. } = opening;
        let Descriptions { sink, .. } = self.descriptions.fill_in(stream, take.0.saturating_sub(1));
        let config = self.pipeline(sink, params, has_level, stream);
        self.spawn(opening, ended, move |permit| player::run(reader, generation, &wakeup, permit, &config))
    }

    /// Starts a thread that records a take, and calls `ended` at its end. `audio` is called when
    /// there is audio of a live source.
    pub(crate) fn record(
        &self,
        opening: Opening,
        writer: CaptureWriter,
        wakeup: Arc<Wakeup>,
        audio: impl Fn() + Clone + Send + Sync + 'static,
        ended: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let Opening { take, stream, params, has_level, .. } = opening;
        let Descriptions { source, .. } = self.descriptions.fill_in(stream, take.0.saturating_sub(1));
        let config = self.pipeline(source.unwrap_or_default(), params, has_level, stream);
        let retry = self.source_retry.clone();
        self.spawn(opening, ended, move |permit| {
            recorder::run(writer, &wakeup, permit, &retry, &config, &audio);
        })
    }

    /// Starts the thread of a take.
    fn spawn(
        &self,
        opening: Opening,
        ended: impl FnOnce() + Send + 'static,
        work: impl FnOnce(&Permit) + Send + 'static,
    ) -> io::Result<()> {
        let Opening { take, stream, .. } = opening;
        let permit = self.permits.acquire(stream, take.0);
        let realtime = *self.realtime.get_or_init(RealTime::obtain);
        let thread = thread::Builder::new().name(format!("audio {stream}"));
        thread.spawn(move || {
            realtime.enter();
            let _span = info_span!("audio", stream, take = take.0.saturating_sub(1)).entered();
            work(&permit);
            // The next take of the stream may use the sink before the card hears of the end.
            drop(permit);
            ended();
        })?;
        Ok(())
    }
}
