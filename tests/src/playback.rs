//! A guest with a sound card that snd-host serves, and a playback of the counting pattern.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use thiserror::Error;

use crate::artifacts::GuestImage;
use crate::check;
use crate::daemon::{Daemon, DaemonError};
use crate::forwarding::{ForwardingError, start_forwarder};
use crate::guest::{self, Device, Guest, GuestError, Overlay};
use crate::memory;
use crate::pattern::Pattern;
use crate::visible::Sight;
use crate::wav::RecordingError;

/// isolation-host's options for the sound card.
pub(crate) const FORWARDED: [&str; 2] = ["--device", "snd"];
/// The time for booting and starting programs. A boot takes 5 s on an idle machine.
const BOOT_WITHIN: Duration = Duration::from_secs(120);

/// The two formats of a virtqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// VIRTIO 1.4 §2.7 "Split Virtqueues".
    Split,
    /// VIRTIO 1.4 §2.8 "Packed Virtqueues".
    Packed,
}

impl Ring {
    /// Returns the value of snd-host's option `--ring`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Packed => "packed",
        }
    }
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The outcome of a session.
#[derive(Debug)]
pub struct Outcome {
    /// The guest's report.
    pub guest: guest::Report,
    /// The daemon's log.
    pub daemon_log: Vec<String>,
    /// The memory files that the daemon shared with other programs while the guest ran.
    pub memory: BTreeSet<String>,
    /// What the daemon and QEMU could read when the guest printed [`LOOK`]. Empty without a secret.
    pub visible: Sight,
}

/// The line of the guest's console at which the memory of snd-host is searched for the secret.
pub const LOOK: &str = "look at the memory";

/// The outcome of [`play`].
#[derive(Debug)]
pub struct Playback {
    /// The comparison of the recording with the pattern.
    pub recorded: check::Report,
    /// The guest's report.
    pub guest: guest::Report,
    /// The daemon's log.
    pub daemon_log: Vec<String>,
}

