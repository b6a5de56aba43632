//! `cargo xtask demo`: a guest plays sound through snd-host, and every frame is compared.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::{GuestImage, Profile, program, target_dir};
use end_to_end::check;
use end_to_end::pattern::Pattern;
use end_to_end::playback::{Ring, play};

use crate::command::{cargo, progress, run as run_command};
use crate::setup;

/// How long the guest plays.
const SECONDS: u8 = 5;

/// A run with one ring format.
struct Run {
    ring: Ring,
    recorded: check::Report,
    recording: PathBuf,
    kernel: String,
}

/// Sets up, builds, plays over both ring formats, and prints what came of it.
pub(crate) fn run() -> Result<()> {
    let image = setup::run()?;
    run_command(&mut cargo(["build", "--release", "--package", "snd-host"]))?;
    let snd_host = program("snd-host", Profile::Release)?;
    let recordings = target_dir()?.join("demo");
    fs::create_dir_all(&recordings)?;

    let runs = [Ring::Split, Ring::Packed]
        .into_iter()
        .map(|ring| play_over(ring, &snd_host, &image, &recordings))
        .collect::<Result<Vec<Run>>>()?;
    show(&runs, &snd_host)?;
    if !runs.iter().all(|run| run.recorded.is_exact()) {
        bail!("the recordings are not what was played");
    }
    Ok(())
}

fn play_over(ring: Ring, snd_host: &Path, image: &GuestImage, recordings: &Path) -> Result<Run> {
    let recording = recordings.join(format!("{ring}.wav"));
    let progress = progress(&format!("a guest boots and plays {SECONDS} s over {ring} rings"));
    let played = play(snd_host, image, Pattern::seconds(SECONDS), ring, &recording);
    progress.finish_and_clear();
    let played = played.with_context(|| format!("playing over {ring} rings did not work"))?;
    Ok(Run { ring, recorded: played.recorded, recording, kernel: played.guest.kernel })
}

/// One screen: what ran, what was compared, where it is.
fn show(runs: &[Run], snd_host: &Path) -> Result<()> {
    let pattern = Pattern::seconds(SECONDS);
    let kernel = runs.first().map_or("", |run| &run.kernel);
    println!("\nWhat ran");
    println!("  guest     Linux {kernel} with its own virtio_snd driver: aplay -D hw:0,0");
    println!("  machine   QEMU {} with vhost-user-snd-pci", setup::qemu_version()?);
    println!("  host      {} with GStreamer, recording to WAV", snd_host.display());
    println!("\nWhat was compared");
    println!(
        "  {SECONDS} s of 48 kHz S16 stereo, {} frames, each of which encodes its own number",
        indicatif::HumanCount(pattern.frames().into())
    );
    for run in runs {
        println!("\n{} rings, as the guest negotiated them", run.ring);
        println!("  {}", run.recorded);
        println!("  {}", run.recording.display());
    }
    Ok(())
}
