//! One run of the whole path: a guest plays the counting pattern through snd-host into a WAV file.

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
use crate::pattern::{Pattern, RecordingError};

/// What the guest may take beyond the length of the sound. A boot takes 5 s on an idle machine.
const BOOT_WITHIN: Duration = Duration::from_secs(120);

/// The two formats of a virtqueue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    /// VIRTIO 1.3 §2.7 "Split Virtqueues".
    Split,
    /// VIRTIO 1.3 §2.8 "Packed Virtqueues".
    Packed,
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Split => "split",
            Self::Packed => "packed",
        })
    }
}

/// What a guest and its daemon leave behind.
#[derive(Debug)]
pub struct Visit {
    /// What the guest says.
    pub guest: guest::Report,
    /// What the daemon logged.
    pub daemon_log: Vec<String>,
    /// The memory of others that the daemon had while the guest ran.
    pub memory: BTreeSet<String>,
}

/// What a run brought.
#[derive(Debug)]
pub struct Playback {
    /// The comparison of what was recorded with what was played.
    pub recorded: check::Report,
    /// What the guest says.
    pub guest: guest::Report,
    /// What the daemon logged.
    pub daemon_log: Vec<String>,
}

/// Why a run brought nothing to compare.
///
/// The message has logs in it. A test prints it before it returns the error: the test runner would put all of it in
/// one line.
#[derive(Debug, Error)]
pub enum PlaybackError {
    /// The recording of an earlier run is in the way.
    #[error("the recording of an earlier run cannot be removed")]
    OldRecording(#[source] io::Error),
    /// There is no place for the socket.
    #[error("no temporary directory can be made")]
    Directory(#[source] io::Error),
    /// The daemon did not start or stop.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// isolation-host did not start.
    #[error(transparent)]
    Forwarder(#[from] ForwardingError),
    /// The daemon ended badly.
    #[error("snd-host ended with {status}; its log:\n{log}")]
    DaemonFailed {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        log: String,
    },
    /// The guest did not play.
    #[error("{source}\nsnd-host's log:\n{log}")]
    Guest {
        /// What happened to the guest.
        source: GuestError,
        /// What the daemon wrote meanwhile.
        log: String,
    },
    /// The guest does not see one sound card, or not with the rings that were to be used.
    #[error("the guest's sound card was to use {wanted} rings; its devices: {devices:?}")]
    OtherRing {
        /// The format that the daemon was to offer.
        wanted: Ring,
        /// What the guest sees.
        devices: Vec<guest::VirtioDevice>,
    },
    /// The recording cannot be compared.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// A recording cannot be read.
    #[error("a recording cannot be read")]
    Unreadable(#[source] io::Error),
    /// A recording cannot be written.
    #[error("a recording cannot be written")]
    Unwritable(#[source] hound::Error),
}

/// A guest with a sound card that snd-host serves.
#[derive(Debug)]
pub struct Session<'a> {
    /// snd-host.
    pub program: &'a Path,
    /// isolation-host, if it is to stand between the two. The guest has packed rings then, whatever snd-host has.
    pub isolated_by: Option<&'a Path>,
    /// What the guest boots from.
    pub image: &'a GuestImage,
    /// The format of the virtqueues.
    pub ring: Ring,
    /// Further options for snd-host.
    pub options: &'a [&'a str],
    /// The one place where it may write.
    pub writable: &'a Path,
    /// QEMU's properties of the device, such as `controls=on`.
    pub properties: &'a [&'a str],
    /// Where the guest's second serial port goes: what its script writes to `/dev/ttyS1`.
    pub handed_over: Option<&'a Path>,
}

impl Session<'_> {
    /// Boots the guest for the overlay's script, which plays for so long. Returns after all has been played out.
    ///
    /// # Errors
    /// If the guest or the daemon fails, or the guest used the other ring format.
    pub fn run(&self, overlay: &Overlay, length: Duration) -> Result<Visit, PlaybackError> {
        self.run_watched(overlay, length, |_| {})
    }

    /// The same, and shows each line of the guest's console to `watch` as it comes.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn run_watched(
        &self,
        overlay: &Overlay,
        length: Duration,
        mut watch: impl FnMut(&str),
    ) -> Result<Visit, PlaybackError> {
        let directory = tempfile::tempdir().map_err(PlaybackError::Directory)?;
        let socket = directory.path().join("snd.sock");
        let ring = self.ring.to_string();
        let own: [&OsStr; 4] =
            ["--ring".as_ref(), ring.as_ref(), "--writable".as_ref(), self.writable.as_ref()];
        let options = own.into_iter().chain(self.options.iter().map(OsStr::new));
        let mut daemon = Daemon::start(self.program, &socket, options)?;

        let forward = |program| start_forwarder(program, directory.path(), &socket, &["--device", "snd"]);
        let mut forwarder = self.isolated_by.map(forward).transpose()?;
        let socket = forwarder.as_ref().map_or(&*socket, Daemon::socket);
        let device = Device::vhost_user("vhost-user-snd-pci", socket);
        let mut device = self.properties.iter().fold(device, |device, property| device.with(property));
        if let Some(path) = self.handed_over {
            device = device.with_port(path);
        }
        let mut memory = BTreeSet::new();
        let guest = Guest::boot(self.image, &device, overlay)
            .and_then(|guest| {
                // By the time of its first line all drivers are there, and what is shared is shared.
                guest.finish_watched(BOOT_WITHIN + length, |line| {
                    memory.extend(memory::of_process(daemon.id()).unwrap_or_default());
                    watch(line);
                })
            })
            .map_err(|source| {
                let forwarder_log = forwarder.as_mut().map_or(&[][..], Daemon::log);
                let log = [daemon.log(), forwarder_log].concat().join("\n");
                PlaybackError::Guest { source, log }
            })?;
        let negotiated = guest.sound().map(guest::VirtioDevice::ring_packed);
        let wanted = if self.isolated_by.is_some() { Ring::Packed } else { self.ring };
        if negotiated != Some(wanted == Ring::Packed) {
            return Err(PlaybackError::OtherRing { wanted, devices: guest.devices });
        }

        // The guest is gone, but the sink may still be playing what it was given last: it ends in its time.
        let (status, log) = daemon.stop()?;
        let stopped_by_us = status.signal() == Some(Signal::TERM.as_raw());
        if !status.success() && !stopped_by_us {
            return Err(PlaybackError::DaemonFailed { status, log: log.join("\n") });
        }
        Ok(Visit { guest, daemon_log: log.to_owned(), memory })
    }
}

