//! The command line.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, value_parser};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::memory_bound::memory_bound;
use crate::audio::{HostAudioConfig, SUBCOMMAND};
use crate::limits::MAX_LATENCY_MS;
use crate::options::{RingFormat, Streams};

/// What `--version` prints. `-V` prints the number only.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("HOST_COMMIT"),
    "\nfeatures: ",
    env!("HOST_FEATURES")
);

/// A sound card for virtual machines, backed by GStreamer.
///
/// snd-host is a virtio sound card that runs in a process of its own. A virtual machine monitor
/// that supports vhost-user, such as QEMU, connects to the socket of snd-host, and the guest has a
/// sound card. The audio that the guest plays or records goes through GStreamer to or from the
/// sound system of the host.
///
/// snd-host serves one virtual machine at a time, and waits for the next one until SIGTERM or
/// SIGINT ends it. It needs no privileges except access to the socket, the sink and the source.
#[derive(Clone, Debug, Parser)]
#[command(version, long_version = LONG_VERSION, after_long_help = after_help())]
pub struct Args {
    /// What to do instead of serving a virtual machine.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Path of the socket to listen on.
    ///
    /// The socket is created. A socket that another process has left behind is replaced. Without
    /// --socket and --fd, snd-host takes the socket that systemd has opened for it.
    #[arg(long, visible_alias = "socket-path", value_name = "PATH", conflicts_with = "fd")]
    pub socket: Option<PathBuf>,

    /// Permissions of the socket that --socket creates, in octal digits.
    ///
    /// A process needs the permission to write in order to connect. By default the umask decides.
    #[arg(long, value_name = "MODE", value_parser = socket_mode, requires = "socket")]
    pub socket_mode: Option<u32>,

    /// Group of the socket that --socket creates: a name in /etc/group, or a number.
    ///
    /// The user of snd-host has to be a member of the group.
    #[arg(long, value_name = "GROUP", requires = "socket")]
    pub socket_group: Option<String>,

    /// File descriptor of a listening Unix socket to use instead of --socket.
    #[arg(long, value_name = "N")]
    pub fd: Option<RawFd>,

    /// Print the capabilities of this back-end as JSON, and exit.
    #[arg(long)]
    pub print_capabilities: bool,

    /// Sink that plays the audio: auto, pulse, pulse:NAME, pipewire, pipewire:NAME, alsa,
    /// alsa:DEVICE, file:PATH, or the end of a GStreamer pipeline, as for gst-launch-1.0.
    ///
    /// `snd-host devices` lists the sinks of the host. The short forms of PulseAudio and ALSA set
    /// the buffer to --latency, and those of PipeWire set the node's latency to a quarter of
    /// --latency.
    ///
    /// {stream} is replaced by the number of the stream, and {take} by the number of earlier takes
    /// of all streams. A take is what a stream plays or records from the time it is prepared until
    /// it is released.
    #[arg(long, global = true, value_name = "SINK", default_value = "auto")]
    pub sink: String,

    /// Source of the audio that the guest records: a short form, or the start of a pipeline, as for
    /// --sink.
    ///
    /// Without --source, the guest records silence. auto is the microphone of the host.
    #[arg(long, global = true, value_name = "SOURCE")]
    pub source: Option<String>,

    /// Name of the virtual machine, by which the host's mixer shows the streams of the guest.
    ///
    /// Sets the client name and the stream names for PulseAudio, PipeWire and JACK. Names that a
    /// description sets are kept.
    #[arg(long, global = true, value_name = "VM", value_parser = machine_name)]
    pub name: Option<String>,

    /// Numbers of playback and of recording streams: 0 to 4 each, and not both 0. A single number
    /// stands for both.
    #[arg(long, global = true, value_name = "N|OUT,IN", default_value = "1")]
    pub streams: Streams,

    /// Offer the guest a volume and a mute switch for each stream.
    ///
    /// QEMU needs vhost-user-snd-pci,controls=on as well, or the guest has no sound. With controls,
    /// some sample formats are converted even at full volume.
    #[arg(long)]
    pub controls: bool,

    /// How far the audio in the sink is ahead of what is heard, in milliseconds.
    ///
    /// Larger values tolerate a busier host. The elements that autoaudiosink and autoaudiosrc
    /// select get buffers of this size, too. An element in a description keeps its own settings.
    #[arg(long, global = true, value_name = "MS", default_value_t = 40)]
    #[arg(value_parser = value_parser!(u16).range(10..=MAX_LATENCY_MS))]
    pub latency: u16,

