//! A sound server for the host's end: PulseAudio, which needs no hardware.
//!
//! Its only sink plays to nobody, in real time; what it plays can be recorded from its monitor. It has nothing to
//! do with a sound server that runs on this machine, and its files are in a directory of its own.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::daemon::{Daemon, DaemonError};

/// Where a sound server is, or can be.
#[derive(Debug, Clone)]
pub struct SoundServer {
    directory: PathBuf,
}

impl SoundServer {
    /// A sound server with its files in `directory`. It does not run yet.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// Starts it, and waits until it takes clients. Dropping what is returned kills it, and it can be started
    /// again.
    ///
    /// # Errors
    /// If it does not come to listen.
    pub fn start(&self) -> Result<Daemon, DaemonError> {
        let mut arguments: Vec<OsString> = ["HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"]
            .map(|variable| {
                let mut assignment = OsString::from(variable);
                assignment.push("=");
                assignment.push(&self.directory);
                assignment
            })
            .into();
        arguments.extend(
            [
                "pulseaudio",
                "-n",
                "--daemonize=no",
                "--use-pid-file=no",
                "--exit-idle-time=-1",
                "--log-target=stderr",
                "--log-level=error",
                "--load",
                // Without `norewinds` it works two seconds ahead.
                "module-null-sink sink_name=out rate=48000 channels=2 format=s16le norewinds=1",
                "--load",
            ]
            .map(OsString::from),
        );
        arguments.push(
            format!("module-native-protocol-unix auth-anonymous=1 socket={}", self.socket().display()).into(),
        );
        Daemon::start_as_told(Path::new("env"), &self.socket(), arguments)
    }

    /// A GStreamer sink that plays to it.
    #[must_use]
    pub fn sink(&self) -> String {
        format!("pulsesink server=unix:{} {BUFFER}", self.socket().display())
    }

    /// A GStreamer source that gives what it plays.
    #[must_use]
    pub fn monitor(&self) -> String {
        format!("pulsesrc server=unix:{} device=out.monitor {BUFFER}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("sound-server.sock")
    }
}

/// The size of the buffers that clients have, in microseconds: enough for a busy machine.
const BUFFER: &str = "buffer-time=200000 latency-time=10000";
