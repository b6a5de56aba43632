//! The host's audio, which another process plays and records.

use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing::warn;

use super::keeper::{AudioError, Keeper};
use super::launcher::Launcher;
use crate::realtime::RealTime;

/// How the host's audio is to be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostAudioConfig {
    /// How much audio the sink is given ahead of what is heard.
    pub(crate) latency: Duration,
    /// Whether there is a source. Without a source, guests record silence.
    pub(crate) has_source: bool,
}

/// The host's audio.
#[derive(Debug)]
pub(crate) struct HostAudio {
    config: HostAudioConfig,
    /// `None` in tests, where nothing is heard.
    keeper: Option<Arc<Keeper>>,
    /// Obtained only after the process has entered the sandbox, because obtaining starts a thread.
    realtime: OnceLock<RealTime>,
}

impl HostAudio {
    /// Starts the audio process, and waits until it has checked sink and source.
    pub(crate) fn start(config: HostAudioConfig, launcher: Launcher) -> Result<Arc<Self>, AudioError> {
        let keeper = Some(Keeper::start(launcher)?);
        Ok(Arc::new(Self { config, keeper, realtime: OnceLock::new() }))
    }

    /// Creates host's audio without a process.
    #[cfg(test)]
    pub(crate) fn silent(config: HostAudioConfig) -> Arc<Self> {
        Arc::new(Self { config, keeper: None, realtime: OnceLock::new() })
    }

    /// Starts to watch the audio process, and to replace it when it fails. Calls `launcher_lost`
    /// when the process cannot be replaced any more.
    pub(crate) fn watch(&self, launcher_lost: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.keeper.as_ref().map_or(Ok(()), |keeper| keeper.watch(launcher_lost))
    }

    /// Returns the priority of the threads that keep time.
    pub(crate) fn realtime(&self) -> RealTime {
        *self.realtime.get_or_init(RealTime::obtain)
    }

    /// Returns the file that has an edge when there is recorded audio.
    pub(crate) fn doorbell(&self) -> Option<RawFd> {
        self.keeper.as_ref().map(|keeper| keeper.doorbell())
    }

    pub(super) const fn latency(&self) -> Duration {
        self.config.latency
    }

    pub(super) const fn has_source(&self) -> bool {
        self.config.has_source
    }

    /// Waits until all audio has been heard, for at most `timeout`.
    pub(crate) fn finish(&self, timeout: Duration) {
        let left = self.keeper.as_ref().map_or(0, |keeper| keeper.finish(timeout));
        if left > 0 {
            warn!("{left} sinks or sources have not finished within {timeout:?}");
        }
    }

    pub(super) fn keeper(&self) -> Option<&Keeper> {
        self.keeper.as_deref()
    }
}
