//! What a stream that plays costs on the host: snd-host, vhost-device-sound, and QEMU's own sound
//! card, one after another, on the same PipeWire server and with the same guest.
//!
//! `sound-cost DAEMON SERVER FRAMES PERIODS` takes the path of vhost-device-sound, built with its
//! PipeWire backend, and the number of PipeWire's process. The server has a sink, and all three
//! cards find the server through the environment. The guest plays periods of `FRAMES` frames at
//! 48 kHz, with a buffer of `PERIODS` periods. QEMU needs its module `audio-pipewire.so`, and
//! snd-host needs GStreamer's plugin of PipeWire. If they are not installed, `QEMU_MODULE_DIR` and
//! `GST_PLUGIN_PATH` name their directories. snd-host has to be built with `--release`.
//!
//! The program measures, and judges nothing. Other load on the machine changes the figures.

mod cost;
mod processes;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use cost::{Cost, Sample};
use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::daemon::Daemon;
use end_to_end::guest::{Device, Guest, Overlay};

/// The time over which each state is measured.
const SPAN: Duration = Duration::from_secs(10);
/// The time until a state is steady.
const SETTLED: Duration = Duration::from_secs(3);

/// The longest wait for the guest.
const WITHIN: Duration = Duration::from_secs(120);

/// Returns the guest's script, which waits while the idle guest is measured, and then plays. The
/// guest prints a line when a state begins, and keeps the state for longer than it is measured.
fn script(frames: u32, periods: u32) -> String {
    format!(
        "echo idle
        sleep 18
        form='-t raw -f S16_LE -c 2 -r 48000 --period-size={frames} --buffer-size={buffer}'
        aplay -q -D hw:0,0 $form /dev/zero & player=$!
        until grep -q RUNNING /proc/asound/card0/pcm0p/sub0/status; do sleep 0.1; done
        echo playing
        sleep 18
        kill $player",
        buffer = frames * periods
    )
}

/// What provides the guest's sound card.
#[derive(Debug, Clone, Copy)]
enum Card {
    SndHost,
    VhostDeviceSound,
    Qemu,
}

impl Card {
    const ALL: [Self; 3] = [Self::SndHost, Self::VhostDeviceSound, Self::Qemu];

    const fn name(self) -> &'static str {
        match self {
            Self::SndHost => "snd-host",
            Self::VhostDeviceSound => "vhost-device-sound",
            Self::Qemu => "QEMU's own",
        }
    }
}

/// What the command line says.
struct Options {
    /// The path of vhost-device-sound.
    daemon: PathBuf,
    /// The process of the sound server.
    server: u32,
    script: String,
}

impl Options {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [daemon, server, frames, periods] = &arguments[..] else {
            return Err("usage: sound-cost VHOST_DEVICE_SOUND SERVER_PROCESS FRAMES PERIODS".into());
        };
        Ok(Self {
            daemon: daemon.into(),
            server: server.parse()?,
            script: script(frames.parse()?, periods.parse()?),
        })
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sound-cost: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let mut rows = Vec::new();
    for card in Card::ALL {
        match measure(card, &options) {
            Ok([idle, playing]) => rows.push((card.name(), idle, playing)),
            Err(error) => eprintln!("{} does not play: {error}", card.name()),
        }
    }
    cost::print(&rows);
    Ok(())
}

/// Boots a guest with the card. Returns what is used while the guest is idle, and while it plays.
fn measure(card: Card, options: &Options) -> Result<[Cost; 2], Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut daemon = start(card, options, &directory.path().join("snd.sock"))?;
    let device = match &daemon {
        Some(daemon) => Device::vhost_user("vhost-user-snd-pci", daemon.socket()),
        None => Device::emulated_sound_to("pipewire".into()),
    };
    let overlay = Overlay::script(&options.script);
    let mut guest = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?;
    let card = daemon.as_ref().map(Daemon::id);
    let state = |guest: &mut Guest, line| {
        guest.wait_for_lines(line, 1, WITHIN)?;
        thread::sleep(SETTLED);
        let sample = || Sample::take(card, guest.id(), options.server);
        let before = sample()?;
        thread::sleep(SPAN);
        Ok::<_, Box<dyn Error>>(sample()?.since(&before))
    };
    let costs = state(&mut guest, "idle").and_then(|idle| Ok([idle, state(&mut guest, "playing")?]));
    // The script fails if the player has ended.
    let costs = costs.and_then(|costs| guest.finish(WITHIN).map(|_| costs).map_err(Into::into));
    if let (Err(_), Some(daemon)) = (&costs, &mut daemon) {
        eprintln!("{}", daemon.log().join("\n"));
    }
    costs
}

/// Starts the daemon of the card, if it has one.
fn start(card: Card, options: &Options, socket: &Path) -> Result<Option<Daemon>, Box<dyn Error>> {
    let (program, arguments) = match card {
        Card::SndHost => (program("snd-host", Profile::Release)?, ["--sink", "pipewire"]),
        Card::VhostDeviceSound => (options.daemon.clone(), ["--backend", "pipewire"]),
        Card::Qemu => return Ok(None),
    };
    Ok(Some(Daemon::start(&program, socket, arguments)?))
}