/// Plays `pattern` in a guest through the snd-host at `program`, over rings of one format, into
/// a WAV file at `recording`, and compares.
///
/// # Errors
/// If there is nothing to compare, or the guest used the other ring format. A recording that is
/// not exact is no error: see [`Playback::recorded`].
pub fn play(
    program: &Path,
    image: &GuestImage,
    pattern: Pattern,
    ring: Ring,
    recording: &Path,
) -> Result<Playback, PlaybackError> {
    // What an earlier run left must not be taken for what this one brings.
    match fs::remove_file(recording) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(PlaybackError::OldRecording(error));
        }
        _ => {}
    }
    let sink = wav_sink(recording);
    let session = Session {
        program,
        isolated_by: None,
        image,
        ring,
        options: &["--sink", &sink],
        writable: directory_of(recording),
        properties: &[],
        handed_over: None,
    };
    let overlay = Overlay::script("aplay -D hw:0,0 /pattern.wav").file("pattern.wav", pattern.to_wav());
    let Visit { guest, daemon_log, .. } = session.run(&overlay, pattern.duration())?;
    Ok(Playback { recorded: pattern.check_wav(recording)?, guest, daemon_log })
}

/// Where `recording` is to be: the one place where the daemon may write.
fn directory_of(recording: &Path) -> &Path {
    match recording.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A GStreamer sink that writes the pattern's format to a WAV file, in real time.
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
    fn a_recording_may_have_any_path() {
        let sink = wav_sink(Path::new(r#"/a b/"c\d".wav"#));
        assert!(sink.contains(r#"location="/a b/\"c\\d\".wav" "#), "{sink}");
    }
}
