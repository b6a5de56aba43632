//! The command line.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Parser, value_parser};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::memory_bound::memory_bound;
use crate::limits::MAX_LATENCY_MS;
use crate::options::{RingFormat, Streams};

/// Plays what a virtual machine plays, and lets it record.
///
/// snd-host is a virtio sound card for a virtual machine, as a process of its own: the machine's monitor
/// (QEMU, or any other that speaks vhost-user) connects to a socket, the guest sees a sound card, and what it
/// plays and records goes through GStreamer to and from whatever the host has.
///
/// It serves one virtual machine at a time, one after the other, until it is told to end (SIGTERM or
/// SIGINT). It needs no privileges but access to the socket and to the sink.
#[derive(Clone, Debug, Parser)]
#[command(version, after_long_help = after_help())]
pub struct Args {
    /// The socket to listen on.
    ///
    /// It is created, and replaced if nobody listens on it any more. Without this and --fd, snd-host takes the
    /// socket that systemd has opened for it.
    #[arg(long, visible_alias = "socket-path", value_name = "PATH", conflicts_with = "fd")]
    pub socket: Option<PathBuf>,

    /// The number of an open file, a Unix socket that listens, to use instead.
    #[arg(long, value_name = "N")]
    pub fd: Option<RawFd>,

    /// Print what this back-end is, as JSON, and do nothing else.
    #[arg(long)]
    pub print_capabilities: bool,

    /// Where the audio goes: elements of a GStreamer pipeline, as gst-launch-1.0 takes them.
    ///
    /// {stream} stands for the number of the stream, and {take} for how many times anything was played or
    /// recorded before.
    #[arg(long, value_name = "DESCRIPTION", default_value = "autoaudiosink")]
    pub sink: String,

    /// Where the audio comes from that the guest records: as for --sink.
    #[arg(long, value_name = "DESCRIPTION", default_value = "autoaudiosrc")]
    pub source: String,

    /// How many streams the guest can play and record at a time: one number for both, or two.
    #[arg(long, value_name = "N|OUT,IN", default_value = "1")]
    pub streams: Streams,

    /// Offer the guest a volume and a switch for each stream.
    ///
    /// QEMU has to know: vhost-user-snd-pci,controls=on. Otherwise the guest has no sound at all. Some formats
    /// are converted on their way then, even at full volume.
    #[arg(long)]
    pub controls: bool,

    /// How much audio the host is given ahead of what is heard, in milliseconds.
    ///
    /// More of it bears with a busier host. It is also the size of the buffer of what autoaudiosink and
    /// autoaudiosrc find; what is named keeps the one in its description.
    #[arg(long, value_name = "MS", default_value_t = 40)]
    #[arg(value_parser = value_parser!(u16).range(10..=MAX_LATENCY_MS))]
    pub latency: u16,

    /// Which format of virtqueues to use.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = RingFormat::Auto)]
    pub ring: RingFormat,

    /// A directory in which the sink may write files. May be given several times.
    ///
    /// Without one, files can be written nowhere but in the directory of the sound server.
    #[arg(long, value_name = "DIR")]
    pub writable: Vec<PathBuf>,

    /// Do not give up the right to start programs, to write files elsewhere, and to change the system.
    #[arg(long)]
    pub no_sandbox: bool,

    /// How much to say on standard error: error, warn, info, debug, trace, or a filter such as
    /// snd_host=debug,warn.
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_filter)]
    pub log: String,
}

/// Checks what is given to `--log`. What is neither a level nor `target=level` is taken for a target by
/// `EnvFilter`, so that `warning`, for instance, would log nothing at all.
fn log_filter(text: &str) -> Result<String, String> {
    let level = |directive: &str| directive.rsplit_once('=').map_or(directive, |(_, level)| level).to_owned();
    match text.split(',').map(level).find(|level| level.parse::<LevelFilter>().is_err()) {
        Some(level) => Err(format!("'{level}' is none of off, error, warn, info, debug, trace")),
        None => EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|error| error.to_string()),
    }
}

/// The examples, and what a guest can cost.
fn after_help() -> String {
    let mib = memory_bound().div_ceil(1 << 20);
    format!(
        "{EXAMPLES}

Limits:

  Whatever a guest does, snd-host holds at most {mib} MiB for it, besides what the elements of the pipeline
  hold. SIGUSR1 has it print the state of every stream."
    )
}

const EXAMPLES: &str = "\
A guest with sound, under QEMU 9.0 or later:

  snd-host --socket /run/user/1000/snd.sock &
  qemu-system-x86_64 … \\
    -object memory-backend-memfd,id=mem,size=2G,share=on -machine memory-backend=mem -m 2G \\
    -chardev socket,id=snd,path=/run/user/1000/snd.sock \\
    -device vhost-user-snd-pci,chardev=snd

The guest's memory has to be shared (share=on), because snd-host reads the audio from it. In a Linux guest
the card needs the module virtio_snd.

Sinks:

  --sink 'pulsesink device=headphones buffer-time=40000 latency-time=10000'
  --sink 'alsasink device=hw:1,0'
  --sink 'wavenc ! filesink location=/rec/guest.wav' --writable /rec
                                                    records to a file, bit by bit as the guest played it
  --sink 'wavenc ! filesink location=/rec/guest-{take}.wav' --writable /rec
                                                    the same, with a file for each time
  --sink 'fakesink sync=true'                       plays to nobody

Sources:

  --source 'pulsesrc device=microphone buffer-time=40000 latency-time=10000'
  --source 'filesrc location=speech.wav ! wavparse' plays a file to a guest that records

If the sink or the source is slow to start, fails, or is not there, the guest plays and records
on in time, and it is tried again.";