    /// Virtqueue format to offer.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = RingFormat::Auto)]
    pub ring: RingFormat,

    /// Directory in which the sink may write files. Can be given several times.
    ///
    /// Outside these directories, files can be written only in $XDG_RUNTIME_DIR, where the sound
    /// server has its sockets, in /dev/shm and in /dev/snd. /dev/null can be written as well.
    #[arg(long, global = true, value_name = "DIR")]
    pub writable: Vec<PathBuf>,

    /// Do not enter the sandbox, which forbids snd-host to start programs and to write files
    /// outside a few directories.
    #[arg(long, global = true)]
    pub no_sandbox: bool,

    /// What to log on standard error: off, error, warn, info, debug, trace, or a filter such as
    /// snd_host=debug,warn.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", value_parser = log_filter)]
    pub log: String,
}

/// What to do instead of serving a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// List the sinks and sources of the host, each with the option that selects it.
    Devices,
    /// Open the sink and the source, play 200 ms of silence, and say what a guest would get.
    ///
    /// The exit status is 0 if the sink and the source work, and 1 otherwise. No file is written.
    Check,
    /// Start the audio process whenever the process on standard input asks for it.
    #[command(name = SUBCOMMAND, hide = true)]
    LaunchAudio {
        /// The arguments of the audio process.
        #[arg(last = true)]
        args: Vec<OsString>,
    },
}

impl Args {
    /// Returns how the host's audio is to be used.
    pub(super) fn audio(&self) -> HostAudioConfig {
        let latency = Duration::from_millis(self.latency.into());
        HostAudioConfig { latency, has_source: self.source.is_some() }
    }
}

/// Validates the value of `--name`.
fn machine_name(text: &str) -> Result<String, String> {
    match text.chars().count() {
        1..=MAX_NAME if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("give 1 to {MAX_NAME} characters without control characters")),
    }
}

/// The largest number of characters of `--name`.
const MAX_NAME: usize = 64;

/// Parses the value of `--socket-mode`.
fn socket_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("give three octal digits such as 660".into()),
    }
}

/// Validates the value of `--log`.
///
/// `EnvFilter` takes each word that is not a level for a target: with `warning`, for example, it
/// would log nothing at all.
fn log_filter(text: &str) -> Result<String, String> {
    let level = |directive: &str| directive.rsplit_once('=').map_or(directive, |(_, level)| level).to_owned();
    match text.split(',').map(level).find(|level| level.parse::<LevelFilter>().is_err()) {
        Some(level) => Err(format!("'{level}' is not a level; use off, error, warn, info, debug or trace")),
        None => EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string()),
    }
}

/// Returns the last part of the long help: examples and limits.
fn after_help() -> String {
    let mib = memory_bound().div_ceil(1 << 20);
    format!(
        "{EXAMPLES}

Limits:

  snd-host uses at most {mib} MiB on behalf of a guest, without the memory of GStreamer's elements.
  On SIGUSR1, snd-host prints the state of each stream."
    )
}

const EXAMPLES: &str = "\
A guest with sound, with QEMU 9.0 or later:

  snd-host --socket /run/user/1000/snd.sock &
  qemu-system-x86_64 … \\
    -object memory-backend-memfd,id=mem,size=2G,share=on -machine memory-backend=mem -m 2G \\
    -chardev socket,id=snd,path=/run/user/1000/snd.sock \\
    -device vhost-user-snd-pci,chardev=snd

The memory of the guest has to be shared (share=on), because snd-host reads the audio from it. A Linux guest
needs the module virtio_snd.

Sinks:

  --sink pulse:headphones                           a device of PulseAudio or of pipewire-pulse
  --sink alsa:hw:1,0                                a device of ALSA
  --sink 'pulsesink device=headphones buffer-time=40000 latency-time=10000'
                                                    the same as pulse:headphones, in full
  --sink file:/rec/guest.wav --writable /rec        records to a WAV file; converts formats that WAV lacks
  --sink 'file:/rec/guest-{take}.wav' --writable /rec
                                                    the same, with one file for each take
  --sink 'fakesink sync=true'                       discards the audio in real time

Sources:

  --source pulse:microphone                         a device of PulseAudio
  --source file:speech.wav                          the guest records the contents of a file

If a sink or a source is slow to open, fails or is missing, the guest still plays and records in real time,
and snd-host tries to open the sink or the source again.";