/// An error of a session.
///
/// The message contains logs. A test prints the error before returning it: the test runner would
/// put the whole message into one line.
#[derive(Debug, Error)]
pub enum PlaybackError {
    /// The recording of an earlier run cannot be removed.
    #[error("cannot remove the recording of an earlier run")]
    OldRecording(#[source] io::Error),
    /// There is no directory for the socket.
    #[error("cannot create a temporary directory")]
    Directory(#[source] io::Error),
    /// The daemon did not start or stop.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// isolation-host did not start.
    #[error(transparent)]
    Forwarder(#[from] ForwardingError),
    /// The memory of the daemon cannot be read.
    #[error("cannot read the memory that snd-host shares")]
    Memory(#[source] io::Error),
    /// The daemon ended with an error.
    #[error("snd-host ended with {status}; its log:\n{log}")]
    DaemonFailed {
        /// The daemon's exit status.
        status: ExitStatus,
        /// The daemon's log.
        log: String,
    },
    /// The guest failed.
    #[error("{source}\nsnd-host's log:\n{log}")]
    Guest {
        /// The guest's error.
        source: GuestError,
        /// The logs of the daemons.
        log: String,
    },
    /// The guest does not have exactly one sound card, or uses the other ring format.
    #[error("the guest has no single sound card with {wanted} rings; its devices: {devices:?}")]
    OtherRing {
        /// The format that was offered to the guest.
        wanted: Ring,
        /// The guest's devices.
        devices: Vec<guest::VirtioDevice>,
    },
    /// The recording cannot be compared.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The guest has recorded too few frames, or silence only.
    #[error("the guest has recorded {frames} of {expected} frames, {audible} of them after silence")]
    Incomplete {
        /// The number of recorded frames.
        frames: usize,
        /// The number of frames to record.
        expected: usize,
        /// The number of recorded frames from the first frame on that is not silent.
        audible: u32,
    },
    /// A recording cannot be read.
    #[error("cannot read a recording")]
    Unreadable(#[source] io::Error),
    /// A recording cannot be written.
    #[error("cannot write a recording")]
    Unwritable(#[source] hound::Error),
    /// A file for the guest or a recording cannot be written.
    #[error("cannot write a file of the run")]
    File(#[source] io::Error),
}

/// A guest with a sound card that snd-host serves.
#[derive(Debug)]
pub struct Session<'a> {
    /// snd-host.
    pub program: &'a Path,
    /// isolation-host, if it forwards the sound card. The guest has packed rings then.
    pub isolated_by: Option<&'a Path>,
    /// The image from which the guest boots.
    pub image: &'a GuestImage,
    /// The format of snd-host's virtqueues.
    pub ring: Ring,
    /// Further options of snd-host.
    pub options: &'a [&'a str],
    /// The only directory in which snd-host may write.
    pub writable: &'a Path,
    /// QEMU's properties of the device, such as `controls=on`.
    pub properties: &'a [&'a str],
    /// The file for the output of the guest's second serial port, `/dev/ttyS1`.
    pub serial_output: Option<&'a Path>,
    /// What the memory of snd-host is searched for when the guest prints [`LOOK`].
    pub secret: Option<&'a [u8]>,
}

impl<'a> Session<'a> {
    /// Returns a session without options, isolation-host and second serial port.
    #[must_use]
    pub const fn new(program: &'a Path, image: &'a GuestImage, ring: Ring, writable: &'a Path) -> Self {
        Self {
            program,
            isolated_by: None,
            image,
            ring,
            options: &[],
            writable,
            properties: &[],
            serial_output: None,
            secret: None,
        }
    }

    /// Boots the guest for the overlay's script, and waits until all audio has been played.
    ///
    /// `length` is the time that the script may take.
    ///
    /// # Errors
    /// Fails if the guest or the daemon fails, or if the guest uses the other ring format.
    pub fn run(&self, overlay: &Overlay, length: Duration) -> Result<Outcome, PlaybackError> {
        self.run_watched(overlay, length, |_| {})
    }

    /// Does the same as [`run`](Self::run), and passes each line of the guest's console to `watch`.
    ///
    /// # Errors
    /// Fails like [`run`](Self::run).
    pub fn run_watched(
        &self,
        overlay: &Overlay,
        length: Duration,
        mut watch: impl FnMut(&str),
    ) -> Result<Outcome, PlaybackError> {
        let directory = tempfile::tempdir().map_err(PlaybackError::Directory)?;
        let socket = directory.path().join("snd.sock");
        let mut daemon = Daemon::start(self.program, &socket, self.daemon_options())?;
        let forward = |program| start_forwarder(program, directory.path(), &socket, &FORWARDED);
        let mut forwarder = self.isolated_by.map(forward).transpose()?;
        let device = self.device(forwarder.as_ref().map_or(&socket, Daemon::socket));

        let (mut memory, mut visible) = (BTreeSet::new(), Ok(Sight::default()));
        let guest = Guest::boot(self.image, &device, overlay)
            .and_then(|guest| {
                let qemu = guest.id();
                // All memory is shared by the time of the guest's first line.
                guest.finish_watched(BOOT_WITHIN + length, |line| {
                    let found = memory::of_process(daemon.id()).unwrap_or_default();
                    memory.extend(found.into_iter().filter(|name| name != memory::TAKE));
                    if let (Some(secret), LOOK) = (self.secret, line) {
                        visible = Sight::of(daemon.id(), qemu, secret);
                    }
                    watch(line);
                })
            })
            .map_err(|source| {
                let forwarder_log = forwarder.as_mut().map_or(&[][..], Daemon::log);
                let log = [daemon.log(), forwarder_log].concat().join("\n");
                PlaybackError::Guest { source, log }
            })?;
        self.check_ring(&guest)?;
        let visible = visible.map_err(PlaybackError::Memory)?;
        Ok(Outcome { guest, daemon_log: stop_daemon(daemon)?, memory, visible })
    }

    /// Returns the options of snd-host besides the socket.
    pub(crate) fn daemon_options(&self) -> Vec<&OsStr> {
        let own =
            ["--ring".as_ref(), self.ring.as_str().as_ref(), "--writable".as_ref(), self.writable.as_ref()];
        own.into_iter().chain(self.options.iter().map(OsStr::new)).collect()
    }

    /// Returns the guest's sound card, whose queues a daemon on `socket` serves.
    pub(crate) fn device(&self, socket: &Path) -> Device {
        let device = Device::vhost_user("vhost-user-snd-pci", socket);
        let device = self.properties.iter().fold(device, |device, property| device.with(property));
        match self.serial_output {
            Some(path) => device.with_serial_output(path),
            None => device,
        }
    }

    /// Fails unless the guest uses the expected ring format.
    fn check_ring(&self, guest: &guest::Report) -> Result<(), PlaybackError> {
        let negotiated = guest.sound().map(guest::VirtioDevice::ring_packed);
        let wanted = if self.isolated_by.is_some() { Ring::Packed } else { self.ring };
        if negotiated == Some(wanted == Ring::Packed) {
            return Ok(());
        }
        Err(PlaybackError::OtherRing { wanted, devices: guest.devices.clone() })
    }
}

/// Stops snd-host and returns its log. The sink still plays the audio that it was given last.
fn stop_daemon(daemon: Daemon) -> Result<Vec<String>, PlaybackError> {
    let (status, log) = daemon.stop()?;
    let terminated = status.signal() == Some(Signal::TERM.as_raw());
    if status.success() || terminated {
        return Ok(log);
    }
    Err(PlaybackError::DaemonFailed { status, log: log.join("\n") })
}

/// Removes the recording of an earlier run, which could be mistaken for the recording of this run.
pub(crate) fn remove_old_recording(path: &Path) -> Result<(), PlaybackError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PlaybackError::OldRecording(error)),
        _ => Ok(()),
    }
}

/// Plays `pattern` in a guest through snd-host into a WAV file at `recording`, and compares them.
///
/// # Errors
/// Fails if there is no recording to compare, or if the guest uses the other ring format. Wrong
/// frames are not an error; [`Playback::recorded`] counts them.
pub fn play(
    program: &Path,
    image: &GuestImage,
    pattern: Pattern,
    ring: Ring,
    recording: &Path,
) -> Result<Playback, PlaybackError> {
    remove_old_recording(recording)?;
    let session = Session {
        // With the largest latency, a busy machine has to be very late until frames are dropped.
        options: &["--latency", "500", "--sink", &wav_sink(recording)],
        ..Session::new(program, image, ring, directory_of(recording))
    };
    let overlay = Overlay::script("aplay -D hw:0,0 /pattern.wav").file("pattern.wav", pattern.to_wav());
    let Outcome { guest, daemon_log, .. } = session.run(&overlay, pattern.duration())?;
    Ok(Playback { recorded: pattern.check_wav(recording)?, guest, daemon_log })
}

/// Returns the directory of `recording`.
fn directory_of(recording: &Path) -> &Path {
    match recording.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Returns a GStreamer sink that writes the pattern's format to a WAV file in real time.
#[must_use]
pub fn wav_sink(recording: &Path) -> String {
    let path = recording.display().to_string();
    let escaped = path.replace('\\', r"\\").replace('"', "\\\"");
    format!(
        "audio/x-raw,format=S16LE,rate={rate},channels=2 ! wavenc ! \
         filesink location=\"{escaped}\" sync=true enable-last-sample=false",
        rate = Pattern::RATE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_recording_is_quoted() {
        let sink = wav_sink(Path::new(r#"/a b/"c\d".wav"#));
        assert!(sink.contains(r#"location="/a b/\"c\\d\".wav" "#), "{sink}");
    }
}
